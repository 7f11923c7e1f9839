//! Findings and the registry as text: the table that `check` prints, and the one in the documentation.

use std::fmt::Write as _;

use super::{CHECKS, Finding, Findings, Outcome, Scope, Severity, Verdict};

/// The widest line.
const WIDTH: usize = 100;
/// Columns before the evidence: sign, id, hosts.
const SIGN: usize = 7;
const ID: usize = 31;
const HOSTS: usize = 16;

/// One line a check and distinct result, what fixes a failure below it, and the counts. Hosts with the same result share
/// a line; `all` are all hosts of the site.
#[must_use]
pub fn render(findings: &Findings) -> String {
    let mut text = String::new();
    for row in rows(findings) {
        let (sign, evidence, more) = match &row.finding.outcome {
            Outcome::Passed { evidence } => ("ok", evidence, None),
            Outcome::Failed { evidence, fix } => (failed(row.finding.severity), evidence, Some(("fix", fix))),
            Outcome::Planned { evidence, plan } => ("plan", evidence, Some(("ferry", plan))),
            Outcome::NotApplicable { reason } => ("-", reason, None),
            Outcome::Waived { evidence, reason } => ("waived", evidence, Some(("because", reason))),
        };
        let head = format!("{sign:SIGN$}{:ID$}{:HOSTS$}", row.finding.check, row.hosts);
        // Long names push the evidence to lines of its own.
        let (first, indent) = (head.trim_end(), SIGN + ID + HOSTS);
        if first.chars().count() < indent {
            wrapped(&mut text, &head, indent, evidence);
        } else {
            wrapped(&mut text, "", 0, first);
            wrapped(&mut text, &" ".repeat(indent), indent, evidence);
        }
        if let Some((label, more)) = more {
            let label = format!("{:SIGN$}{label}: ", "");
            wrapped(&mut text, &label, label.len(), more);
        }
    }
    let counts = findings.counts();
    let _ = write!(
        text,
        "\n{} passed, {} planned, {} warned, {} waived, {} not applicable, {} failed, of which {} strict\n",
        counts.passed,
        counts.planned,
        counts.warned,
        counts.waived,
        counts.not_applicable,
        counts.failed + counts.strict,
        counts.strict
    );
    text.push_str(match findings.verdict() {
        Verdict::Ready => "ready\n",
        Verdict::Waivable => "not ready: cure the failures, or waive them in the site file with a reason\n",
        Verdict::Blocked => "not ready: the strict failures have to be cured\n",
    });
    text
}

fn failed(severity: Severity) -> &'static str {
    match severity {
        Severity::Strict => "STRICT",
        Severity::Fail => "FAIL",
        Severity::Warn => "warn",
    }
}

struct Row<'a> {
    finding: &'a Finding,
    hosts: String,
}

/// Findings of one check with the same result, together, in the order of the first.
fn rows(findings: &Findings) -> Vec<Row<'_>> {
    let mut groups: Vec<(&Finding, Vec<String>)> = Vec::new();
    for finding in &findings.findings {
        let place = match (&finding.host, &finding.peer) {
            (Some(host), Some(peer)) => format!("{host}>{peer}"),
            (Some(host), None) => host.clone(),
            _ => "site".to_owned(),
        };
        match groups.iter_mut().find(|(one, _)| one.check == finding.check && one.outcome == finding.outcome) {
            Some((_, places)) => places.push(place),
            None => groups.push((finding, vec![place])),
        }
    }
    let size = |check: &str| findings.findings.iter().filter(|finding| finding.check == check).count();
    let hosts = |finding: &Finding, places: Vec<String>| match places.len() {
        count if count > 1 && count == size(&finding.check) => "all".to_owned(),
        _ => places.join(","),
    };
    groups.into_iter().map(|(finding, places)| Row { finding, hosts: hosts(finding, places) }).collect()
}

/// Appends `head` and then `body` in lines of at most [`WIDTH`] that begin at column `indent`. What is longer than a line
/// is broken anywhere; control characters of a host's answer do not reach the terminal.
fn wrapped(text: &mut String, head: &str, indent: usize, body: &str) {
    let room = WIDTH - indent;
    let clean: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut lines: Vec<String> = vec![String::new()];
    for word in clean.split_whitespace() {
        let chars: Vec<char> = word.chars().collect();
        for (index, piece) in chars.chunks(room).enumerate() {
            let piece: String = piece.iter().collect();
            let line = lines.last_mut().expect("it begins with one");
            let longer = line.chars().count() + 1 + piece.chars().count() > room;
            if line.is_empty() {
                line.push_str(&piece);
            } else if longer || index > 0 {
                lines.push(piece);
            } else {
                line.push(' ');
                line.push_str(&piece);
            }
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let begin = if index == 0 { head.to_owned() } else { " ".repeat(indent) };
        text.push_str(format!("{begin}{line}").trim_end());
        text.push('\n');
    }
}

/// The registry as a table in Markdown, for the documentation.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "| id | severity | of each | what is to be so | limit | what fixes it |\n|---|---|---|---|---|---|\n",
    );
    for check in CHECKS {
        let severity = match check.severity {
            Severity::Strict => "strict",
            Severity::Fail => "fail",
            Severity::Warn => "warn",
        };
        let scope = match check.scope() {
            Scope::Host => "host",
            Scope::Pair => "pair",
            Scope::Site => "site",
        };
        let limit = check.limit.map_or_else(String::new, |limit| format!("{} {}", limit.value, limit.unit));
        let (title, fix) = (check.title.replace('|', "\\|"), check.fix.replace('|', "\\|"));
        let _ = writeln!(text, "| `{}` | {severity} | {scope} | {title} | {limit} | {fix} |", check.id);
    }
    text
}
