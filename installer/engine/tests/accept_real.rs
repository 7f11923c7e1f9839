//! The acceptance checks against a real cluster of one host, brought up by other means.
//!
//! Runs only where `FERRY_ACCEPT_SSH` gives the command that logs in as root (such as `ssh root@10.77.0.11`) and
//! `FERRY_ACCEPT_SITE` the site file; `FERRY_ACCEPT_PROBE` is the digest of the probe's image in the site's registry. Findings and
//! report go to the folder `FERRY_ACCEPT_OUT`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::{Arch, Digest};
use ferry_engine::accept::{self, AcceptNeeds};
use ferry_engine::event::{Display, Event};
use ferry_engine::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Redactor, Stdin, Stream, Upload};
use ferry_engine::journal::{self, Journal};
use ferry_engine::{report, site};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::process;

/// A host by the `ssh` program.
struct Login {
    name: String,
    words: Vec<String>,
}

impl Login {
    fn program(&self, arguments: &[&str]) -> process::Command {
        let mut command = process::Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn execute(&self, command: &Command) -> std::io::Result<Output> {
        let script = format!("export LC_ALL=C; umask 022; cd /\n{}", command.script);
        let mut child = self.program(&[&format!("sh -c {}", ferry_engine::host::quote(&script))]).spawn()?;
        let mut input = child.stdin.take().expect("piped");
        let text = match &command.stdin {
            Stdin::Empty => String::new(),
            Stdin::Text(text) => text.clone(),
            Stdin::Secret(secret) => secret.expose().to_owned(),
        };
        let feed = async move {
            let _ = input.write_all(text.as_bytes()).await;
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        let output = output?;
        Ok(Output { status: output.status.code().unwrap_or(255), stdout: output.stdout, stderr: output.stderr })
    }
}

impl Host for Login {
    fn name(&self) -> &str {
        &self.name
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        let late = || HostErrorKind::Deadline { after: command.deadline, script: command.script.clone() };
        async move {
            match tokio::time::timeout(command.deadline, self.execute(command)).await {
                Err(_) => Err(HostError::new(&self.name, late())),
                Ok(Err(error)) => Err(HostError::new(&self.name, HostErrorKind::Lost(error.to_string()))),
                Ok(Ok(output)) => Ok(output),
            }
        }
        .boxed()
    }

    fn upload<'a>(&'a self, _: &'a Upload, _: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        unreachable!("checks bring no files")
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        async move {
            let target = format!("{address}:{port}");
            let child = self.program(&["-W", &target]).spawn();
            let mut child =
                child.map_err(|error| HostError::new(&self.name, HostErrorKind::Lost(error.to_string())))?;
            let stream = tokio::io::join(child.stdout.take().expect("piped"), child.stdin.take().expect("piped"));
            tokio::spawn(async move { child.wait().await });
            Ok(Box::new(stream) as Box<dyn Stream>)
        }
        .boxed()
    }
}

/// Nothing is shown; the journal has it all.
struct Quiet;
impl Display for Quiet {
    fn show(&self, _: &Event) {}
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_cluster_is_accepted() {
    let (Some(login), Some(file), Some(out)) =
        (variable("FERRY_ACCEPT_SSH"), variable("FERRY_ACCEPT_SITE"), variable("FERRY_ACCEPT_OUT"))
    else {
        return;
    };
    let text = std::fs::read_to_string(&file).expect("the site file");
    let site = site::read(Path::new(&file), &text).expect("a site");
    let words: Vec<String> = login.split_whitespace().map(str::to_owned).collect();
    let host: Arc<dyn Host> = Arc::new(Login { name: site.hosts[0].name.clone(), words });
    let read = |path: &'static str| {
        let host = host.clone();
        async move { host.run(&Command::root(format!("cat {path}"))).await.expect("a file").text() }
    };
    let mut needs = AcceptNeeds {
        kubernetes: variable("FERRY_ACCEPT_KUBERNETES"),
        containerd: variable("FERRY_ACCEPT_CONTAINERD"),
        cluster_ca: read("/etc/kubernetes/pki/ca.crt").await,
        etcd_ca: read("/etc/kubernetes/pki/etcd/ca.crt").await,
        registry_ca: read("/etc/ferry/registry/ca.crt").await,
        patience: Duration::from_secs(90),
        only: variable("FERRY_ACCEPT_ONLY")
            .map(|only| only.split(',').map(str::to_owned).collect())
            .unwrap_or_default(),
        ..AcceptNeeds::default()
    };
    if let Some(digest) = variable("FERRY_ACCEPT_PROBE") {
        needs.probe.insert(Arch::Amd64, Digest::parse(&digest).expect("a digest"));
    }
    let images = variable("FERRY_ACCEPT_IMAGES").map(|file| std::fs::read_to_string(file).expect("digests"));
    needs.images =
        images.iter().flat_map(|text| text.lines()).map(|line| Digest::parse(line).expect("a digest")).collect();
    let out = PathBuf::from(out);
    std::fs::create_dir_all(&out).expect("a folder");
    let path = out.join("journal.jsonl");
    let journal = Journal::open(&path, Arc::new(Quiet), Redactor::default()).expect("a journal");
    journal.record(&Event::Began {
        verb: "accept".into(),
        cluster: site.cluster.clone(),
        site: site.digest.to_string(),
        bundle: None,
        product: None,
        plan: None,
        only: Vec::new(),
        ferry: env!("CARGO_PKG_VERSION").into(),
    });
    let hosts = BTreeMap::from([(site.hosts[0].name.clone(), host)]);
    let verdicts = accept::run(&site, &hosts, &journal, &needs).await;
    journal.record(&verdicts.ended());
    report::write(&out, &report::fold(&journal::read(&path).expect("records"))).expect("a report");
    assert!(verdicts.well(), "{}: {:#?}", verdicts.summary(), verdicts.findings);
}
