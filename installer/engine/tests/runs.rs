//! What a run makes of faults: which of them fail it, which leave a host's work pending, and what the journal says of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::TrustPolicy;
use ferry_engine::action::{Action, Push, Run, State, Subject};
use ferry_engine::event::{Display, Event, Outcome};
use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Redactor, Secret, Stream, Upload};
use ferry_engine::journal::{self, Journal};
use ferry_engine::plan::{self, FORMAT, Plan, Stage, Step};
use ferry_engine::rounds::{self, Round, Task};
use ferry_engine::run::{self, Stop, Workshop};
use ferry_engine::supply::Supply;
use ferry_engine::vault::{Vault, VaultKey};
use futures_util::future::BoxFuture;

struct Nobody;
impl Display for Nobody {
    fn show(&self, _: &Event) {}
}

/// What a host answers to every command.
type Answer = fn() -> Result<Output, HostErrorKind>;
type Answers = Box<dyn Fn(&Command) -> Result<Output, HostErrorKind> + Send + Sync>;

/// A host that answers as a test says.
struct Scripted {
    name: String,
    answers: Answers,
}

impl Host for Scripted {
    fn name(&self) -> &str {
        &self.name
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        let answer = (self.answers)(command).map_err(|kind| HostError::new(&self.name, kind));
        Box::pin(std::future::ready(answer))
    }
    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        let kind = HostErrorKind::Unreachable { address: format!("{address}:{port}"), why: "refused".into() };
        let error = HostError::new(&self.name, kind);
        Box::pin(std::future::ready(Err(error)))
    }
}

fn output(status: i32, text: &str) -> Output {
    Output { status, stdout: text.as_bytes().to_vec(), stderr: Vec::new() }
}

/// A folder with a bundle, a vault and a journal.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed([7; 32]);
        std::fs::write(folder.path().join("a.ferry"), Fake::new(7, 10_000).bytes(&[key]).unwrap()).unwrap();
        Self(folder)
    }

    fn workshop(&self) -> Workshop {
        let keys = vec![SecretKey::from_seed([7; 32]).public()];
        let policy = TrustPolicy { keys, threshold: 1, ..TrustPolicy::default() };
        let bundle = UnverifiedBundle::open(&self.0.path().join("a.ferry")).unwrap().trust(&policy, &Silent).unwrap();
        let supply = Supply::of(Arc::new(bundle.verify(2, &Silent).unwrap())).unwrap();
        let (identity, _) = ferry_bundle_format::sign::secret::generate_identity();
        let key = VaultKey::Identity(Secret::new(identity.as_str()));
        let vault = Vault::open(&self.0.path().join("vault.age"), key).unwrap();
        let journal = Journal::open(&self.journal(), Arc::new(Nobody), Redactor::default()).unwrap();
        let mut workshop = Workshop::new(Arc::new(supply), Arc::new(vault), journal, Vec::new());
        workshop.pause = std::time::Duration::ZERO;
        workshop
    }

    fn journal(&self) -> std::path::PathBuf {
        self.0.path().join("journal.jsonl")
    }

    /// How each step ended, by the journal.
    fn ended(&self) -> BTreeMap<String, Outcome> {
        let records = journal::read(&self.journal()).unwrap().records;
        let ended = records.into_iter().filter_map(|record| match record.event {
            Event::StepEnded { step, outcome, .. } => Some((step, outcome)),
            _ => None,
        });
        ended.collect()
    }
}

/// A plan with one command a host.
fn plan(hosts: &[(&str, bool)]) -> Plan {
    let step = |(host, essential): &(&str, bool)| {
        let run = Run::unless("the command", Subject::Other, "[ -e /made ]", "touch /made");
        let mut step = Step::new("stage.step", host, "a step", vec![Action::Run(run)]);
        step.essential = *essential;
        step.actions[0].before = Some(State { satisfied: false, seen: "no".into() });
        step
    };
    Plan {
        format: FORMAT,
        cluster: "demo".into(),
        site: Digest::of(b"site"),
        bundle: Digest::of(b"bundle"),
        product: "demo".into(),
        created: Timestamp::from_unix(0),
        stages: vec![Stage { name: "stage".into(), steps: hosts.iter().map(step).collect(), serial: false }],
    }
}

