//! Everything that was seen, in one folder, and the verdict.
//!
//! ```text
//! RUN/summary.txt  summary.json       steps with seconds, checks, figures
//!     console.log                     what was said
//!     ferry-bundle-*.log  ferry-install-*.log
//!     site/                           the state folder of ferry-install: journal, plan, reports
//!     hostN/                          journals of units, kubectl, packages, addresses, rules
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::Bench;
use crate::error::Error;
use crate::hosts::Driver as _;

/// The evidence of a run that goes on.
#[derive(Debug)]
pub struct Evidence {
    folder: PathBuf,
    began: Instant,
    summary: Mutex<Summary>,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    scenario: String,
    passed: bool,
    seconds: f64,
    machine: Value,
    steps: Vec<Step>,
    checks: Vec<Check>,
    figures: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize)]
struct Step {
    what: String,
    seconds: f64,
    failed: Option<String>,
}

#[derive(Debug, Serialize)]
struct Check {
    what: String,
    holds: bool,
    seen: String,
}

impl Evidence {
    /// Begins with an empty folder.
    pub(super) fn begin(scenario: &str, folder: &Path) -> Result<Self, Error> {
        super::fresh(folder)?;
        let summary = Summary { scenario: scenario.to_owned(), machine: machine(), ..Summary::default() };
        Ok(Self { folder: folder.to_owned(), began: Instant::now(), summary: Mutex::new(summary) })
    }

    /// A path below the folder.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }

    /// Writes a text into the folder; what can't be written is lost evidence, not a failed run.
    pub fn save(&self, below: &str, text: &str) {
        let path = self.path(below);
        if let Some(parent) = path.parent() {
            let _ = fs::create_dir_all(parent);
        }
        let _ = fs::write(path, text);
    }

    /// Copies a folder into the folder.
    pub fn copy(&self, from: &Path, below: &str) {
        let _ = crate::program::Program::new("cp").args(["-a", "-T"]).arg(from).arg(self.path(below)).ended();
    }

    /// Times a step.
    pub(super) fn timed<T>(&self, what: &str, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let began = Instant::now();
        let result = act();
        let failed = result.as_ref().err().map(Error::full);
        let step = Step { what: what.to_owned(), seconds: rounded(began), failed };
        self.summary().steps.push(step);
        result
    }

    /// Notes a check.
    pub(super) fn check(&self, what: &str, holds: bool, seen: &str) {
        self.summary().checks.push(Check { what: what.to_owned(), holds, seen: seen.to_owned() });
    }

    /// Notes a figure.
    pub fn note(&self, what: &str, value: impl Into<Value>) {
        self.summary().figures.insert(what.to_owned(), value.into());
    }

    fn summary(&self) -> std::sync::MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the summary; an error unless something was checked and all of it holds.
    pub(super) fn close(&self, said: &str) -> Result<(), Error> {
        let mut summary = self.summary();
        let failed: Vec<&Check> = summary.checks.iter().filter(|check| !check.holds).collect();
        let verdict = match (failed.first(), summary.checks.len()) {
            (None, 0) => Err(Error::Check(format!("{}: nothing was checked", summary.scenario))),
            (None, _) => Ok(()),
            (Some(first), count) => Err(Error::Check(format!(
                "{}: {} of {count} checks do not hold; the first: {}: {}",
                summary.scenario,
                failed.len(),
                first.what,
                first.seen
            ))),
        };
        summary.passed = verdict.is_ok();
        summary.seconds = rounded(self.began);
        self.save("console.log", said);
        self.save("summary.json", &serde_json::to_string_pretty(&*summary).unwrap_or_default());
        self.save("summary.txt", &text(&summary));
        verdict
    }
}

fn rounded(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 10.0).round() / 10.0
}

fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo").lines().next().unwrap_or_default().to_owned();
    serde_json::json!({
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": memory.split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
    })
}

fn text(summary: &Summary) -> String {
    let verdict = if summary.passed { "passed" } else { "FAILED" };
    let mut text = format!("{} {verdict} in {:.0} s\n\n", summary.scenario, summary.seconds);
    for step in &summary.steps {
        let failed = step.failed.as_deref().map(|why| format!("  FAILED: {why}")).unwrap_or_default();
        text.push_str(&format!("{:8.1} s  {}{failed}\n", step.seconds, step.what));
    }
    text.push('\n');
    for check in &summary.checks {
        let mark = if check.holds { "ok  " } else { "FAIL" };
        text.push_str(&format!("{mark}  {}: {}\n", check.what, check.seen));
    }
    text.push('\n');
    for (what, value) in &summary.figures {
        text.push_str(&format!("{what}: {value}\n"));
    }
    text
}

/// What is taken from every host: a file name and the script whose output it holds.
const TAKEN: [(&str, &str); 12] = [
    ("journal.log", "journalctl -b --no-pager -o short-iso"),
    ("units.txt", "systemctl list-units --all --no-pager --plain"),
    ("containerd.log", "journalctl -b -u containerd --no-pager -o cat"),
    ("kubelet.log", "journalctl -b -u kubelet --no-pager -o cat"),
    ("network.txt", "ip addr; ip route; ss -tulpn"),
    ("rules.txt", "nft list ruleset; iptables-save"),
    ("disk.txt", "df -h; df -i; du -xsh /var/lib/* 2>/dev/null"),
    ("memory.txt", "ps -eo rss,pid,args --sort=-rss | head -40"),
    ("images.txt", "ctr -n k8s.io images ls"),
    ("pods.txt", "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes,pods,svc,pv -A -o wide"),
    ("events.txt", "kubectl --kubeconfig /etc/kubernetes/admin.conf get events -A"),
    ("ferry.txt", "find /var/lib/ferry /etc/ferry -maxdepth 3 -ls 2>/dev/null"),
];

/// Takes from a host what shows how it is, whatever state it is in.
pub(super) fn collect(bench: &Bench, host: u8) {
    for (name, script) in TAKEN {
        if let Ok(ended) = bench.driver.run(host, &format!("timeout 20 sh -c '{script}'")) {
            bench.evidence.save(&format!("host{host}/{name}"), &format!("{}{}", ended.stdout, ended.stderr));
        }
    }
    if let Ok(text) =
        bench.driver.console(host).and_then(|path| fs::read_to_string(&path).map_err(Error::file("read", path)))
    {
        bench.evidence.save(&format!("host{host}/console.log"), &text);
    }
}
