//! `install-ha`: three control planes with etcd, a worker, a registry, a balancer on every node; then each control-plane host
//! loses its power in turn, while every other node reads from the API five times a second. In the end all of it is taken back,
//! and each host is as before but for the list of `uninstall`.
//!
//! The bundle comes through a gate, in ten volumes of which one is lost. With three hosts the roles are merged: each is a
//! control plane and a worker, and one of them the registry.

use std::time::Duration;

use super::uninstall::ALLOWANCE;
use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, HostLine, SiteOptions};
use crate::run::snapshot::describe;
use crate::run::window::{self, Watch, until};
use crate::run::{Bench, Bundle, Shipped, Snapshot, cluster};

const MANIFEST: &str = "kubernetes-1.34-core.yaml";

/// The seed's topology.
pub(super) const FIVE: [HostLine; 5] = [
    HostLine { host: 1, name: "cp1", roles: "control-plane, etcd" },
    HostLine { host: 2, name: "cp2", roles: "control-plane, etcd" },
    HostLine { host: 3, name: "cp3", roles: "control-plane, etcd" },
    HostLine { host: 4, name: "worker1", roles: "worker" },
    HostLine { host: 5, name: "registry1", roles: "registry" },
];

/// The same on three hosts.
pub(super) const THREE: [HostLine; 3] = [
    HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" },
    HostLine { host: 2, name: "two", roles: "control-plane, etcd, worker" },
    HostLine { host: 3, name: "three", roles: "control-plane, etcd, worker" },
];

/// The longest time, in seconds, during which a read may fail.
const LONGEST: f64 = 10.0;

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let lines: &[HostLine] = if bench.options.hosts == Some(3) { &THREE } else { &FIVE };
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?.through_the_gate(bench, &shipped)?;
    let count = u8::try_from(lines.len()).unwrap_or(u8::MAX);
    bench.step("hosts: as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(count)
    })?;
    let counted = bench.step("hosts: what leaves is counted", || hosts::self_test(&bench.driver, 1))?;
    bench.check("attempts to leave are counted", counted.packets > 0, format!("{} packets of a test", counted.packets));

    let site = bench.work.join("ha.yaml");
    let text = installer::site(&bench.driver, "ha", lines, &SiteOptions::default())?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    let as_new = bench.step("snapshots", || snapshots(bench, lines))?;
    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let began = std::time::Instant::now();
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
        bench.evidence.note(&format!("ferry-install {name}, seconds"), format!("{:.0}", began.elapsed().as_secs_f64()));
        bench.evidence.copy(&installer::state_of(&site), "site");
        code
    };
    let code = install("first")?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return cluster::egress(bench);
    }
    let nodes = lines.iter().filter(|line| line.roles != "registry").count();
    cluster::several(bench, 1, nodes, &bundle)?;

    let seen = || lines.iter().map(|line| cluster::snapshot(&bench.driver, line.host)).collect::<Result<Vec<_>, _>>();
    let before = seen()?;
    let code = install("again")?;
    let after = seen()?;
    bench.check("a second install ends with 0", code == 0, format!("exit code {code}"));
    bench.check("a second install changes nothing on any host", before == after, "");

    for line in lines.iter().filter(|line| line.roles.contains("control-plane")) {
        power_cut(bench, lines, *line)?;
    }
    taken_back(bench, &shipped, lines, &site, &as_new)?;
    cluster::egress(bench)
}

/// All hosts' snapshots, taken side by side.
fn snapshots(bench: &Bench, lines: &[HostLine]) -> Result<Vec<Snapshot>, Error> {
    let driver = &bench.driver;
    std::thread::scope(|scope| {
        let taken: Vec<_> = lines.iter().map(|line| scope.spawn(move || Snapshot::take(driver, line.host))).collect();
        let ended = |one: std::thread::ScopedJoinHandle<'_, _>| {
            one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        taken.into_iter().map(ended).collect()
    })
}

