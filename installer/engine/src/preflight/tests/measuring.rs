//! Measuring for real: two hosts in network namespaces with a wire between them, the real probe, real filters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferry_bundle_format::Digest;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::{Findings, Measurements, Outcome, ProbeFile, measure};
use super::site::World;
use crate::host::{Bytes, Command, Host, HostError, LocalHost, Output, Progress, Stream, Upload, quote};
use crate::site::file::Role;
use crate::site::types::DataDir;

/// A host that is a network namespace of this machine, with a folder of its own for programs.
struct InNamespace {
    here: LocalHost,
    space: String,
    uploads: Arc<AtomicUsize>,
    /// What the host does not have.
    lacks: &'static str,
}

impl InNamespace {
    fn moved(&self, text: &str) -> String {
        text.replace("/var/lib/ferry", &format!("/var/tmp/{}", self.space))
    }
}

impl Host for InNamespace {
    fn name(&self) -> &str {
        self.here.name()
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        let script = match self.lacks {
            "" => self.moved(&command.script),
            lacks => self.moved(&command.script).replace(&format!("command -v {lacks}"), "false"),
        };
        let script = format!("ip netns exec {} sh -c {}", self.space, quote(&script));
        async move {
            let mut output = self.here.run(&Command { script, ..command.clone() }).await?;
            // What the host says of its folders is moved back.
            let own = format!("/var/tmp/{}", self.space);
            output.stdout = output.text().replace(&own, "/var/lib/ferry").into_bytes();
            Ok(output)
        }
        .boxed()
    }
    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.uploads.fetch_add(1, Ordering::Relaxed);
        let upload = Upload { path: self.moved(&upload.path), ..upload.clone() };
        async move { self.here.upload(&upload, progress).await }.boxed()
    }
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        self.here.dial(address, port)
    }
}

