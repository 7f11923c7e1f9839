//! The report for people: one page without scripts or anything from elsewhere, made to be printed on A4 and signed.

use std::fmt::Write as _;

use super::escape::escape;
use super::model::{Check, CheckRun, Report, Run, Step};
use crate::event::{Outcome, Verdict};

const STYLE: &str = "@page{size:A4;margin:16mm 14mm}*{box-sizing:border-box}\
body{font:14px/1.45 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#111;max-width:190mm;margin:1em auto;padding:0 1em}\
h1{font-size:1.7em;margin:.2em 0}h2{font-size:1.2em;margin:1.6em 0 .4em;border-bottom:2px solid #111}\
table{border-collapse:collapse;width:100%;margin:.4em 0}th,td{border:1px solid #999;padding:.25em .5em;text-align:left;vertical-align:top}\
th{background:#eee}tr{break-inside:avoid}td{overflow-wrap:anywhere}pre{margin:0;white-space:pre-wrap;font:12px/1.35 ui-monospace,monospace}\
.passed,.well{color:#0a5c1f}.failed,.ill{color:#a40000;font-weight:bold}.waived,.owed{color:#8a5a00;font-weight:bold}.skipped{color:#555}\
.verdict{border:3px solid;padding:.5em 1em;font-size:1.2em;font-weight:bold;margin:1em 0}\
.fix{margin-top:.3em;font-style:italic}.sign td{height:3.2em;width:50%}\
@media print{body{max-width:none;margin:0;padding:0;font-size:11px}pre{font-size:9px}h2{break-after:avoid}.sign{break-inside:avoid}}";

/// The report as one self-contained page; well-formed as XML, too.
#[must_use]
pub fn html(report: &Report) -> String {
    let title = escape(&format!("{} — delivery report", report.cluster));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><title>{title}</title><style>{STYLE}</style></head>\n<body>\n\
         <h1>{title}<br/>交付报告</h1>\n"
    );
    page += &verdict(report);
    page += &section("What was installed", "交付内容", &identity(report));
    for run in &report.checks {
        let (name, chinese) = match (run.verb.as_str(), run.is_partial()) {
            ("accept", false) => ("Acceptance", "验收结果"),
            ("accept", true) => ("Acceptance, only in part", "部分验收结果"),
            ("check", _) => ("Preflight", "安装前检查"),
            _ => ("Checks", "检查结果"),
        };
        page += &section(name, chinese, &checks(run));
    }
    page += &section("Waivers", "豁免事项", &waivers(report));
    page += &section("Debts", "遗留事项", &debts(report));
    page += &section(
        "Runs",
        "执行记录",
        &(journal(report)
            + &table(
                &["began", "verb", "result", "changed", "so already", "commands", ""],
                report.runs.iter().map(run),
            )),
    );
    page += &section(
        "Steps",
        "安装步骤",
        &table(&["step", "host", "what", "result", "time"], report.steps.iter().map(step)),
    );
    page += &section(
        "Host keys",
        "主机密钥",
        &table(&["host", "key"], report.host_keys.iter().map(|(host, keys)| vec![cell(host), pre(&keys.join("\n"))])),
    );
    if !report.notes.is_empty() {
        page += &section("Notes", "备注", &table(&["note"], report.notes.iter().map(|note| vec![pre(note)])));
    }
    page += &section("Signatures", "签署", SIGNATURES);
    page + "</body></html>\n"
}

const SIGNATURES: &str = "<table class=\"sign\"><tr><th>for the customer 客户代表</th><th>for the supplier 交付代表</th></tr>\
<tr><td>name 姓名</td><td>name 姓名</td></tr><tr><td>signature 签名</td><td>signature 签名</td></tr>\
<tr><td>place and date 地点、日期</td><td>place and date 地点、日期</td></tr></table>\n";

fn section(name: &str, chinese: &str, body: &str) -> String {
    format!("<h2>{name} {chinese}</h2>\n{body}")
}

fn cell(text: &str) -> String {
    format!("<td>{}</td>", escape(text))
}

fn pre(text: &str) -> String {
    format!("<td><pre>{}</pre></td>", escape(text))
}

fn mark(class: &str, text: &str) -> String {
    format!("<td class=\"{class}\">{}</td>", escape(text))
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: String = rows.map(|cells| format!("<tr>{}</tr>\n", cells.concat())).collect();
    if rows.is_empty() {
        return "<p>none 无</p>\n".to_owned();
    }
    let heads: String = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    format!("<table><tr>{heads}</tr>\n{rows}</table>\n")
}

fn verdict(report: &Report) -> String {
    let hindrances = report.hindrances();
    let (class, text) = match (hindrances.is_empty(), report.acceptance(), report.partial_acceptance()) {
        (true, ..) => ("well", "Accepted: every check passed or is waived by name. 验收通过"),
        (false, None, None) => ("owed", "Not accepted yet. 尚未验收"),
        (false, None, Some(_)) => ("owed", "Not accepted: only a part was checked. 仅部分验收"),
        (false, Some(_), _) => ("ill", "Not accepted. 验收未通过"),
    };
    let list: String = hindrances.iter().map(|one| format!("<li>{}</li>", escape(one))).collect();
    let list = if list.is_empty() { list } else { format!("<ul class=\"why\">{list}</ul>\n") };
    format!("<p class=\"verdict {class}\">{text}</p>\n{list}")
}