fn hosts(of: impl IntoIterator<Item = (&'static str, Answer)>) -> BTreeMap<String, Arc<dyn Host>> {
    let host = |(name, answer): (&'static str, Answer)| {
        let host = Scripted { name: name.into(), answers: Box::new(move |_| answer()) };
        (name.to_owned(), Arc::new(host) as Arc<dyn Host>)
    };
    of.into_iter().map(host).collect()
}

const WELL: Answer = || Ok(output(0, "@ferry-marks w\n\n@ferry-seen w 0 yes\n"));
const SILENT: Answer = || Ok(output(0, "nothing of ours\n"));
const KILLED: Answer = || Ok(output(137, ""));
const AWAY: Answer =
    || Err(HostErrorKind::Unreachable { address: "10.0.0.9:22".into(), why: "no route to host".into() });
const CANCELLED: Answer = || Err(HostErrorKind::Cancelled);

#[tokio::test]
async fn a_worker_with_a_broken_tool_has_failed_and_one_that_is_away_is_pending() {
    for (answer, failed) in [
        (SILENT as Answer, true),
        (KILLED, true),
        (|| Err(HostErrorKind::Cut("the session ended with status 137, and the command without one".into())), true),
        (|| Err(HostErrorKind::Protocol { what: "x".into(), said: "y".into() }), true),
        (AWAY, false),
        (|| Err(HostErrorKind::Lost("reset".into())), false),
    ] {
        let bench = Bench::new();
        let workshop = bench.workshop();
        let hosts = hosts([("one", WELL as Answer), ("worker", answer)]);
        let done = run::apply(&plan(&[("one", true), ("worker", false)]), &hosts, &BTreeSet::new(), &workshop).await;
        assert_eq!((done.failed.len(), done.owed.len()), if failed { (1, 0) } else { (0, 1) }, "{:?}", done.failed);
        // The journal says the same as the exit code.
        let ended = if failed { Outcome::Failed } else { Outcome::Owed };
        assert_eq!(bench.ended()["stage.step/worker"], ended, "{:?}", done.failed);
    }
}

#[tokio::test]
async fn an_essential_host_that_is_away_has_failed_in_the_journal_too() {
    let bench = Bench::new();
    let hosts = hosts([("one", AWAY as Answer)]);
    let done = run::apply(&plan(&[("one", true)]), &hosts, &BTreeSet::new(), &bench.workshop()).await;
    assert_eq!((done.failed.len(), done.owed.len()), (1, 0));
    assert_eq!(bench.ended()["stage.step/one"], Outcome::Failed);
}

#[tokio::test]
async fn a_step_of_a_host_that_the_site_does_not_have_is_an_error() {
    let bench = Bench::new();
    let workshop = bench.workshop();
    let plan = plan(&[("gone", false)]);
    let done = run::apply(&plan, &BTreeMap::new(), &BTreeSet::new(), &workshop).await;
    assert!(!done.is_well() && done.failed[0].0 == "stage.step/gone", "{done:?}");
    let error = plan::drift(&plan, &BTreeMap::new(), &BTreeSet::new(), &workshop).await.unwrap_err();
    assert!(matches!(error.kind, HostErrorKind::NotInSite), "{error}");
    let round = Round { name: "round".into(), tasks: vec![Task::new("a", "gone", "t", "true").owed()] };
    let done = rounds::run(&[round], &BTreeMap::new(), &workshop.journal, &Stop::default()).await;
    assert!(!done.is_well() && done.failed[0].0 == "a/gone", "{done:?}");
}

#[tokio::test]
async fn a_look_that_was_killed_is_not_taken_for_no_drift() {
    let bench = Bench::new();
    let workshop = bench.workshop();
    let plan = plan(&[("one", true)]);
    for answer in [KILLED as Answer, SILENT] {
        let outcome = plan::drift(&plan, &hosts([("one", answer)]), &BTreeSet::new(), &workshop).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error.kind, HostErrorKind::Protocol { .. }) && !error.is_absence(), "{error}");
        assert!(error.to_string().contains("the command"), "{error}");
    }
    let error = plan::drift(&plan, &hosts([("one", KILLED as Answer)]), &BTreeSet::new(), &workshop).await.unwrap_err();
    assert!(error.to_string().contains("137"), "the status is told: {error}");
    // A host that can't be reached is left out, and what changed is found.
    let drift =
        async |answer| plan::drift(&plan, &hosts([("one", answer)]), &BTreeSet::new(), &workshop).await.unwrap();
    assert!(drift(AWAY).await.is_empty());
    let changed = drift(|| Ok(output(0, "@ferry-marks w\n@ferry-probe w 0\nother\n"))).await;
    assert!(changed.len() == 1 && changed[0].now == "other", "{changed:?}");
}

