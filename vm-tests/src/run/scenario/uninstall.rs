//! `uninstall`: a host that others use, too, gets a node and loses it again; it is as before but for a list, each with its reason.
//!
//! The uninstall is killed, and the host loses its power, on the way; it is run again and ends. What others have put there
//! before is still there, also where ferry's own stood in its place. A new install works on what is left.

use std::time::Duration;

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, SiteOptions};
use crate::program::Program;
use crate::run::snapshot::describe;
use crate::run::trouble::Run;
use crate::run::{Bench, Bundle, Shipped, Snapshot, cluster};

const HOST: u8 = 1;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
const PATIENCE: Duration = Duration::from_secs(600);

/// What may differ afterwards, and why.
pub(super) const ALLOWANCE: [(&str, &str); 6] = [
    ("file /var/backups*", "snapshots of etcd stay, unless --wipe-data is given"),
    ("file /var/lib/ferry-volumes*", "volumes stay, unless --wipe-data is given"),
    ("file /var/lib/systemd/*", "systemd's own: when timers were due, what was enabled by presets"),
    ("file /var/cache/ldconfig*", "written by programs of the distribution"),
    ("file /etc/*-", "the backups that useradd and userdel keep of passwd, shadow, group and their like"),
    ("sysctl *neigh*", "the kernel's own, by the number of interfaces there were"),
];

/// What others have done to the host before: accounts, a program and a link where ferry's own will stand, a folder with
/// another mode, lines, a packet filter, a unit, an iptables rule among those of the cluster.
const OTHERS: &str = r"set -e
useradd --system alice
ln -sf /bin/true /usr/local/bin/ctr
printf '#!/bin/sh\necho old\n' >/usr/local/bin/etcdctl; chmod 750 /usr/local/bin/etcdctl; chown alice /usr/local/bin/etcdctl
mkdir -m 700 /opt/cni; echo mine >/opt/cni/mine
echo '10.1.2.3 printer' >>/etc/hosts
echo 'kernel.panic = 7' >/etc/sysctl.d/10-site.conf; sysctl -q -w vm.overcommit_memory=0 kernel.panic=7
printf 'table inet site { chain input { type filter hook input priority 0; tcp dport 9999 accept; }; }\n' | nft -f -
iptables -t nat -N SITE; iptables -t nat -A SITE -j RETURN; iptables -t nat -A POSTROUTING -d 192.0.2.0/24 -j SITE
printf '[Unit]\nDescription=of the site\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/site.service
systemctl daemon-reload; systemctl enable -q --now site.service
mkdir -m 751 /var/lib/containerd";

/// What a snapshot does not look at: none of it may be left.
const REST: &str = r"ls -d /var/lib/kubelet /var/lib/etcd /var/lib/cni /var/log/pods /var/log/containers /run/containerd /run/ferry /var/lib/ferry \
    /var/lib/containerd/* /var/lib/ferry-registry /etc/ferry /etc/kubernetes /usr/local/lib/ferry /run/netns/cni-* 2>/dev/null