fn sh(script: &str) -> bool {
    Process::new("sh").args(["-c", script]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Two namespaces; gone with the test.
struct Wire([String; 2]);

impl Wire {
    fn make() -> Option<Self> {
        let id = std::process::id();
        let wire = Self([format!("ferry-m1-{id}"), format!("ferry-m2-{id}")]);
        let [a, b] = &wire.0;
        let script = format!(
            "set -e; ip netns add {a}; ip netns add {b}
             ip link add fm1{id} netns {a} type veth peer name fm2{id} netns {b}
             ip -n {a} addr add 10.0.0.11/24 dev fm1{id}; ip -n {b} addr add 10.0.0.12/24 dev fm2{id}
             ip -n {a} link set fm1{id} up; ip -n {b} link set fm2{id} up; ip -n {a} link set lo up; ip -n {b} link set lo up"
        );
        sh(&script).then_some(wire)
    }

    fn hosts(&self, uploads: &Arc<AtomicUsize>, lacks: &'static str) -> BTreeMap<String, Arc<dyn Host>> {
        let host = |name: &str, space: &String| {
            let (space, uploads) = (space.clone(), uploads.clone());
            let host = InNamespace { here: LocalHost::new(name), space, uploads, lacks };
            (name.to_owned(), Arc::new(host) as Arc<dyn Host>)
        };
        BTreeMap::from([host("node1", &self.0[0]), host("node2", &self.0[1])])
    }

    /// Sets the only filter rule of the first host.
    fn filter(&self, rule: &str) -> bool {
        let begin = "add table inet t; add chain inet t i { type filter hook input priority 0; }; flush chain inet t i";
        sh(&format!("ip netns exec {} nft '{begin}; add rule inet t i {rule}'", self.0[0]))
    }

    fn is_clean(&self) -> bool {
        self.0.iter().all(|space| {
            let folder = PathBuf::from(format!("/var/tmp/{space}"));
            !folder.exists() && sh(&format!("test -z \"$(ip netns pids {space})\""))
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for space in &self.0 {
            sh(&format!("ip netns pids {space} | xargs -r kill; ip netns del {space}; rm -rf /var/tmp/{space}"));
        }
    }
}

/// The real probe, built if it is not there.
fn probe() -> ProbeFile {
    let built = Process::new(env!("CARGO")).args(["build", "--quiet", "--locked", "--package", "ferry-probe"]).status();
    assert!(built.is_ok_and(|status| status.success()), "the probe is built");
    let this = std::env::current_exe().expect("a path");
    let path = this.ancestors().nth(2).expect("target/debug").join("ferry-probe");
    let bytes = std::fs::read(path).expect("the probe");
    ProbeFile { digest: Digest::of(&bytes), source: Arc::new(Bytes(Arc::new(bytes))) }
}

fn failed(findings: &Findings) -> BTreeSet<(String, Option<String>, Option<String>)> {
    let measured = ["ports.bind", "disk.fsync", "network.reach", "network.payload"];
    let failures = findings.failures().into_iter().filter(|one| measured.contains(&one.check.as_str()));
    failures.map(|one| (one.check.clone(), one.host.clone(), one.peer.clone())).collect()
}

#[expect(clippy::print_stderr, reason = "a test that can't run says so")]
#[tokio::test]
async fn ports_disks_and_wires_are_measured_and_nothing_stays() {
    let Some(wire) = Wire::make() else {
        eprintln!("not run: network namespaces can't be made here");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::healthy();
    world.site.etcd.data_dir = DataDir::of_test(&folder.path().join("not/there yet"));
    // A slow disk is not what is tested.
    world.site.thresholds.insert("disk.fsync".into(), 1e6);
    let probes = BTreeMap::from([("amd64".to_owned(), probe())]);
    let uploads = Arc::new(AtomicUsize::new(0));
    let hosts = wire.hosts(&uploads, "");
    // What a run that was killed on the way has left, both times of nobody who is alive; and what is none of ours.
    let left = PathBuf::from(format!("/var/tmp/{}/probe-owner", wire.0[0]));
    std::fs::create_dir_all(&left).expect("made");
    std::fs::set_permissions(&left, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("root's alone");
    std::fs::write(left.join("probe"), "half of it").expect("written");
    let [timed, other] = [".ferry-fsync-1", ".other-fsync-1"].map(|name| folder.path().join(name));
    for file in [&timed, &other] {
        std::fs::write(file, "Z").expect("written");
    }

    world.measurements = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    let findings = world.check();
    assert_eq!(failed(&findings), BTreeSet::new(), "{:#?}", world.measurements);
    let passed = |id: &str| {
        let mut found = findings.findings.iter().filter(|one| one.check == id);
        found.any(|one| matches!(one.outcome, Outcome::Passed { .. }))
    };
    assert!(["ports.bind", "disk.fsync", "network.reach", "network.payload"].into_iter().all(passed));
    assert!(world.measurements.hosts.values().all(|one| one.problems.is_empty()), "{:#?}", world.measurements);
    let fsync = world.measurements.hosts["node1"].fsync.expect("measured");
    assert!(fsync.writes > 0 && fsync.p50_ms <= fsync.p99_ms && fsync.p99_ms <= fsync.max_ms, "{fsync:?}");
    assert!(wire.is_clean());
    assert!(!timed.exists() && other.exists());
    assert_eq!(uploads.swap(0, Ordering::Relaxed), 1, "the second host has it from the first");

    // Once is enough for the disk: it takes a while.
    world.site.hosts[0].roles.retain(|role| *role != Role::Etcd);
    if !wire.filter("udp dport 4789 drop") {
        eprintln!("not run further: packet filters can't be set here");
        return;
    }
    let without_curl = wire.hosts(&uploads, "curl");
    world.measurements = measure(&world.site, &without_curl, &world.facts, &probes, "owner").await;
    assert_eq!(uploads.swap(0, Ordering::Relaxed), 1, "bash will do");
    assert!(wire.filter("tcp flags & (syn | ack) == syn tcp dport 32768-60999 drop"));
    world.measurements = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    assert_eq!(uploads.swap(0, Ordering::Relaxed), 2, "a filter in the way does not stop it");
    assert!(world.measurements.hosts.values().all(|one| one.problems.is_empty()), "{:#?}", world.measurements);
    assert!(wire.filter("udp dport 4789 drop"));
    let pair = |id: &str| (id.to_owned(), Some("node2".to_owned()), Some("node1".to_owned()));
    world.measurements = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    assert_eq!(failed(&world.check()), BTreeSet::from([pair("network.reach"), pair("network.payload")]));

    // Only what is big is lost, and a port is taken that no list shows.
    assert!(wire.filter("udp dport 4789 meta length > 1400 drop"));
    let file = folder.path().join("probe");
    std::io::copy(&mut probes["amd64"].source.open_at(0).unwrap(), &mut std::fs::File::create(&file).unwrap()).unwrap();
    let program = quote(&file.display().to_string());
    let serve = format!("chmod 700 {program}; exec {program} serve --listen tcp:10257 --for 300 --token x");
    let mut taken = Process::new("ip");
    taken.args(["netns", "exec", &wire.0[0], "sh", "-c", &serve]);
    let mut taken = taken.stdout(Stdio::piped()).spawn().expect("the probe runs");
    let mut said = String::new();
    let mut reader = std::io::BufReader::new(taken.stdout.take().expect("piped"));
    while !said.contains("ready") {
        assert!(std::io::BufRead::read_line(&mut reader, &mut said).expect("a line") > 0, "it never got ready");
    }
    world.measurements = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    taken.kill().and_then(|()| taken.wait()).expect("it ends");
    let bind = ("ports.bind".to_owned(), Some("node1".to_owned()), None);
    assert_eq!(failed(&world.check()), BTreeSet::from([bind, pair("network.payload")]), "{:#?}", world.measurements);
    assert!(wire.is_clean());
}

#[tokio::test]
async fn a_host_without_a_probe_is_not_measured() {
    let world = World::healthy();
    let hosts = BTreeMap::from([("node1".to_owned(), Arc::new(LocalHost::new("node1")) as Arc<dyn Host>)]);
    let found: Measurements = measure(&world.site, &hosts, &world.facts, &BTreeMap::new(), "owner").await;
    assert_eq!(found.not_measured.as_deref(), Some("the bundle has no probe for amd64"));
    assert!(found.dialled.is_empty() && found.hosts["node1"].binds.is_empty());
}

/// What each of two hosts was asked to do, by the programs it was asked to run.
struct Heard {
    name: &'static str,
    verbs: std::sync::Mutex<Vec<String>>,
}

impl Host for Heard {
    fn name(&self) -> &str {
        self.name
    }
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        let verbs = ["bind", "fsync", "serve", "dial", "clock"];
        // The program stands alone, then its verb.
        let said = verbs.into_iter().find(|verb| command.script.contains(&format!("/probe {verb}")));
        let mut stdout = "{\"ready\":true}\n".to_owned();
        if let Some(verb) = said {
            let words = command.script.split_whitespace().map(|word| word.trim_end_matches(';'));
            let targets = words.filter(|word| word.starts_with("tcp:") || word.starts_with("udp:"));
            let targets: Vec<&str> = targets.collect();
            for target in &targets {
                let (protocol, port) = (&target[..3], target.rsplit(':').next().unwrap_or_default());
                stdout.push_str(&format!("{{\"protocol\":\"{protocol}\",\"port\":{port},\"ok\":true,\"ms\":1.0}}\n"));
            }
            if verb == "dial" {
                stdout = stdout.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            }
            self.verbs.lock().unwrap().push(format!("{verb} {}", targets.join(" ")));
        }
        if said.is_none() {
            // The folder that was made for the probe.
            stdout.push_str("/var/lib/ferry/probe-owner\n");
        }
        let output = Output { status: 0, stdout: stdout.into_bytes(), stderr: Vec::new() };
        Box::pin(std::future::ready(Ok(output)))
    }
    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        unreachable!("measuring dials on the hosts")
    }
}

#[tokio::test]
async fn a_new_host_is_measured_from_those_on_which_ferry_has_built_and_they_are_left_alone() {
    let mut world = World::healthy();
    let built = world.site.hosts[0].name.clone();
    world.facts.get_mut(&built).unwrap().ferry = vec!["ledger".into()];
    let heard = ["node1", "node2"].map(|name| Arc::new(Heard { name, verbs: std::sync::Mutex::default() }));
    let hosts: BTreeMap<String, Arc<dyn Host>> =
        heard.iter().map(|host| (host.name.to_owned(), host.clone() as Arc<dyn Host>)).collect();
    let file = ProbeFile { source: Arc::new(Bytes(Arc::new(vec![1]))), digest: Digest::of(&[1]) };
    let probes = BTreeMap::from([("amd64".to_owned(), file)]);
    let found = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    let verbs = |n: usize| {
        heard[n]
            .verbs
            .lock()
            .unwrap()
            .iter()
            .map(|said| said.split(' ').next().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert!(!verbs(0).contains("serve") && !verbs(0).contains("bind") && !verbs(0).contains("fsync"), "{:?}", verbs(0));
    assert!(
        verbs(0).contains("dial") && verbs(1).contains("serve") && verbs(1).contains("bind"),
        "{:?} {:?}",
        verbs(0),
        verbs(1)
    );
    assert!(
        found.dialled.iter().any(|one| one.dial.from == "node1" && one.dial.to == "node2" && one.dial.port == 10250),
        "{found:?}"
    );
    assert!(found.dialled.iter().all(|one| one.dial.to == "node2"), "{found:?}");
    // What was not measured is told as that, and why.
    world.measurements = found;
    let sentence = |world: &World, check: &str, host: &str, peer: Option<&str>| {
        let findings = world.check();
        let one = findings
            .findings
            .iter()
            .find(|one| one.check == check && one.host.as_deref() == Some(host) && one.peer.as_deref() == peer);
        match one.map(|one| &one.outcome) {
            Some(Outcome::NotApplicable { reason }) => reason.clone(),
            other => panic!("{check} {host}: {other:?}"),
        }
    };
    assert_eq!(
        sentence(&world, "network.reach", "node2", Some("node1")),
        "not measured: ferry has already built on node1"
    );
    // Nothing is measured where ferry has built on all of them.
    world.facts.get_mut("node2").unwrap().ferry = vec!["ledger".into()];
    let found = measure(&world.site, &hosts, &world.facts, &probes, "owner").await;
    assert_eq!(found.not_measured.as_deref(), Some("ferry has already built on node1, node2"));
}
