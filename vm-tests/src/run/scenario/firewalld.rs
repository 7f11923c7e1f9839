//! `firewalld`: a node and a registry on two hosts where firewalld runs and stays on; a third host is a stranger.
//!
//! What must hold: the install is accepted; each host lets in exactly what the table of ports says, by who asks; the zones
//! are as the distribution made them; after a reload, which empties kube-proxy's tables, and after a power cut it is so again.

use ferry_engine::preflight::{From, PORTS};
use ferry_engine::site::{self, Site};

use super::super::{Bench, Bundle, Shipped, cluster};
use crate::error::Error;
use crate::hosts::{Driver as _, Fault};
use crate::installer::{self, SiteOptions};

const NODE: u8 = 1;
const REGISTRY: u8 = 2;
const STRANGER: u8 = 3;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
/// Ports that no table names: sshd, which the distribution's zone lets in, and one that nobody lets in.
const SSHD: u16 = 22;
const UNNAMED: u16 = 4567;

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    let firewalld = Fault::of("firewalld")?;
    bench.step("hosts: three, as new, firewalld on two", || {
        bench.driver.prepare()?;
        bench.driver.up(STRANGER)?;
        for host in [NODE, REGISTRY, STRANGER] {
            bench.driver.reset(host)?;
        }
        bench.driver.fault(NODE, &firewalld)?;
        bench.driver.fault(REGISTRY, &firewalld)
    })?;
    let zones = |host| bench.driver.must(host, "firewall-cmd --permanent --list-all-zones; ls /etc/firewalld/zones");
    let before = (zones(NODE)?, zones(REGISTRY)?);

    let file = bench.work.join("firewalld.yaml");
    let text = two_hosts(bench)?;
    std::fs::write(&file, &text).map_err(Error::file("write", &file))?;
    let site = site::read(&file, &text).map_err(|problems| Error::Asked(problems.to_string()))?;
    bench.evidence.save("site.yaml", &text);
    let log = bench.evidence.path("ferry-install.log");
    let program = installer::with_bundle(&bench.driver, &shipped.install, "install", &file, &bundle.file, &bundle.key);
    let code = bench.step("ferry-install", || program.logged(&log))?;
    bench.evidence.copy(&installer::state_of(&file), "site");
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return Ok(());
    }
    bench.check("the zones are as they were", before == (zones(NODE)?, zones(REGISTRY)?), "");
    cluster::all(bench, NODE, &bundle)?;
    matrix(bench, &site, "as installed")?;

    // A reload empties kube-proxy's tables; what pods send to other networks must not need anybody to come back.
    let after = bench.driver.must(
        NODE,
        "firewall-cmd -q --reload; nft list table inet firewalld | grep -c masquerade; begin=$(date +%s)
        for i in $(seq 90); do iptables-save -t nat | grep -q KUBE-SVC && break; sleep 1; done
        iptables-save -t nat | grep -c KUBE-SVC; echo $(($(date +%s) - begin)) s",
    )?;
    let seen: Vec<&str> = after.lines().collect();
    let holds = matches!(seen[..], [masquerade, services, _] if masquerade != "0" && services != "0");
    bench.check("after a reload of firewalld kube-proxy's rules come back", holds, seen.join(", "));
    cluster::all(bench, NODE, &bundle)?;
    bench.step("power cut and boot of the node", || {
        bench.driver.kill(NODE)?;
        bench.driver.boot(NODE)?;
        let ready = "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz";
        bench.driver.must(NODE, &format!("for i in $(seq 120); do {ready} && exit 0; sleep 1; done; exit 1"))
    })?;
    matrix(bench, &site, "after a power cut")?;
    cluster::egress(bench)
}

/// The site of [`installer::single_node_site`] with its registry on a host of its own.
fn two_hosts(bench: &Bench) -> Result<String, Error> {
    let one = installer::single_node_site(&bench.driver, NODE, &SiteOptions::default())?;
    let two = installer::single_node_site(&bench.driver, REGISTRY, &SiteOptions::default())?;
    let entry = |text: &str| {
        let from = text.find("- name: ").unwrap_or_default();
        let to = text.find("network: ").unwrap_or(text.len());
        text[from..to].to_owned()
    };
    let all = "[control-plane, worker, etcd, registry]";
    let node = entry(&one);
    let hosts = format!(
        "{}{}",
        node.replace(all, "[control-plane, worker, etcd]"),
        entry(&two).replace(all, "[registry]").replace("node2", "store2")
    );
    Ok(one.replace(&node, &hosts))
}

/// Who reaches which port of whom: as the table has it, plus sshd.
fn matrix(bench: &Bench, site: &Site, when: &str) -> Result<(), Error> {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (to, listener) in [(NODE, &site.hosts[0]), (REGISTRY, &site.hosts[1])] {
        for from in [NODE, REGISTRY, STRANGER].into_iter().filter(|from| *from != to) {
            let asker = site.hosts.get(usize::from(from) - 1);
            let mut ports: Vec<(u16, bool)> = vec![(SSHD, true), (UNNAMED, false)];
            for port in PORTS.iter().filter(|port| port.protocol == ferry_engine::facts::Protocol::Tcp) {
                let open = port.is_on(site, listener)
                    && port.from != From::Itself
                    && port.is_open(site)
                    && asker.is_some_and(|asker| port.is_reached_from(asker));
                ports.push((port.number(site), open));
            }
            // Several rows may have one number; any that opens it does.
            ports.sort_by_key(|(number, open)| (*number, !open));
            ports.dedup_by_key(|(number, _)| *number);
            for (number, open) in ports {
                tried += 1;
                let seen = dial(bench, from, to, number)?;
                if open != (seen != "shut") {
                    wrong.push(format!("host {from} to {to} port {number}: {seen}"));
                }
            }
        }
    }
    bench.check(&format!("every host reaches what the table says and nothing else, {when}"), wrong.is_empty(), {
        if wrong.is_empty() { format!("{tried} dials") } else { wrong.join("; ") }
    });
    Ok(())
}

/// `open`, `refused` (let through, and nothing listens), or `shut`.
fn dial(bench: &Bench, from: u8, to: u8, port: u16) -> Result<String, Error> {
    let address = bench.driver.address(to)?;
    let script = format!(
        "e=$(timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>&1) && echo open || {{ case $e in *refused*) echo refused;; *) echo shut;; esac; }}"
    );
    Ok(bench.driver.must(from, &script)?.trim().to_owned())
}