/// Uninstalls, and compares each host with what it was.
fn taken_back(
    bench: &Bench,
    shipped: &Shipped,
    lines: &[HostLine],
    site: &std::path::Path,
    as_new: &[Snapshot],
) -> Result<(), Error> {
    let log = bench.evidence.path("ferry-install-uninstall.log");
    let program = installer::install(&bench.driver, &shipped.install, "uninstall")
        .arg(site)
        .args(["--confirm", "ha", "--verbose", "--state"])
        .arg(installer::state_of(site));
    let code = bench.step("ferry-install: uninstall", || program.logged(&log))?;
    bench.check("uninstall ends with 0", code == 0, format!("exit code {code}"));
    let allowed = ALLOWANCE.map(|(pattern, _)| pattern);
    bench.evidence.save("allowance.txt", &ALLOWANCE.map(|(pattern, why)| format!("{pattern}: {why}\n")).concat());
    let after = bench.step("snapshots", || snapshots(bench, lines))?;
    for ((line, before), after) in lines.iter().zip(as_new).zip(&after) {
        let differences = before.without(&allowed).differences(&after.without(&allowed));
        bench.evidence.save(&format!("differences-{}.txt", line.name), &describe(&differences, usize::MAX));
        let what = format!("{} is as before, but for the list", line.name);
        bench.check(&what, before.len() > 5000 && differences.is_empty(), describe(&differences, 20));
    }
    Ok(())
}

/// Cuts a control-plane host's power while the others read, and gives it back.
fn power_cut(bench: &Bench, lines: &[HostLine], cut: HostLine) -> Result<(), Error> {
    let driver = &bench.driver;
    let others: Vec<HostLine> =
        lines.iter().copied().filter(|line| line.host != cut.host && line.roles != "registry").collect();
    let mut watches = Vec::new();
    for line in &others {
        watches.push(Watch::begin(driver, line.host, Duration::from_secs(40))?);
    }
    std::thread::sleep(Duration::from_secs(8));
    let since = window::now();
    bench.step(&format!("{}: power cut", cut.name), || driver.kill(cut.host))?;
    let asked = others.iter().find(|line| line.roles.contains("etcd")).map_or(1, |line| line.host);
    let led = until(Duration::from_secs(30), || leader(bench, asked, cut));
    let what = format!("{} cut: etcd has a leader among the others", cut.name);
    bench.check(&what, led.is_some(), led.map_or(String::new(), |seconds| format!("after {seconds:.1} s")));
    for watch in watches {
        let name = others.iter().find(|line| line.host == watch.host).map_or("?", |line| line.name);
        let (window, text) = watch.end(since)?;
        bench.evidence.save(&format!("probes-{}-cut-{name}.txt", cut.name), &text);
        bench.check(
            &format!("{} cut: reads fail for at most {LONGEST} s on {name}", cut.name),
            window.probes > 100 && window.seconds <= LONGEST,
            format!(
                "{:.1} s, {} of {} probes failed, the last of them issued {:.1} s after the cut; the slowest that succeeded took {:.1} s",
                window.seconds, window.failed, window.probes, window.last, window.slowest
            ),
        );
    }
    let booted = window::now();
    bench.step(&format!("{}: power on", cut.name), || driver.boot(cut.host))?;
    // Its own API server, its own member, and its kubelet as the cluster sees it: heard from since the cut.
    let address = driver.address(cut.host)?;
    let script = format!(
        "kubectl --kubeconfig /etc/kubernetes/admin.conf --server https://{address}:6443 get --raw /readyz && {ETCDCTL} --endpoints=https://127.0.0.1:2379 endpoint health && \
         date -d \"$(kubectl --kubeconfig /etc/kubernetes/admin.conf -n kube-node-lease get lease {} -o jsonpath='{{.spec.renewTime}}')\" +lease\\ %s",
        cut.name
    );
    let back = until(Duration::from_secs(180), || {
        let text = cluster::ssh(driver, cut.host, &script).unwrap_or_default();
        let renewed = text.lines().find_map(|line| line.strip_prefix("lease ")?.trim().parse::<f64>().ok());
        renewed.is_some_and(|renewed| renewed > booted)
    });
    let what = format!("{} comes back by itself", cut.name);
    bench.check(&what, back.is_some(), back.map_or(String::new(), |seconds| format!("after {seconds:.0} s")));
    Ok(())
}

const ETCDCTL: &str = "ETCDCTL_API=3 etcdctl --command-timeout=2s --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key";

/// Whether a member that is not on `cut` says that it leads, or follows one that is not there.
fn leader(bench: &Bench, host: u8, cut: HostLine) -> bool {
    let script = format!(
        "{ETCDCTL} --endpoints=https://127.0.0.1:2379 endpoint status -w json; {ETCDCTL} --endpoints=https://127.0.0.1:2379 member list -w json"
    );
    let Ok(text) = cluster::ssh(&bench.driver, host, &script) else { return false };
    let documents: Vec<serde_json::Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let [status, members] = documents.as_slice() else { return false };
    let leader = status[0]["Status"]["leader"].as_u64().unwrap_or(0);
    let of_cut = members["members"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|member| member["name"] == cut.name)
        .and_then(|member| member["ID"].as_u64());
    leader != 0 && of_cut.is_some() && of_cut != Some(leader)
}
