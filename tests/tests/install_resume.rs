//! A run that is killed at each line of its journal, and at random moments, goes on when it is run again: the end is
//! the same, and nothing that was done to its end is done a second time. In-process: real shells, real files, the
//! host's state folder moved below a temporary one. (Whole installs on real hosts are killed by `vm-tests run kill-resume`.)

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::TrustPolicy;
use ferry_engine::action::{Action, Block, Content, File, Folder, Run, Subject};
use ferry_engine::event::{Display, Event};
use ferry_engine::host::{
    Command, Host, HostError, HostErrorKind, LocalHost, Output, Progress, Redactor, Secret, Stream, Upload,
};
use ferry_engine::journal::{self, Journal};
use ferry_engine::plan::{FORMAT, Plan, Stage, Step};
use ferry_engine::run::{self, Workshop};
use ferry_engine::supply::Supply;
use ferry_engine::vault::{Vault, VaultKey};
use futures_util::future::BoxFuture;

/// Names the folder of a child process that is to be killed.
const CHILD: &str = "FERRY_RESUME_FOLDER";

/// This machine, with ferry's state folder below another one.
struct Moved {
    inner: LocalHost,
    state: String,
}

impl Host for Moved {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(async move {
            let mut command = command.clone();
            command.script = command.script.replace("/var/lib/ferry", &self.state);
            self.inner.run(&command).await
        })
    }
    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.upload(upload, progress)
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        self.inner.dial(address, port)
    }
}

/// A host whose connection breaks after each change, when it is done and before anybody has heard of it: once for each.
struct Breaking {
    inner: Moved,
    broken: std::sync::Mutex<BTreeSet<String>>,
}

impl Host for Breaking {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(async move {
            let output = self.inner.run(command).await?;
            let change = command.script.contains("f_log begin ");
            if change && self.broken.lock().expect("unpoisoned").insert(command.script.clone()) {
                return Err(HostError::new("one", HostErrorKind::Lost("cut by the test".into())));
            }
            Ok(output)
        })
    }
    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.upload(upload, progress)
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        self.inner.dial(address, port)
    }
}

struct Nobody;
impl Display for Nobody {
    fn show(&self, _: &Event) {}
}

/// Everything about one site: its folder holds the hosts' files, the bundle, the vault.
struct Bench {
    folder: PathBuf,
    owner: String,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let text = |flag: &str| {
            let output = Process::new("id").arg(flag).output().expect("id");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        Self { folder: folder.to_owned(), owner: format!("{}:{}", text("-un"), text("-gn")) }
    }

    /// What every site starts from: a bundle, and a vault with one secret.
    fn prepare(&self) {
        let fake = Fake::new(7, 300_000);
        let key = SecretKey::from_seed([7; 32]);
        std::fs::write(self.folder.join("a.ferry"), fake.bytes(std::slice::from_ref(&key)).expect("a bundle"))
            .expect("written");
        let mut vault = self.vault();
        vault.put("token", "abcdef.0123456789abcdef");
        vault.save().expect("saved");
    }

    fn vault(&self) -> Vault {
        let path = self.folder.join("identity");
        if !path.exists() {
            let (identity, _) = ferry_bundle_format::sign::secret::generate_identity();
            std::fs::write(&path, identity.as_str()).expect("written");
        }
        let identity = std::fs::read_to_string(&path).expect("read");
        Vault::open(&self.folder.join("vault.age"), VaultKey::Identity(Secret::new(identity))).expect("a vault")
    }

    fn supply(&self) -> Supply {
        let policy =
            TrustPolicy { keys: vec![SecretKey::from_seed([7; 32]).public()], threshold: 1, ..TrustPolicy::default() };
        let bundle = UnverifiedBundle::open(&self.folder.join("a.ferry"))
            .expect("opens")
            .trust(&policy, &Silent)
            .expect("trusted");
        Supply::of(Arc::new(bundle.verify(2, &Silent).expect("verified"))).expect("a supply")
    }