#[tokio::test]
async fn what_was_cancelled_is_not_tried_again() {
    let bench = Bench::new();
    let hosts = hosts([("one", CANCELLED as Answer)]);
    let done = run::apply(&plan(&[("one", false)]), &hosts, &BTreeSet::new(), &bench.workshop()).await;
    let run::StepError::Host { source, .. } = &done.failed[0].1 else { panic!("{done:?}") };
    assert!(matches!(source.kind, HostErrorKind::Cancelled), "{source}");
    let retried = journal::read(&bench.journal()).unwrap().records;
    assert!(!retried.iter().any(|record| matches!(record.event, Event::Retry { .. })));
}

/// A host that is there, with a registry that does wrong.
struct WithRegistry(Wrong);

#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// Nothing listens.
    Closed,
    /// It accepts and says nothing.
    Silent,
    /// It is no TLS server.
    Plain,
}

impl Host for WithRegistry {
    fn name(&self) -> &'static str {
        "one"
    }
    fn run<'a>(&'a self, _: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(std::future::ready(Ok(output(0, ""))))
    }
    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let wrong = self.0;
        if wrong == Wrong::Closed {
            let kind = HostErrorKind::Unreachable { address: format!("{address}:{port}"), why: "refused".into() };
            return Box::pin(std::future::ready(Err(HostError::new("one", kind))));
        }
        tokio::spawn(async move {
            if wrong == Wrong::Plain {
                let text = b"HTTP/1.1 400 Bad Request\r\n\r\n";
                drop(tokio::io::AsyncWriteExt::write_all(&mut theirs, text).await);
            }
            std::future::pending::<()>().await;
        });
        Box::pin(std::future::ready(Ok(Box::new(ours) as Box<dyn Stream>)))
    }
}

/// A plan that fills a registry, and a workshop whose vault has what that needs.
fn pushing(bench: &Bench) -> (Plan, Workshop) {
    let mut plan = plan(&[("one", false)]);
    let push = Push { server: "registry".into(), port: 5001, images: Vec::new(), files: Vec::new(), bytes: 0 };
    plan.stages[0].steps[0] = Step::new("registry.content", "one", "content", vec![Action::Push(push)]);
    plan.stages[0].steps[0].essential = false;
    let mut workshop = bench.workshop();
    let (identity, _) = ferry_bundle_format::sign::secret::generate_identity();
    let key = VaultKey::Identity(Secret::new(identity.as_str()));
    let mut vault = Vault::open(&bench.0.path().join("another.age"), key).unwrap();
    vault.put("registry/ca.crt", "");
    vault.put("registry/push.password", "x");
    workshop.vault = Arc::new(vault);
    workshop.patience = std::time::Duration::from_millis(50);
    (plan, workshop)
}

#[tokio::test]
async fn a_registry_that_does_wrong_is_no_host_that_is_away_and_is_not_waited_for() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    for (wrong, said, tries) in [
        (Wrong::Silent, "no answer in the TLS handshake", 3),
        (Wrong::Plain, "TLS of the registry", 0),
        (Wrong::Closed, "nothing listens", 3),
    ] {
        let bench = Bench::new();
        let (plan, workshop) = pushing(&bench);
        let hosts: BTreeMap<String, Arc<dyn Host>> = [("one".to_owned(), Arc::new(WithRegistry(wrong)) as _)].into();
        let done = run::apply(&plan, &hosts, &BTreeSet::new(), &workshop).await;
        assert!(done.owed.is_empty(), "{said}: {done:?}");
        let retried = journal::read(&bench.journal()).unwrap().records;
        let retried = retried.iter().filter(|record| matches!(record.event, Event::Retry { .. })).count();
        let run::StepError::Host { source, .. } = &done.failed[0].1 else { panic!("{done:?}") };
        assert!(source.to_string().contains(said) && !source.is_absence(), "{source}");
        assert_eq!(retried, tries, "{source}");
    }
}

#[tokio::test]
async fn a_silent_registry_is_left_at_once_when_everything_is_ended() {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let bench = Bench::new();
    let (plan, mut workshop) = pushing(&bench);
    workshop.patience = std::time::Duration::from_secs(3600);
    let stop = workshop.stop.clone();
    let hosts: BTreeMap<String, Arc<dyn Host>> =
        [("one".to_owned(), Arc::new(WithRegistry(Wrong::Silent)) as _)].into();
    let away = BTreeSet::new();
    let run = run::apply(&plan, &hosts, &away, &workshop);
    let press = async {
        tokio::task::yield_now().await;
        stop.ask();
        tokio::task::yield_now().await;
        stop.abort();
    };
    let (done, ()) = tokio::join!(run, press);
    let run::StepError::Host { source, .. } = &done.failed[0].1 else { panic!("{done:?}") };
    assert!(matches!(source.kind, HostErrorKind::Cancelled), "{source}");
}
