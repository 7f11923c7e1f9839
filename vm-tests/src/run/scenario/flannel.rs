//! `flannel`: two nodes whose pods talk by VXLAN, and two registries. The first registry is filled over the operator's link, the
//! second by itself from the first; with the first one's server stopped, both nodes still pull what they do not have.

use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, HostLine, SiteOptions};
use crate::run::{Bench, Bundle, Shipped, cluster};

const MANIFEST: &str = "kubernetes-1.34-networks.yaml";

const HOSTS: [HostLine; 2] = [
    HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" },
    HostLine { host: 2, name: "two", roles: "worker, registry" },
];

/// Of an image that nothing runs for long: how the node pulls it when it does not have it.
const PULL: &str = "ctr='/usr/local/bin/ctr -n k8s.io'; image=docker.io/library/busybox:1.36
digest=$($ctr images ls name==$image | awk 'NR == 2 { print $3 }')
$ctr images rm --sync $($ctr images ls | awk -v d=$digest '$3 == d { print $1 }') >/dev/null
! $ctr content ls -q | grep -qx $digest || { echo 'it is still there'; exit 1; }
$ctr images pull --hosts-dir /etc/containerd/certs.d docker.io/library/busybox@$digest 2>&1 | tail -c 300
$ctr images tag --force docker.io/library/busybox@$digest $image >/dev/null && $ctr images label $image io.cri-containerd.pinned=pinned >/dev/null
$ctr images check name==$image | grep complete";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: two, as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(2)
    })?;
    bench.step("hosts: what leaves is counted", || hosts::self_test(&bench.driver, 1))?;
    let site = bench.work.join("flannel.yaml");
    let shape = "endpoint: {kind: local, port: 8443}\nnetwork: {kind: flannel, encapsulation: vxlan}\n";
    let write = |shape: &str| -> Result<(), Error> {
        let text = installer::site_shaped(&bench.driver, "flannel", &HOSTS, &SiteOptions::default(), shape)?;
        bench.evidence.save("site.yaml", &text);
        std::fs::write(&site, text).map_err(Error::file("write", &site))
    };
    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
        bench.evidence.copy(&installer::state_of(&site), "site");
        code
    };
    write(shape)?;
    let code = install("first")?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return cluster::egress(bench);
    }
    cluster::several(bench, 1, 2, &bundle)?;
    let link = bench.driver.must(1, "ip -d -o link show flannel.1; ip route show | grep flannel.1")?;
    bench.check("packets between nodes travel by VXLAN", link.contains("vxlan id") && link.contains("onlink"), link);
    registries(bench)?;

    let seen = || HOSTS.iter().map(|line| cluster::snapshot(&bench.driver, line.host)).collect::<Result<Vec<_>, _>>();
    let before = seen()?;
    let code = install("again")?;
    bench.check("a second install ends with 0", code == 0, format!("exit code {code}"));
    bench.check("a second install changes nothing on any host", before == seen()?, "");

    write("endpoint: {kind: local, port: 8443}\nnetwork: {kind: host-routes}\n")?;
    let code = install("another-kind")?;
    let said = std::fs::read_to_string(bench.evidence.path("ferry-install-another-kind.log")).unwrap_or_default();
    let why = said.lines().find(|line| line.contains("keeps its kind")).unwrap_or_default();
    bench.check(
        "another kind of pod network is refused",
        code != 0 && !why.is_empty(),
        format!("exit code {code}: {why}"),
    );
    cluster::egress(bench)
}

/// Both hold the same, and one is enough.
fn registries(bench: &Bench) -> Result<(), Error> {
    let held = "cd /var/lib/ferry-registry/docker/registry/v2 && find repositories -name link | sort && find blobs -name data -printf '%P %s\\n' | sort";
    let (first, second) = (bench.driver.must(1, held)?, bench.driver.must(2, held)?);
    let uploads = |text: &str| text.lines().filter(|line| !line.contains("/_uploads/")).count();
    bench.check(
        "both registries hold the same",
        uploads(&first) > 50 && first == second,
        format!("{} files", uploads(&first)),
    );
    let sent = std::fs::read_to_string(bench.work.join("flannel.ferry/journal.jsonl")).unwrap_or_default();
    let bytes = |host: &str| -> u64 {
        let records = sent.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        records
            .filter(|record| record["event"]["host"] == host || record["host"] == host)
            .filter_map(|record| record["event"]["bytes"].as_u64().or_else(|| record["bytes"].as_u64()))
            .sum()
    };
    bench.evidence.note(
        "bytes over the operator's link to the first and the second registry",
        format!("{} {}", bytes("one"), bytes("two")),
    );
    bench.step("one: its registry stops", || bench.driver.must(1, "systemctl stop ferry-registry.service"))?;
    for line in HOSTS {
        let pulled = bench.driver.run(line.host, PULL)?;
        let what = format!("{}: pulls from the other registry", line.name);
        bench.check(&what, pulled.code == 0, pulled.stdout.trim().lines().last().unwrap_or_default());
    }
    bench.step("one: its registry runs again", || bench.driver.must(1, "systemctl start ferry-registry.service"))?;
    Ok(())
}
