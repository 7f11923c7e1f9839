//! Reports: the same records give the same bytes; well-formed; nothing that means something in XML gets through; no secrets.

use std::sync::Arc;

use ferry_bundle_format::lock::Timestamp;
use ferry_engine::event::{Display, Event, Outcome, Verdict};
use ferry_engine::host::{Redactor, Secret};
use ferry_engine::journal::{self, Journal, Record};
use ferry_engine::report;

fn began(verb: &str, plan: Option<&str>) -> Event {
    Event::Began {
        verb: verb.into(),
        cluster: "factory <7>".into(),
        site: "sha256:51".into(),
        bundle: Some("sha256:b0".into()),
        product: Some("platform 1.34 serial 3".into()),
        plan: plan.map(str::to_owned),
        ferry: "0.1.0".into(),
    }
}

fn check(id: &str, subject: &str, verdict: Verdict, evidence: &str) -> Event {
    let fix = (verdict == Verdict::Failed).then(|| "look & \"mend\"".to_owned());
    let title = format!("{id} holds");
    Event::Check { check: id.into(), title, subject: subject.into(), verdict, evidence: evidence.into(), fix, ms: 1204 }
}

fn step(outcome: Option<Outcome>, why: Option<&str>) -> Vec<Event> {
    let (step, host) = ("etcd.member/one".to_owned(), "one".to_owned());
    let mut events = vec![Event::Step { step: step.clone(), host: host.clone(), title: "etcd".into() }];
    events.extend(outcome.map(|outcome| Event::StepEnded {
        step,
        host,
        outcome,
        why: why.map(str::to_owned),
        ms: 2345,
    }));
    events
}

fn ended(well: bool, changed: usize, owed: &[&str]) -> Event {
    let owed = owed.iter().map(|host| (*host).to_owned()).collect();
    Event::Ended { well, changed, already: 7, owed, summary: "so it ended".into() }
}

/// Records of runs, one second apart.
fn records(runs: Vec<Vec<Event>>) -> Vec<Record> {
    let mut at = 1_795_000_000;
    let mut records = Vec::new();
    for (run, events) in (1..).zip(runs) {
        for event in events {
            at += 1;
            records.push(Record { run, at: Timestamp::from_unix(at), event });
        }
    }
    records
}

fn story() -> Vec<Record> {
    let apply = |middle: Vec<Event>, end: Vec<Event>| [vec![began("apply", Some("sha256:9a"))], middle, end].concat();
    let key = Event::HostKey { host: "one".into(), fingerprint: "SHA256:abc".into() };
    let retry = Event::Retry { step: "etcd.member/one".into(), title: "t".into(), why: "w".into(), attempt: 2 };
    records(vec![
        [
            vec![began("check", None), key.clone()],
            vec![check("cpu", "one", Verdict::Passed, "8 cores"), ended(true, 0, &[])],
        ]
        .concat(),
        // Cut off in the middle of a step.
        apply(vec![key], step(None, None)),
        apply(
            [step(Some(Outcome::Failed), Some("disk <full>")), vec![retry]].concat(),
            vec![ended(false, 1, &["two"])],
        ),
        apply(step(Some(Outcome::Changed), None), vec![ended(true, 4, &[])]),
        vec![
            began("accept", None),
            check("old", "", Verdict::Failed, "of an earlier acceptance"),
            ended(false, 0, &[]),
        ],
        vec![
            began("accept", None),
            check("dns.cluster", "one", Verdict::Passed, "NOERROR 10.96.0.1\nin 1 ms"),
            check("etcd.fsync", "one", Verdict::Waived, "waived: the disk is a <loop>\np99 54 ms"),
            check("clock.source", "", Verdict::Skipped, "the site names no time server"),
            ended(true, 0, &[]),
        ],
    ])
}

fn all(report: &report::Report) -> [String; 3] {
    [report::json(report), report::junit(report), report::html(report)]
}

#[test]
fn a_story_is_told() {
    let report = report::fold(&story());
    assert!(report.deliverable());
    assert_eq!(report.steps.len(), 1);
    assert_eq!((report.steps[0].outcome, report.steps[0].retries), (Some(Outcome::Changed), 1));
    assert_eq!(
        report.runs.iter().map(|run| run.well).collect::<Vec<_>>(),
        [Some(true), None, Some(false), Some(true), Some(false), Some(true)]
    );
    assert_eq!(report.checks.iter().map(|run| run.verb.as_str()).collect::<Vec<_>>(), ["check", "accept"]);
    let [json, junit, html] = all(&report);
    insta::assert_snapshot!("json", json);
    insta::assert_snapshot!("junit", junit);
    insta::assert_snapshot!("html", html);
    assert_eq!(all(&report::fold(&story())), [json, junit, html], "the same records give the same bytes");
}

