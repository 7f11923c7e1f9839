//! Reports: the same records give the same bytes; well-formed; nothing that means something in XML gets through; no secrets.

use std::sync::Arc;

use ferry_bundle_format::lock::Timestamp;
use ferry_engine::event::{Display, Event, Outcome, Verdict};
use ferry_engine::host::{Redactor, Secret};
use ferry_engine::journal::{self, Contents, Journal, Record};
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
        only: Vec::new(),
    }
}

fn began_only(verb: &str, names: &[&str]) -> Event {
    let mut event = began(verb, None);
    if let Event::Began { only, .. } = &mut event {
        *only = names.iter().map(|name| (*name).to_owned()).collect();
    }
    event
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

fn fold(records: &[Record]) -> report::Report {
    report::fold(&Contents::from(records.to_vec()))
}

fn all(report: &report::Report) -> [String; 3] {
    [report::json(report), report::junit(report), report::html(report)]
}

#[test]
fn a_story_is_told() {
    let report = fold(&story());
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
    assert_eq!(all(&fold(&story())), [json, junit, html], "the same records give the same bytes");
}

#[test]
fn what_is_not_accepted_says_so() {
    let mut later = story();
    let add = |records: &mut Vec<Record>, run: u64, events: Vec<Event>| {
        let at = records.last().unwrap().at;
        records.extend(events.into_iter().map(|event| Record { run, at, event }));
    };
    let nothing = fold(&[]);
    assert!(!nothing.deliverable() && report::html(&nothing).contains("no acceptance was made"));
    assert!(report::html(&nothing).contains("尚未验收"));
    // Nothing was changed: the acceptance still stands.
    add(&mut later, 7, vec![began("apply", None), ended(true, 0, &[])]);
    assert!(fold(&later).deliverable());
    // Something was.
    let mut changed = later.clone();
    add(&mut changed, 8, vec![began("apply", None), ended(true, 1, &[])]);
    assert!(!fold(&changed).deliverable());
    // Something may have been: the run was cut off.
    add(&mut later, 8, vec![began("apply", None)]);
    let report = fold(&later);
    assert!(!report.deliverable() && report::html(&report).contains("Not accepted"));
    let mut owed = story();
    add(&mut owed, 7, vec![began("apply", None), ended(true, 0, &["two"])]);
    assert!(!fold(&owed).deliverable());
}

fn after(mut records: Vec<Record>, runs: Vec<Vec<Event>>) -> Vec<Record> {
    let at = records.last().unwrap().at;
    // Their numbers are lower than those before: the clock of the operator's machine was put back.
    let lowest = records.iter().map(|record| record.run).min().unwrap();
    for (run, events) in (lowest / 2..).zip(runs) {
        records.extend(events.into_iter().map(|event| Record { run, at, event }));
    }
    records
}

/// A good story whose runs have high numbers.
fn accepted() -> Vec<Record> {
    let mut records = story();
    for record in &mut records {
        record.run += 1_000_000;
    }
    assert!(fold(&records).deliverable());
    records
}

/// A site on which one check failed.
fn refused() -> Vec<Record> {
    let failed = vec![
        began("accept", None),
        check("dns.cluster", "one", Verdict::Passed, "NOERROR"),
        check("service.pods", "one", Verdict::Failed, "2 of 12 requests were not answered"),
        ended(false, 0, &[]),
    ];
    after(accepted(), vec![failed])
}

fn part(verdict: Verdict) -> Vec<Event> {
    let well = verdict == Verdict::Passed;
    vec![began_only("accept", &["dns"]), check("dns.cluster", "one", verdict, "asked"), ended(well, 0, &[])]
}

#[test]
fn a_partial_acceptance_never_replaces_a_whole_one() {
    // What failed stays failed, whatever part is checked later.
    let report = fold(&after(refused(), vec![part(Verdict::Passed)]));
    assert_eq!(report.hindrances(), ["1 checks failed"]);
    assert_eq!(report.acceptance().unwrap().tally.failed, 1);
    let [json, junit, html] = all(&report);
    assert!(json.contains("\"deliverable\": false"), "{json}");
    assert!(html.contains("验收未通过") && html.contains("Acceptance, only in part") && html.contains("only: dns"));
    assert!(junit.contains("checks of accept, only dns") && junit.contains("\"checks of accept\""), "{junit}");
    // What was accepted stays so, unless the part shows a fault.
    assert!(fold(&after(accepted(), vec![part(Verdict::Passed)])).deliverable());
    let report = fold(&after(accepted(), vec![part(Verdict::Failed)]));
    assert_eq!(report.hindrances(), ["1 checks failed since, of a part: dns"]);
    // A part alone is no acceptance.
    let report = fold(&records(vec![part(Verdict::Passed)]));
    assert_eq!(report.hindrances(), ["only a part was checked: dns"]);
    assert!(report::html(&report).contains("仅部分验收"));
    // A later whole acceptance makes the part old.
    let whole = vec![began("accept", None), check("dns.cluster", "one", Verdict::Passed, "y"), ended(true, 0, &[])];
    let report = fold(&after(accepted(), vec![part(Verdict::Failed), whole]));
    assert!(report.deliverable() && report.partial_acceptance().is_none(), "{:?}", report.hindrances());
}

#[test]
fn what_comes_after_an_acceptance_ends_it() {
    for verb in ["uninstall", "restore", "remove", "apply", "something-new"] {
        for end in [vec![], vec![ended(true, 3, &[])], vec![ended(false, 0, &[])]] {
            let report = fold(&after(accepted(), vec![[vec![began(verb, None)], end.clone()].concat()]));
            assert!(!report.deliverable(), "{verb} {end:?}");
        }
    }
    // Verbs of which the end says that nothing was changed, or that only look.
    for verb in ["check", "look", "plan", "backup"] {
        let report = fold(&after(accepted(), vec![vec![began(verb, None), ended(true, 0, &[])]]));
        assert!(report.deliverable(), "{verb} {:?}", report.hindrances());
    }
    // Records of a run of which the beginning is lost.
    let lost = fold(&after(accepted(), vec![step(Some(Outcome::Changed), None)]));
    assert!(!lost.deliverable());
    // An acceptance that was killed before its end.
    let cut = fold(&after(
        accepted(),
        vec![part(Verdict::Passed), vec![began("accept", None), check("a.b", "", Verdict::Passed, "")]],
    ));
    assert_eq!(cut.hindrances(), ["the acceptance was cut off"]);
    // A host that a restore could not reach stays pending until a plan is applied and accepted.
    let whole = || vec![began("accept", None), check("a.b", "", Verdict::Passed, ""), ended(true, 0, &[])];
    let restore = || vec![began("restore", None), ended(true, 5, &["two"])];
    assert!(!fold(&after(accepted(), vec![restore(), whole()])).deliverable());
    let apply = vec![began("apply", None), ended(true, 1, &[])];
    assert!(fold(&after(accepted(), vec![restore(), apply, whole()])).deliverable());
}

#[test]
fn a_damaged_journal_is_never_deliverable_and_says_so() {
    let lines: Vec<String> = accepted().iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    let whole = journal::parse((lines.join("\n") + "\n").as_bytes());
    assert!(report::fold(&whole).deliverable());
    for damaged in 0..lines.len() {
        let mut lines = lines.clone();
        lines[damaged].insert(1, '}');
        let report = report::fold(&journal::parse((lines.join("\n") + "\n").as_bytes()));
        assert!(!report.deliverable(), "line {damaged}");
        assert_eq!(report.damaged_lines, 1);
        let [json, junit, html] = all(&report);
        assert!(json.contains("1 lines of the journal can't be read") && json.contains("\"damagedLines\": 1"));
        assert!(junit.contains("1 lines of the journal can't be read"));
        assert!(html.contains("1 lines of the journal can't be read") && html.contains("日志已损坏"));
    }
    // A kill while a line was written is no damage: that run has no end, and a later one is judged for itself.
    let mut killed = lines.clone();
    killed.insert(2, "{\"run\":1,\"at\":\"20".to_owned());
    let report = report::fold(&journal::parse((killed.join("\n") + "\n").as_bytes()));
    assert_eq!((report.damaged_lines, report.cut_lines), (1, 0), "in the middle of a run it is");
    let last = lines.len();
    killed = lines;
    killed.push("{\"run\":1,\"at\":\"20".to_owned());
    let report = report::fold(&journal::parse(killed.join("\n").as_bytes()));
    assert_eq!((report.damaged_lines, report.cut_lines, report.deliverable()), (0, 1, true), "line {last}");
}

#[test]
fn a_bundle_that_was_only_looked_at_is_not_what_the_site_has() {
    let mut other = began("check", None);
    if let Event::Began { bundle, product, .. } = &mut other {
        (*bundle, *product) = (Some("sha256:b1".into()), Some("platform 2.0 serial 4".into()));
    }
    let report = fold(&after(accepted(), vec![vec![other, ended(true, 0, &[])]]));
    assert_eq!(
        (report.bundle.as_deref(), report.product.as_deref()),
        (Some("sha256:b0"), Some("platform 1.34 serial 3"))
    );
}

#[test]
fn a_large_journal_is_folded_once() {
    // 20,000 steps on as many hosts: with a search for each record this takes minutes.
    let mut events = vec![began("apply", None)];
    for n in 0..20_000 {
        let (step, host) = (format!("hosts.names/h{n}"), format!("h{n}"));
        events.push(Event::Step { step: step.clone(), host: host.clone(), title: "names".into() });
        events.push(Event::Retry { step: step.clone(), title: "t".into(), why: "w".into(), attempt: 2 });
        events.push(Event::Note { text: format!("note {n}") });
        events.push(Event::StepEnded { step, host, outcome: Outcome::Changed, why: None, ms: 1 });
    }
    let report = fold(&records(vec![events]));
    assert_eq!((report.steps.len(), report.notes.len(), report.runs[0].steps), (20_000, 20_000, 20_000));
    assert!(report.steps.iter().all(|step| step.retries == 1));
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
        let [json, junit, html] = all(&fold(&records));
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
