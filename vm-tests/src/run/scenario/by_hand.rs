//! `by-hand`: the seed's topology twice on the same five hosts, first by `ferry-install install`, then by a script of what
//! somebody types who knows every trap beforehand: ssh, scp, skopeo, openssl, kubeadm, side by side where that is possible.
//!
//! ```text
//! bundle, verified ──ferry-install──► applied ──acceptance──► accepted          then the workload, as below
//!        └─export─► disc ──build.sh──► nodes and pods ready ──workload──► green
//! ```
//! Both clusters must pass the same looks. How long each took is printed and noted, and so are the ratios; they are no check,
//! because they depend on what else the machine does. Nobody's thinking, reading and mistyping is counted for the expert.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_bundle_format::Digest;
use serde_json::Value;

use super::install_ha::FIVE;
use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, SiteOptions};
use crate::program::Program;
use crate::run::{Bench, Bundle, Shipped, cluster};

const MANIFEST: &str = "kubernetes-1.34-core.yaml";
const NODES: usize = 4;

/// What the expert has prepared at home: scripts and files, by name.
const SCRIPTS: [(&str, &str); 9] = [
    ("build.sh", include_str!("../../../hosts/by-hand/build.sh")),
    ("node.sh", include_str!("../../../hosts/by-hand/node.sh")),
    ("etcd.sh", include_str!("../../../hosts/by-hand/etcd.sh")),
    ("registry.sh", include_str!("../../../hosts/by-hand/registry.sh")),
    ("cluster.sh", include_str!("../../../hosts/by-hand/cluster.sh")),
    ("haproxy.cfg", include_str!("../../../hosts/by-hand/haproxy.cfg")),
    ("kubeadm.yaml", include_str!("../../../hosts/by-hand/kubeadm.yaml")),
    ("coredns.yaml", include_str!("../../../hosts/by-hand/coredns.yaml")),
    ("local-path.yaml", include_str!("../../../hosts/by-hand/local-path.yaml")),
];

/// How long something took: seconds on the wall, and those that processors spent on all hosts (not on the operator's machine).
#[derive(Debug, Clone, Copy)]
struct Seconds {
    wall: f64,
    processors: f64,
}

impl std::ops::Add for Seconds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, processors: self.processors + other.processors }
    }
}

/// A clock that counts both.
struct Clock<'a> {
    bench: &'a Bench,
    began: Instant,
    processors: f64,
}

impl<'a> Clock<'a> {
    fn start(bench: &'a Bench) -> Self {
        Self { bench, began: Instant::now(), processors: bench.driver.processor_seconds() }
    }

    fn read(&self) -> Seconds {
        let processors = self.bench.driver.processor_seconds() - self.processors;
        Seconds { wall: self.began.elapsed().as_secs_f64(), processors }
    }
}

/// How long one way took, since its clock began.
#[derive(Debug, Clone, Copy)]
struct Took {
    /// Until everything had been done to the hosts, nodes and pods ready.
    stands: Seconds,
    /// Until its own end: for ferry with acceptance and report.
    ends: Seconds,
    /// From there until the workload had come to its end.
    workload: Seconds,
}

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    let disc = bench.step("by hand: the disc, from the bundle", || disc(bench, &shipped, &bundle))?;

    as_new(bench)?;
    let Some(ferry) = by_ferry(bench, &shipped, &bundle)? else { return cluster::egress(bench) };
    cluster::egress(bench)?;
    as_new(bench)?;
    let Some(hand) = by_hand(bench, &disc, &bundle)? else { return cluster::egress(bench) };
    cluster::egress(bench)?;
    compare(bench, ferry, hand);
    Ok(())
}

fn as_new(bench: &Bench) -> Result<(), Error> {
    bench.step("hosts: as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(5)
    })?;
    let counted = bench.step("hosts: what leaves is counted", || hosts::self_test(&bench.driver, 1))?;
    bench.check("attempts to leave are counted", counted.packets > 0, format!("{} packets of a test", counted.packets));
    Ok(())
}

/// How busy the machine is, as it says itself.
fn load(bench: &Bench, when: &str) {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    bench.evidence.note(&format!("load {when}"), text.split(' ').take(2).collect::<Vec<_>>().join(" "));
}

/// By ferry; none if it did not come to its end.
fn by_ferry(bench: &Bench, shipped: &Shipped, bundle: &Bundle) -> Result<Option<Took>, Error> {
    let site = bench.work.join("ha.yaml");
    let text = installer::site(&bench.driver, "ha", &FIVE, &SiteOptions::default())?;
    fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    let log = bench.evidence.path("ferry-install.log");
    let program = installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
    let state = installer::state_of(&site);
    load(bench, "before ferry");
    let clock = Clock::start(bench);
    let (code, stands) = bench.step("ferry-install", || watched(program, &log, &state, &clock))?;
    let ends = clock.read();
    load(bench, "after ferry");
    bench.evidence.copy(&state, "site");
    bench.check("ferry-install ends with 0, accepted", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return Ok(None);
    }
    let Some(stands) = stands else {
        bench.check("the journal says when the plan was applied", false, "");
        return Ok(None);
    };
    let workload = workload(bench, bundle)?;
    Ok(Some(Took { stands, ends, workload }))
}