    /// One of each kind of action, the way the steps use them.
    fn plan(&self, supply: &Supply, vault: &Vault) -> Plan {
        let root = self.folder.join("host");
        let path = |name: &str| root.join(name).display().to_string();
        let owner = self.owner.as_str();
        let blob = supply.lock().files.first().expect("the fake carries a file");
        let secret = File {
            path: path("etc/token"),
            mode: 0o600,
            owner: owner.into(),
            content: vault.content("token").expect("put in"),
        };
        let program = File {
            path: path("bin/program"),
            mode: 0o755,
            owner: owner.into(),
            content: Content::Blob { digest: blob.digest, size: blob.size },
        };
        let counted = |name: &str| {
            let (file, log) = (path(name), path("log"));
            Run::unless(
                name,
                Subject::Other,
                format!("[ -s {file} ]"),
                format!("echo {name} >>{log}; echo made >{file}.part; sync; mv {file}.part {file}"),
            )
        };
        let first = vec![
            Action::Folder(Folder::new(path("etc"), 0o750).owner(owner)),
            Action::Folder(Folder::new(path("bin"), 0o755).owner(owner)),
            Action::File(File::text(path("etc/config"), "a = 1\n").owner(owner)),
            Action::File(secret),
            Action::Block(Block { path: path("etc/hosts"), name: "demo".into(), text: "10.0.0.1 one\n".into() }),
        ];
        let second = vec![
            Action::File(program),
            Action::Run(counted("once")),
            Action::Run(counted("stamped").stamped()),
            Action::File(File::text(path("etc/existing"), "new\n").mode(0o640).owner(owner)),
        ];
        let stage = |name: &str, actions| Stage {
            name: name.into(),
            steps: vec![Step::new(name, "one", name, actions)],
            serial: false,
        };
        Plan {
            format: FORMAT,
            cluster: "demo".into(),
            site: ferry_bundle_format::Digest::of(b"site"),
            bundle: supply.bundle().id(),
            product: "demo".into(),
            created: Timestamp::from_unix(0),
            stages: vec![stage("first", first), stage("second", second)],
        }
    }

    /// A host as it is before ferry.
    fn fresh_host(&self) {
        let host = self.folder.join("host");
        if host.exists() {
            std::fs::remove_dir_all(&host).expect("removed");
        }
        std::fs::create_dir_all(host.join("etc")).expect("made");
        std::fs::write(host.join("etc/existing"), "old\n").expect("written");
        std::fs::write(host.join("etc/hosts"), "127.0.0.1 localhost\n").expect("written");
    }

    /// Applies the plan in this process. Gives the number of changed actions.
    fn apply(&self) -> usize {
        let state = self.folder.join("host/state").display().to_string();
        self.apply_on(Arc::new(Moved { inner: LocalHost::new("one"), state }))
    }

    /// Applies the plan in this process to this host.
    fn apply_on(&self, host: Arc<dyn Host>) -> usize {
        self.apply_without(host, &BTreeSet::new()).changed
    }

    /// Applies the plan in this process to this host; others were away when it was made.
    fn apply_without(&self, host: Arc<dyn Host>, away: &BTreeSet<String>) -> run::Done {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (supply, vault) = (self.supply(), self.vault());
        let plan = self.plan(&supply, &vault);
        let redactor = Redactor::default();
        vault.teach(&redactor);
        let journal = Journal::open(&self.folder.join("journal.jsonl"), Arc::new(Nobody), redactor).expect("a journal");
        let hosts: BTreeMap<String, Arc<dyn Host>> = [("one".to_owned(), host)].into();
        let workshop = Workshop::new(Arc::new(supply), Arc::new(vault), journal, Vec::new());
        let done = runtime.block_on(run::apply(&plan, &hosts, away, &workshop));
        assert!(done.is_well(), "{:?}", done.failed);
        done
    }

    /// Applies the plan in a process of its own, which `kill` may end.
    fn apply_killed(&self, line: Option<u64>, after: Option<Duration>) -> bool {
        let mut process = Process::new(std::env::current_exe().expect("this test"));
        process
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(line) = line {
            process.env("FERRY_CRASH_AT_LINE", line.to_string());
        }
        let mut child = process.spawn().expect("spawned");
        if let Some(after) = after {
            std::thread::sleep(after);
            drop(child.kill());
        }
        child.wait().expect("ended").success()
    }

    /// Every file of the host with mode and content, but for times in the ledger.
    fn snapshot(&self) -> Vec<String> {
        let script = "find . -path ./state/ledger -prune -o -path ./log -prune -o \\( -type d -printf 'd %m %p\\n' \\) -o -type f -printf 'f %m ' -exec sha256sum {} \\; | sort";
        let output =
            Process::new("sh").args(["-c", script]).current_dir(self.folder.join("host")).output().expect("find");
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// How often each thing was done to its end, by the host's own ledger.
    fn done(&self) -> BTreeMap<String, usize> {
        let ledger = std::fs::read_to_string(self.folder.join("host/state/ledger")).expect("a ledger");
        let mut counts = BTreeMap::new();
        for line in ledger.lines() {
            if let Some((_, what)) = line.split_once(" done ") {
                *counts.entry(what.to_owned()).or_default() += 1;
            }
        }
        counts
    }
}

/// The process that is killed. Without a folder in the environment it is only asked to exist.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(CHILD) {
        Bench::new(Path::new(&folder)).apply();
    }
}

