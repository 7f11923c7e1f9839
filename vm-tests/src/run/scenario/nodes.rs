//! `nodes`: a cluster of one host grows by a worker and by two control planes with etcd, and loses a live worker, then a control
//! plane that is dead. After each, acceptance is green and etcd has the members it should have.

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, HostLine, SiteOptions};
use crate::run::{Bench, Bundle, Shipped, cluster};

const MANIFEST: &str = "kubernetes-1.34-core.yaml";

const ONE: HostLine = HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" };
const TWO: HostLine = HostLine { host: 2, name: "two", roles: "worker" };
const THREE: HostLine = HostLine { host: 3, name: "three", roles: "control-plane, etcd" };
const FOUR: HostLine = HostLine { host: 4, name: "four", roles: "control-plane, etcd" };

/// etcd's members by name, as one of them lists them.
const MEMBERS: &str = "ETCDCTL_API=3 etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key --endpoints=https://127.0.0.1:2379 member list | awk -F', ' '{print $2 \" \" $3 \" \" $6}' | sort";

/// What may not be left on a host that has left.
const REST: &str = "ls -d /var/lib/kubelet /etc/kubernetes/kubelet.conf /usr/local/bin/kubelet /var/lib/ferry 2>/dev/null; \
                    ps -eo comm= | grep -E '^(containerd|kube|etcd|haproxy)'; true";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: four, as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(4)
    })?;
    let site = bench.work.join("nodes.yaml");
    let write = |lines: &[HostLine]| -> Result<(), Error> {
        let text = installer::site(&bench.driver, "nodes", lines, &SiteOptions::default())?;
        std::fs::write(&site, text).map_err(Error::file("write", &site))
    };
    let ferry = |name: &str, verb: &str, words: &[&str]| {
        let log = bench.evidence.path(&format!("ferry-install-{}.log", name.replace(' ', "-")));
        let program = installer::nodes(&bench.driver, &shipped.install, verb, &site, &bundle.file, &bundle.key, words);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
        bench.evidence.copy(&installer::state_of(&site), "site");
        code
    };
    write(&[ONE])?;
    let log = bench.evidence.path("ferry-install-first.log");
    let install = installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
    let code = bench.step("ferry-install: first", || install.logged(&log))?;
    bench.check("one host: ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 {
        return Ok(());
    }

    write(&[ONE, TWO])?;
    let before = cluster::snapshot(&bench.driver, 1)?;
    let code = ferry("add a worker", "add", &["two"])?;
    bench.check("a worker is added", code == 0, format!("exit code {code}"));
    let after = cluster::snapshot(&bench.driver, 1)?;
    only(
        bench,
        "adding a worker touches of the first host only names and routes",
        &before,
        &after,
        &["/etc/hosts", "pod-routes", "coredns.yaml", "/var/lib/ferry/", "firewall"],
    );
    cluster::nodes(bench, 1, 2)?;

    write(&[ONE, TWO, THREE, FOUR])?;
    let code = ferry("add control planes", "add", &["three", "four"])?;
    bench.check("two control planes are added", code == 0, format!("exit code {code}"));
    cluster::nodes(bench, 1, 4)?;
    let members = cluster::ssh(&bench.driver, 1, MEMBERS)?;
    let wanted = "started four false\nstarted one false\nstarted three false\n";
    bench.check("etcd has three members with a vote", members == wanted, &members);

    let code = ferry("remove the only registry", "remove", &["one"])?;
    bench.check("what the site can't do without is refused", code != 0, format!("exit code {code}"));
    let code = ferry("remove a worker", "remove", &["two"])?;
    bench.check("a live worker leaves", code == 0, format!("exit code {code}"));
    cluster::nodes(bench, 1, 3)?;
    let rest = bench.driver.must(2, REST)?;
    bench.check("nothing of ferry's is left on it", rest.trim().is_empty(), rest);

    write(&[ONE, THREE, FOUR])?;
    bench.step("four: power cut, for good", || bench.driver.kill(4))?;
    let code = ferry("remove without saying that it is dead", "remove", &["four"])?;
    bench.check("a host that can't be reached is not removed unasked", code != 0, format!("exit code {code}"));
    let code = ferry("remove a dead control plane", "remove", &["four", "--dead"])?;
    bench.check("a dead control plane leaves", code == 0, format!("exit code {code}"));
    cluster::nodes(bench, 1, 2)?;
    let members = cluster::ssh(&bench.driver, 1, MEMBERS)?;
    bench.check("etcd has two members with a vote", members == "started one false\nstarted three false\n", &members);

    write(&[ONE, THREE])?;
    bench.step("three: power cut", || bench.driver.kill(3))?;
    std::thread::sleep(std::time::Duration::from_secs(2));
    let code = ferry("remove with the quorum lost", "remove", &["three", "--dead"])?;
    let said = std::fs::read_to_string(bench.evidence.path("ferry-install-remove-with-the-quorum-lost.log"))
        .unwrap_or_default();
    let begun = said.contains("leave.");
    bench.check("without a quorum nothing is begun", code == 4 && !begun, said.lines().last().unwrap_or_default());
    cluster::egress(bench)
}

/// Whether the lines by which two snapshots differ are only about these.
fn only(bench: &Bench, what: &str, before: &str, after: &str, about: &[&str]) {
    let fresh = after.lines().filter(|line| !before.lines().any(|old| old == *line));
    let others: Vec<&str> = fresh.filter(|line| !about.iter().any(|word| line.contains(word))).take(5).collect();
    bench.check(what, others.is_empty(), others.join("; "));
}