ps -eo args | grep -E 'containerd|kube|etcd|registry' | grep -v grep
stat -c %a /var/lib/containerd | grep -vx 751; mount | grep -E 'kubelet|containerd'; iptables-save | grep -E 'KUBE|CNI'; ip -o link | grep -E 'cni0|veth'; true";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: one, as new, that others use", || {
        bench.driver.prepare()?;
        bench.driver.up(HOST)?;
        bench.driver.reset(HOST)?;
        bench.driver.must(HOST, OTHERS)
    })?;
    let site = bench.work.join("uninstall.yaml");
    let text = installer::single_node_site(&bench.driver, HOST, &SiteOptions::default())?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    let before = bench.step("snapshot", || Snapshot::take(&bench.driver, HOST))?;
    bench.evidence.save("snapshot-before.txt", &before.text());

    let install = |name: &str| {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        bench.step(&format!("ferry-install: {name}"), || program.logged(&log))
    };
    let uninstall = |words: &[&str]| -> Program {
        let state = installer::state_of(&site);
        installer::install(&bench.driver, &shipped.install, "uninstall")
            .arg(&site)
            .args(words)
            .arg("--state")
            .arg(state)
            .arg("--verbose")
    };
    let code = install("install")?;
    bench.evidence.copy(&installer::state_of(&site), "site");
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return Ok(());
    }
    cluster::all(bench, HOST, &bundle)?;

    let shown = uninstall(&["--show"]).ended()?;
    bench.evidence.save("uninstall-show.txt", &shown.stdout);
    let lists = ["etcd.service", "/etc/containerd/config.toml", "f_clear", "userdel"]
        .iter()
        .all(|word| shown.stdout.contains(word));
    bench.check(
        "what would be done is shown",
        shown.code == 0 && lists,
        format!("{} lines", shown.stdout.lines().count()),
    );
    let wrong = uninstall(&["--confirm", "other"]).ended()?;
    bench.check("without the cluster's name nothing is done", wrong.code == 130, wrong.stderr);
    let there = bench.driver.must(HOST, "systemctl is-active kubelet etcd containerd")?;
    bench.check("and the cluster runs on", there.trim() == "active\nactive\nactive", there);

    struck(bench, &site, &uninstall)?;
    let log = bench.evidence.path("uninstall.log");
    let code = bench.step("uninstall, to its end", || uninstall(&["--confirm", "single"]).logged(&log))?;
    bench.check("the uninstall ends with 0", code == 0, format!("exit code {code}"));
    let rest = bench.driver.must(HOST, REST)?;
    bench.check("nothing is left of programs and data", rest.trim().is_empty(), rest);
    let after = bench.step("snapshot", || Snapshot::take(&bench.driver, HOST))?;
    bench.evidence.save("snapshot-after.txt", &after.text());
    let allowed = ALLOWANCE.map(|(pattern, _)| pattern);
    bench.evidence.save("allowance.txt", &ALLOWANCE.map(|(pattern, why)| format!("{pattern}: {why}\n")).concat());
    let differences = before.without(&allowed).differences(&after.without(&allowed));
    bench.evidence.save("differences.txt", &describe(&differences, usize::MAX));
    bench.check("the host is as before, but for the list", differences.is_empty(), describe(&differences, 20));
    let again = uninstall(&["--confirm", "single"]).ended()?;
    bench.check(
        "a further uninstall finds nothing",
        again.code == 0 && again.stderr.contains("nothing of ferry's"),
        again.stderr,
    );

    let code = install("anew")?;
    bench.check("a new install works on what is left", code == 0, format!("exit code {code}"));
    Ok(())
}

/// Begins the uninstall and kills it, then once more and cuts the host's power.
fn struck(bench: &Bench, site: &std::path::Path, uninstall: &dyn Fn(&[&str]) -> Program) -> Result<(), Error> {
    let state = installer::state_of(site);
    for (name, seconds, power) in [("killed", 4, false), ("without power", 9, true), ("killed again", 12, false)] {
        let log = bench.evidence.path(&format!("uninstall-{}.log", name.replace(' ', "-")));
        bench.step(&format!("uninstall, {name}"), || {
            let mut run = Run::start(uninstall(&["--confirm", "single"]), &state, &log)?;
            let limit = std::time::Instant::now() + Duration::from_secs(seconds);
            while std::time::Instant::now() < limit && run.ended()?.is_none() {
                std::thread::sleep(Duration::from_millis(50));
            }
            if power {
                bench.driver.kill(HOST)?;
            }
            if run.ended()?.is_none() {
                run.signal("KILL")?;
            }
            run.end(PATIENCE)?;
            if power {
                bench.driver.boot(HOST)?;
                // What others had at run time only, a power cut takes, whatever ferry does.
                bench.driver.must(HOST, "printf 'table inet site { chain input { type filter hook input priority 0; tcp dport 9999 accept; }; }\\n' | nft -f -
                    iptables -t nat -N SITE; iptables -t nat -A SITE -j RETURN; iptables -t nat -A POSTROUTING -d 192.0.2.0/24 -j SITE; sysctl -q -w vm.overcommit_memory=0 kernel.panic=7")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
