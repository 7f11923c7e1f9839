//! The report as JUnit XML, which build servers read: a suite for the steps, one for each run of checks.

use super::escape::escape;
use super::model::{Check, CheckRun, Report, Step};
use crate::event::{Outcome, Verdict};

/// The report as JUnit XML.
#[must_use]
pub fn junit(report: &Report) -> String {
    let steps = (!report.steps.is_empty()).then(|| suite("steps", &report.last_time(), report.steps.iter().map(step)));
    let checks = report.checks.iter().map(checks);
    let journal = (report.damaged_lines > 0).then(|| {
        let why = format!("{} lines of the journal can't be read", report.damaged_lines);
        let body = format!("<failure message=\"{why}\">what they said is not in this report</failure>");
        suite("journal", &report.last_time(), std::iter::once((case("journal", "journal", 0, &body), true, false, 0)))
    });
    let suites: String = steps.into_iter().chain(checks).chain(journal).collect();
    let name = escape(&format!("ferry {}", report.cluster));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\">\n{suites}</testsuites>\n")
}

/// A test case: its XML, whether it failed, whether it was skipped, milliseconds.
type Case = (String, bool, bool, u64);

fn suite(name: &str, at: &str, cases: impl Iterator<Item = Case>) -> String {
    let cases: Vec<Case> = cases.collect();
    let (failures, skipped) = (cases.iter().filter(|case| case.1).count(), cases.iter().filter(|case| case.2).count());
    let ms = cases.iter().map(|case| case.3).sum();
    let body: String = cases.iter().map(|case| case.0.as_str()).collect();
    format!(
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" errors=\"0\" time=\"{}\" timestamp=\"{}\">\n{body}</testsuite>\n",
        escape(name),
        cases.len(),
        seconds(ms),
        escape(at),
    )
}

fn checks(run: &CheckRun) -> String {
    let mut name = if run.verb.is_empty() { "checks".to_owned() } else { format!("checks of {}", run.verb) };
    if run.is_partial() {
        name += &format!(", only {}", run.only.join(", "));
    }
    suite(&name, &run.at.to_string(), run.checks.iter().map(check))
}

fn check(check: &Check) -> Case {
    let topic = check.check.split('.').next().unwrap_or_default();
    let subject = if check.subject.is_empty() { String::new() } else { format!(" [{}]", check.subject) };
    let (title, evidence) = (escape(&check.title), escape(&check.evidence));
    let fix = check.fix.as_ref().map(|fix| format!("\nto do: {}", escape(fix))).unwrap_or_default();
    let body = match check.verdict {
        Verdict::Passed => format!("<system-out>{evidence}</system-out>"),
        Verdict::Failed => format!("<failure message=\"not so: {title}\">{evidence}{fix}</failure>"),
        Verdict::Waived => format!("<skipped message=\"waived: {title}\"/><system-out>{evidence}{fix}</system-out>"),
        Verdict::Skipped => format!("<skipped message=\"{evidence}\"/>"),
    };
    let skipped = matches!(check.verdict, Verdict::Waived | Verdict::Skipped);
    (
        case(topic, &format!("{}{subject}", check.check), check.ms, &body),
        check.verdict == Verdict::Failed,
        skipped,
        check.ms,
    )
}

fn step(step: &Step) -> Case {
    let why = escape(step.why.as_deref().unwrap_or_default());
    let (body, failed, skipped) = match step.outcome {
        Some(Outcome::Already | Outcome::Changed) => (String::new(), false, false),
        Some(Outcome::Owed) => (format!("<skipped message=\"owed: {why}\"/>"), false, true),
        Some(Outcome::Failed) => (format!("<failure message=\"failed\">{why}</failure>"), true, false),
        Some(Outcome::Stopped) | None => (format!("<failure message=\"stopped\">{why}</failure>"), true, false),
    };
    (case(&step.host, &step.step, step.ms, &body), failed, skipped, step.ms)
}

fn case(class: &str, name: &str, ms: u64, body: &str) -> String {
    let (class, name) = (escape(class), escape(name));
    format!("<testcase classname=\"{class}\" name=\"{name}\" time=\"{}\">{body}</testcase>\n", seconds(ms))
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

impl Report {
    fn last_time(&self) -> String {
        self.last.map(|at| at.to_string()).unwrap_or_default()
    }
}
