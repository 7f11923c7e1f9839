//! Acceptance of a site whose host is away or loses power meanwhile: it is looked for once, then everything that needs it
//! fails at once. What is counted is how often somebody tries to reach a host that has no power: each try may take as long as
//! a connection's time-out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::Quiet;
use crate::scripted::Scripted;
use crate::scripted::node::{self, Authorities, Authority};
use ferry_bundle_format::{Arch, Digest};
use ferry_engine::accept::{self, AcceptNeeds, CHECKS, Verdicts};
use ferry_engine::event::Verdict;
use ferry_engine::host::fake::{Answer, FakeHost, Nature};
use ferry_engine::host::known::KnownKeys;
use ferry_engine::host::ssh::{self, Settings};
use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Redactor, Secret, Stream, Upload};
use ferry_engine::journal::Journal;
use ferry_engine::site::file::SecretRef;
use ferry_engine::site::{self, Site};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

const SITE: &str = "apiVersion: ferry.dev/v1
kind: Site
cluster: lab
domain: lab.local
vault: {passphrase: {env: X}}
hosts:
- {name: node1, address: 10.77.0.11, roles: [control-plane, worker, etcd, registry]}
network: {kind: host-routes}
time: {servers: [10.77.0.1]}
";

/// A host whose power goes after so many commands.
struct Failing {
    inner: Scripted,
    left: AtomicUsize,
    /// Commands that were begun without power.
    dark: Arc<AtomicUsize>,
}

impl Failing {
    fn lit(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }

    fn lost() -> HostError {
        let address = "10.77.0.11:22".to_owned();
        HostError::new("node1", HostErrorKind::Unreachable { address, why: "no answer for 20 s".into() })
    }
}

impl Host for Failing {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        async move {
            if self.lit() {
                return self.inner.run(command).await;
            }
            self.dark.fetch_add(1, Ordering::SeqCst);
            Err(Self::lost())
        }
        .boxed()
    }
    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.upload(upload, progress)
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        self.inner.dial(address, port)
    }
}

fn needs() -> AcceptNeeds {
    AcceptNeeds {
        probe: BTreeMap::from([(Arch::Amd64, Digest::of(b"the probe's manifest"))]),
        patience: Duration::from_secs(180),
        ..AcceptNeeds::default()
    }
}

fn site() -> Site {
    site::read(Path::new("site.yaml"), SITE).expect("a site")
}

async fn accept(host: Arc<dyn Host>) -> Verdicts {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::open(&folder.path().join("j"), Arc::new(Quiet), Redactor::default()).expect("a journal");
    accept::run(&site(), &BTreeMap::from([("node1".to_owned(), host)]), &journal, &needs()).await
}

/// A healthy node that loses power after so many commands: the verdicts, and the commands begun in the dark.
async fn without_power_after(commands: usize) -> (Verdicts, usize) {
    let authorities = Authorities {
        cluster: Authority::new("kubernetes"),
        etcd: Authority::new("etcd-ca"),
        registry: Authority::new("ferry-registry-ca"),
    };
    let inner = node::healthy(&authorities, &Digest::of(b"the probe's manifest").to_string());
    let dark = Arc::new(AtomicUsize::new(0));
    let host = Failing { inner, left: AtomicUsize::new(commands), dark: dark.clone() };
    let verdicts = accept(Arc::new(host)).await;
    (verdicts, dark.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_host_that_is_away_is_looked_for_once() {
    let (verdicts, dark) = without_power_after(0).await;
    assert_eq!(dark, 2, "one look: an old connection, then a new one");
    assert!(!verdicts.well() && verdicts.failed >= CHECKS.len() - 6, "{}", verdicts.summary());
    let told = |one: &&(&str, accept::Finding)| one.1.evidence.contains("unreachable");
    assert!(verdicts.findings.iter().filter(told).count() >= 20, "{:#?}", verdicts.findings);
    let arena: Vec<_> = verdicts.findings.iter().filter(|one| one.0.starts_with("dns.")).collect();
    assert!(arena.iter().all(|one| one.1.verdict == Verdict::Failed && one.1.subject == "node1"), "{arena:#?}");
}

#[tokio::test]
async fn a_host_that_loses_power_meanwhile_is_given_up_wherever_that_is() {
    for commands in [2, 5, 9, 14, 20, 30, 45] {
        let (verdicts, dark) = without_power_after(commands).await;
        assert!((1..=4).contains(&dark), "after {commands}: {dark} commands begun in the dark");
        assert!(!verdicts.well(), "after {commands}");
    }
}

#[tokio::test]
async fn over_ssh_a_host_that_goes_off_ends_the_checks() {
    let nature = Nature { handler: Arc::new(|_| Answer::text("{\"items\":[]}")), ..Nature::default() };
    let fake = FakeHost::start(nature).await.expect("a host");
    let folder = tempfile::tempdir().expect("a folder");
    let known = KnownKeys::new(folder.path().join("keys"));
    let mut settings = Settings::new(folder.path(), Arc::new(Password), known);
    settings.first_sight = Arc::new(ssh::Answer::Accept);
    let host = Arc::new(ssh::SshHost::idle(&fake.site_host("node1"), &settings));
    let running = tokio::spawn(accept(host));
    while fake.asked().len() < 8 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.off();
    let verdicts = running.await.expect("it ends");
    let unreachable = verdicts.findings.iter().filter(|one| one.1.evidence.contains("unreachable")).count();
    assert!(unreachable >= 15 && !verdicts.well(), "{:#?}", verdicts.findings);
}

struct Password;
impl ssh::Secrets for Password {
    fn get<'a>(&'a self, _: &'a SecretRef) -> BoxFuture<'a, Result<Secret, HostError>> {
        Box::pin(std::future::ready(Ok(Secret::new("x"))))
    }
}