/// What of the journal could not be read.
fn journal(report: &Report) -> String {
    let mut text = String::new();
    if report.damaged_lines > 0 {
        let _ = writeln!(
            text,
            "<p class=\"failed\">{} lines of the journal can't be read, and what they said is not in this report. 日志已损坏</p>",
            report.damaged_lines
        );
    }
    if report.cut_lines > 0 {
        let _ = writeln!(text, "<p class=\"owed\">{} runs were killed while they wrote a line.</p>", report.cut_lines);
    }
    text
}

fn identity(report: &Report) -> String {
    let rows = [
        ("cluster 集群", Some(report.cluster.clone())),
        ("product 产品", report.product.clone()),
        ("bundle 离线包", report.bundle.clone()),
        ("site file 站点文件", Some(report.site.clone())),
        ("plan 计划", report.plan.clone()),
        ("ferry", Some(report.ferry.clone())),
        ("from 开始时间", report.first.map(|at| at.to_string())),
        ("to 结束时间", report.last.map(|at| at.to_string())),
    ];
    let row = |(name, value): (&str, Option<String>)| {
        vec![format!("<th>{name}</th>"), cell(&value.unwrap_or_else(|| "—".into()))]
    };
    let rows: String = rows.into_iter().map(|pair| format!("<tr>{}</tr>\n", row(pair).concat())).collect();
    format!("<table>{rows}</table>\n")
}

fn checks(run: &CheckRun) -> String {
    let tally = run.tally;
    let mut text = String::new();
    if run.is_partial() {
        let _ = writeln!(text, "<p class=\"owed\">only: {}</p>", escape(&run.only.join(", ")));
    }
    let _ = writeln!(
        text,
        "<p>{}: {} passed 通过, {} failed 未通过, {} waived 豁免, {} skipped 跳过</p>",
        escape(&run.at.to_string()),
        tally.passed,
        tally.failed,
        tally.waived,
        tally.skipped
    );
    // What needs reading comes first.
    let mut order: Vec<&Check> = run.checks.iter().collect();
    order.sort_by_key(|check| match check.verdict {
        Verdict::Failed => 0,
        Verdict::Waived => 1,
        Verdict::Passed | Verdict::Skipped => 2,
    });
    text += &table(&["check", "where", "result", "evidence"], order.into_iter().map(check));
    text
}

fn check(check: &Check) -> Vec<String> {
    let mut evidence = format!("<td><pre>{}</pre>", escape(&check.evidence));
    if let Some(fix) = &check.fix {
        let _ = write!(evidence, "<div class=\"fix\">{}</div>", escape(fix));
    }
    evidence += "</td>";
    let (class, word) = match check.verdict {
        Verdict::Passed => ("passed", "passed 通过"),
        Verdict::Failed => ("failed", "FAILED 未通过"),
        Verdict::Waived => ("waived", "waived 豁免"),
        Verdict::Skipped => ("skipped", "skipped 跳过"),
    };
    let name = format!("<td><b>{}</b><br/>{}</td>", escape(&check.check), escape(&check.title));
    vec![name, cell(&check.subject), mark(class, word), evidence]
}

fn waivers(report: &Report) -> String {
    let all = report.checks.iter().flat_map(|run| &run.checks).filter(|check| check.verdict == Verdict::Waived);
    table(
        &["check", "where", "reason"],
        all.map(|one| {
            let reason = one.evidence.lines().next().unwrap_or_default();
            vec![cell(&one.check), cell(&one.subject), cell(reason.trim_start_matches("waived: "))]
        }),
    )
}

fn debts(report: &Report) -> String {
    let hosts = report.owed.iter().map(|host| vec![cell(host), cell("owed what the last run could not do")]);
    let open = |step: &&Step| matches!(step.outcome, Some(Outcome::Owed | Outcome::Failed | Outcome::Stopped) | None);
    let steps = report.steps.iter().filter(open).map(|step| {
        vec![cell(&step.host), cell(&format!("{}: {}", step.title, step.why.as_deref().unwrap_or("not done")))]
    });
    table(&["host", "what"], hosts.chain(steps))
}

fn run(run: &Run) -> Vec<String> {
    let (class, word) = match run.well {
        Some(true) => ("well", "well"),
        Some(false) => ("ill", "not well"),
        None => ("owed", "cut off"),
    };
    vec![
        cell(&run.began.map(|at| at.to_string()).unwrap_or_default()),
        cell(&if run.only.is_empty() {
            run.verb.clone()
        } else {
            format!("{}, only {}", run.verb, run.only.join(", "))
        }),
        mark(class, word),
        cell(&run.changed.to_string()),
        cell(&run.already.to_string()),
        cell(&run.commands.to_string()),
        cell(&run.summary),
    ]
}

fn step(step: &Step) -> Vec<String> {
    let (class, word) = match step.outcome {
        Some(Outcome::Already) => ("well", "so already"),
        Some(Outcome::Changed) => ("well", "done"),
        Some(Outcome::Failed) => ("ill", "FAILED"),
        Some(Outcome::Owed) => ("owed", "owed"),
        Some(Outcome::Stopped) | None => ("owed", "stopped"),
    };
    let again = if step.retries > 0 { format!(", {} tried again", step.retries) } else { String::new() };
    let time = format!("{}.{:01} s{again}", step.ms / 1000, step.ms % 1000 / 100);
    vec![cell(&step.step), cell(&step.host), cell(&step.title), mark(class, word), cell(&time)]
}