#[test]
fn what_is_not_accepted_says_so() {
    let mut later = story();
    let add = |records: &mut Vec<Record>, run: u64, events: Vec<Event>| {
        let at = records.last().unwrap().at;
        records.extend(events.into_iter().map(|event| Record { run, at, event }));
    };
    let nothing = report::fold(&[]);
    assert!(!nothing.deliverable() && report::html(&nothing).contains("no acceptance was made"));
    // Nothing was changed: the acceptance still stands.
    add(&mut later, 7, vec![began("apply", None), ended(true, 0, &[])]);
    assert!(report::fold(&later).deliverable());
    // Something was.
    let mut changed = later.clone();
    add(&mut changed, 8, vec![began("apply", None), ended(true, 1, &[])]);
    assert!(!report::fold(&changed).deliverable());
    // Something may have been: the run was cut off.
    add(&mut later, 8, vec![began("apply", None)]);
    let report = report::fold(&later);
    assert!(!report.deliverable() && report::html(&report).contains("Not accepted"));
    let mut owed = story();
    add(&mut owed, 7, vec![began("apply", None), ended(true, 0, &["two"])]);
    assert!(!report::fold(&owed).deliverable());
}

#[test]
fn documents_are_well_formed_whatever_was_seen() {
    let nasty = "<script>alert(1)</script> & ]]> \u{0}\u{1b}[31m\u{FFFF} \"'\r\n\u{202e}ü中";
    let events = vec![
        began(nasty, Some(nasty)),
        Event::HostKey { host: nasty.into(), fingerprint: nasty.into() },
        Event::Note { text: nasty.into() },
        check(nasty, nasty, Verdict::Failed, nasty),
        check(nasty, nasty, Verdict::Skipped, nasty),
        check(nasty, nasty, Verdict::Waived, nasty),
        Event::StepEnded {
            step: nasty.into(),
            host: nasty.into(),
            outcome: Outcome::Failed,
            why: Some(nasty.into()),
            ms: 1,
        },
        ended(false, 0, &[nasty]),
    ];
    for records in [records(vec![events]), story(), Vec::new()] {
        let [json, junit, html] = all(&report::fold(&records));
        serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
        let junit = roxmltree::Document::parse(&junit).expect("JUnit is well-formed");
        for suite in junit.descendants().filter(|node| node.has_tag_name("testsuite")) {
            let count = |tag: &str| suite.descendants().filter(|node| node.has_tag_name(tag)).count().to_string();
            assert_eq!(suite.attribute("tests").unwrap(), count("testcase"));
            assert_eq!(suite.attribute("failures").unwrap(), count("failure"));
            assert_eq!(suite.attribute("skipped").unwrap(), count("skipped"));
        }
        let allowed = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
        let html = roxmltree::Document::parse_with_options(&html, allowed).expect("the page is well-formed");
        let foreign = |node: &roxmltree::Node<'_, '_>| {
            let tag = node.tag_name().name();
            ["script", "link", "img", "iframe", "object"].contains(&tag)
                || node.attribute("src").is_some()
                || node.attribute("href").is_some()
        };
        assert!(!html.descendants().any(|node| foreign(&node)), "nothing from elsewhere, nothing that runs");
        let tables = html.descendants().filter(|node| node.has_tag_name("table"));
        assert!(tables.clone().any(|table| table.attribute("class") == Some("sign")), "there is a place to sign");
    }
}

struct Quiet;
impl Display for Quiet {
    fn show(&self, _: &Event) {}
}

#[test]
fn reports_are_written_whole_and_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let redactor = Redactor::default();
    redactor.learn(&Secret::new("tr0ub4dor&3<\">"));
    let journal = Journal::open(&path, Arc::new(Quiet), redactor).unwrap();
    let planted = "password tr0ub4dor&3<\"> was refused";
    journal.record(&began("accept", None));
    journal.record(&check("registry.guarded", planted, Verdict::Failed, planted));
    journal.record(&Event::Note { text: planted.into() });
    journal.record(&ended(false, 0, &[planted]));
    let out = folder.path().join("deep/report");
    let report = report::fold(&journal::read(&path).unwrap());
    report::write(&out, &report).unwrap();
    report::write(&out, &report).unwrap();
    let mut names: Vec<String> =
        std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [report::JUNIT, report::HTML, report::JSON]);
    for name in names {
        let text = std::fs::read_to_string(out.join(&name)).unwrap();
        assert!(text.contains("«secret»") && !text.contains("tr0ub4dor"), "{name}");
    }
}