fn prepared() -> (tempfile::TempDir, Bench, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::new(folder.path());
    bench.prepare();
    bench.fresh_host();
    assert_eq!(bench.apply(), 9);
    let whole = bench.snapshot();
    assert!(whole.len() > 10, "{whole:?}");
    (folder, bench, whole)
}

fn is_root() -> bool {
    Process::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

#[test]
fn killed_at_each_line_of_the_journal_it_goes_on_to_the_same_end() {
    assert!(is_root() || std::env::var_os("CI").is_none(), "CI runs this as root");
    if !is_root() {
        // LocalHost changes files as root only; the real hosts of vm-tests need root anyway.
        return;
    }
    let (_folder, bench, whole) = prepared();
    let lines = std::fs::read_to_string(bench.folder.join("journal.jsonl")).expect("a journal").lines().count() as u64;
    assert!(lines >= 15, "{lines} lines");
    for line in 1..lines {
        bench.fresh_host();
        assert!(!bench.apply_killed(Some(line), None), "killed at line {line}");
        bench.apply();
        assert_eq!(bench.snapshot(), whole, "after a kill at line {line}");
        let twice: Vec<_> = bench.done().into_iter().filter(|(_, times)| *times > 1).collect();
        assert!(twice.is_empty(), "done twice after a kill at line {line}: {twice:?}");
    }
}

#[test]
fn killed_at_random_moments_it_goes_on_to_the_same_end() {
    if !is_root() {
        return;
    }
    let (_folder, bench, whole) = prepared();
    let mut seed = 20_261_121_u64;
    for round in 0..30 {
        bench.fresh_host();
        // Several kills on the way: each run gets a little further.
        for _ in 0..3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if bench.apply_killed(None, Some(Duration::from_millis(seed >> 56))) {
                break;
            }
        }
        bench.apply();
        assert_eq!(bench.snapshot(), whole, "round {round}");
        assert_eq!(bench.apply(), 0, "round {round}: a second time there is nothing to do");
    }
}

#[test]
fn what_was_done_when_the_connection_broke_is_not_done_again() {
    if !is_root() {
        return;
    }
    let (_folder, bench, whole) = prepared();
    bench.fresh_host();
    let state = bench.folder.join("host/state").display().to_string();
    let inner = Moved { inner: LocalHost::new("one"), state };
    let broken = std::sync::Mutex::default();
    assert_eq!(bench.apply_on(Arc::new(Breaking { inner, broken })), 9);
    assert_eq!(bench.snapshot(), whole);
    let log = std::fs::read_to_string(bench.folder.join("host/log")).expect("a log");
    assert_eq!(log, "once\nstamped\n");
    let mut done = bench.done();
    // Its script only keeps what was there before: the content comes after it, and was not there yet.
    done.retain(|what, _| !what.ends_with("bin/program"));
    assert!(done.len() == 8 && done.values().all(|times| *times == 1), "{done:?}");
}

#[test]
fn a_host_that_was_away_when_the_plan_was_made_is_owed_and_the_report_says_so() {
    if !is_root() {
        return;
    }
    let (_folder, bench, whole) = prepared();
    bench.fresh_host();
    let state = bench.folder.join("host/state").display().to_string();
    let host = Arc::new(Moved { inner: LocalHost::new("one"), state });
    let away = BTreeSet::from(["two".to_owned()]);
    let done = bench.apply_without(host, &away);
    assert_eq!((done.changed, done.owed), (9, away));
    assert_eq!(bench.snapshot(), whole);
    let records = journal::read(&bench.folder.join("journal.jsonl")).expect("a journal").records;
    let ended = records.into_iter().rev().find_map(|record| match record.event {
        Event::Ended { owed, summary, .. } => Some((owed, summary)),
        _ => None,
    });
    let (owed, summary) = ended.expect("an end");
    assert_eq!(owed, ["two"]);
    assert!(summary.ends_with("not reached and owed their steps: two"), "{summary}");
}

#[test]
fn a_second_time_nothing_changes_not_even_a_file_time() {
    if !is_root() {
        return;
    }
    let (_folder, bench, _) = prepared();
    let times = || {
        let script = "find host -printf '%p %i %T@ %C@\\n' | sort";
        Process::new("sh").args(["-c", script]).current_dir(&bench.folder).output().expect("find").stdout
    };
    let before = times();
    assert_eq!(bench.apply(), 0);
    assert_eq!(String::from_utf8_lossy(&before), String::from_utf8_lossy(&times()));
}