/// Runs ferry; its exit code, and when its journal said that the plan was applied.
fn watched(program: Program, log: &Path, state: &Path, clock: &Clock<'_>) -> Result<(i32, Option<Seconds>), Error> {
    let path = state.join("journal.jsonl");
    let mut running = program.started(log)?;
    let (mut stands, mut seen) = (None, 0);
    loop {
        let ended = running.ended()?;
        let length = fs::metadata(&path).map_or(0, |about| about.len());
        if stands.is_none() && length > seen {
            stands = is_applied(&path)?.then(|| clock.read());
            seen = length;
        }
        if let Some(code) = ended {
            return Ok((code, stands));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Whether a run of the verb `apply` has ended. Only the lines that say so are parsed: the journal is long.
fn is_applied(path: &Path) -> Result<bool, Error> {
    let text = fs::read(path).map_err(Error::file("read", path))?;
    let mut applies = false;
    for line in String::from_utf8_lossy(&text).lines() {
        let kind = |name: &str| line.contains(&format!("\"event\":\"{name}\""));
        if kind("began") {
            applies = line.contains("\"verb\":\"apply\"");
        } else if applies && kind("ended") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// By the expert; none if the script did not come to its end.
fn by_hand(bench: &Bench, disc: &Path, bundle: &Bundle) -> Result<Option<Took>, Error> {
    let (scripts, work) = (bench.work.join("by-hand"), bench.work.join("by-hand-work"));
    for folder in [&scripts, &work] {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    }
    for (name, text) in SCRIPTS {
        fs::write(scripts.join(name), text).map_err(Error::file("write", scripts.join(name)))?;
    }
    let mut program = bench.driver.beside("bash").arg(scripts.join("build.sh"));
    program = program.env("DISC", disc).env("WORK", &work).env("KEY", bench.driver.identity());
    for line in FIVE {
        program = program.env(&line.name.to_uppercase(), bench.driver.address(line.host)?.to_string());
    }
    let log = bench.evidence.path("by-hand.log");
    load(bench, "before the expert");
    let clock = Clock::start(bench);
    let code = bench.step("by hand", || program.logged(&log))?;
    let ends = clock.read();
    load(bench, "after the expert");
    let said = fs::read_to_string(&log).unwrap_or_default();
    bench.check(
        "the expert's script ends with 0",
        code == 0,
        format!("exit code {code}: {}", said.lines().last().unwrap_or_default()),
    );
    if code != 0 {
        return Ok(None);
    }
    let workload = workload(bench, bundle)?;
    Ok(Some(Took { stands: ends, ends, workload }))
}

/// What must hold of either cluster; how long it took until its workload had come to its end.
fn workload(bench: &Bench, bundle: &Bundle) -> Result<Seconds, Error> {
    let clock = Clock::start(bench);
    let ended = cluster::several(bench, 1, NODES, bundle)?;
    Ok(Seconds { wall: ended.duration_since(clock.began).as_secs_f64(), ..clock.read() })
}

fn compare(bench: &Bench, ferry: Took, hand: Took) {
    let lines = [
        ("until the cluster stands (ferry: applied; by hand: nodes and pods ready)", ferry.stands, hand.stands),
        (
            "to the same green (the cluster stands, and the workload passes)",
            ferry.stands + ferry.workload,
            hand.stands + hand.workload,
        ),
        ("ferry with acceptance, by hand with the workload", ferry.ends, hand.ends + hand.workload),
    ];
    for (what, ferry, hand) in lines {
        let said = format!(
            "ferry {:.0} s, by hand {:.0} s, ratio {:.2}; of the hosts' processors {:.0} s and {:.0} s, ratio {:.2}",
            ferry.wall,
            hand.wall,
            ferry.wall / hand.wall,
            ferry.processors,
            hand.processors,
            ferry.processors / hand.processors
        );
        bench.ui.say(format!("{what}: {said}"));
        bench.evidence.note(what, said);
    }
}

/// What the visitor carries: the bundle's content as an OCI layout, and its files by name beside it.
fn disc(bench: &Bench, shipped: &Shipped, bundle: &Bundle) -> Result<PathBuf, Error> {
    let disc = bench.work.join("disc");
    let (layout, files) = (disc.join("layout"), disc.join("files"));
    fs::create_dir_all(&files).map_err(Error::file("create", &files))?;
    installer::bundle(&shipped.bundle, "export")
        .arg(&bundle.file)
        .arg("--trust")
        .arg(&bundle.key)
        .arg("--oci")
        .arg(&layout)
        .run()?;
    let index = document(&layout.join("index.json"))?;
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let reference = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap_or_default();
        let Some((name, _)) = reference.strip_prefix("files/").and_then(|rest| rest.split_once(':')) else { continue };
        let manifest = document(&blob(&layout, &entry["digest"])?)?;
        let from = blob(&layout, &manifest["layers"][0]["digest"])?;
        fs::hard_link(&from, files.join(name)).map_err(Error::file("link", from))?;
    }
    Ok(disc)
}

fn blob(layout: &Path, digest: &Value) -> Result<PathBuf, Error> {
    let text = digest.as_str().unwrap_or_default();
    let digest: Digest = text.parse().map_err(|_| Error::Asked(format!("the layout names a blob {text:?}")))?;
    Ok(layout.join("blobs/sha256").join(digest.hex()))
}

fn document(path: &Path) -> Result<Value, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    serde_json::from_str(&text).map_err(|error| Error::Asked(format!("{}: {error}", path.display())))
}
