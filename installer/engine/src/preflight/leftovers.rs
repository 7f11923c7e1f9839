//! What is left of earlier installations, and what else is at work on the host's packages.

use super::check::{Run, Seen};
use super::{Check, Severity};
use crate::site::file::Role;

/// Half a cluster below a new one is how second tries fail.
pub(super) const CLUSTER: Check = Check {
    id: "leftovers.cluster",
    title: "nothing is left of another cluster",
    severity: Severity::Fail,
    limit: None,
    fix: "remove it with the tool that installed it (kubeadm reset -f, k3s-uninstall.sh, …) and reboot, or use another host",
    run: Run::Host(|on| {
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: its ledger knows what is its own");
        }
        let etcd = on.site().etcd.data_dir.as_str();
        let found: Vec<String> = on
            .facts
            .leftovers()
            .into_iter()
            // leftovers.etcd is about these.
            .filter(|left| left.what != etcd && left.what != "/var/lib/etcd")
            .map(|left| format!("{} ({})", left.what, left.why))
            .collect();
        if found.is_empty() { Seen::good("nothing found") } else { Seen::bad(found.join(", ")) }
    }),
};

/// etcd refuses a second beginning on old data, and old data may be the only copy of something.
pub(super) const ETCD: Check = Check {
    id: "leftovers.etcd",
    title: "etcd's data directory is empty",
    severity: Severity::Strict,
    limit: None,
    fix: "save what is in it, and move it away",
    run: Run::Host(|on| {
        if !on.host.is(Role::Etcd) {
            return Seen::skipped("no etcd runs here");
        }
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: the data are its own");
        }
        let path = &on.site().etcd.data_dir;
        let entries = on.facts.paths.get(path).map_or(0, |fact| fact.entries);
        Seen::judge(entries == 0, format!("{path} has {entries} entries"))
    }),
};

/// Two runtimes on one host fight about cgroups, iptables and sockets.
pub(super) const RUNTIME: Check = Check {
    id: "leftovers.runtime",
    title: "no other container runtime runs",
    severity: Severity::Fail,
    limit: None,
    fix: "systemctl disable --now docker.socket docker containerd (or crio, podman), if nothing else on the host needs it",
    run: Run::Host(|on| {
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: the runtime is its own");
        }
        let known = ["docker.service", "containerd.service", "crio.service", "podman.service", "isulad.service"];
        let running: Vec<&str> = known.into_iter().filter(|name| on.facts.services.contains(*name)).collect();
        if running.is_empty() { Seen::good("none runs") } else { Seen::bad(running.join(", ")) }
    }),
};

/// A package manager at work changes programs under an installation.
pub(super) const PACKAGES: Check = Check {
    id: "leftovers.package-manager",
    title: "no package manager is at work",
    severity: Severity::Warn,
    limit: None,
    fix: "wait until it is done",
    run: Run::Host(|on| {
        let mut busy = on.facts.package_locks.clone();
        let names = ["apt-get", "aptitude", "dpkg", "dnf", "yum", "rpm", "zypper", "packagekitd"];
        busy.extend(names.iter().filter(|name| on.facts.processes.contains(**name)).map(|name| (*name).to_owned()));
        if busy.is_empty() { Seen::good("none") } else { Seen::bad(busy.join(", ")) }
    }),
};

/// Updates at night restart runtimes and kernels on all hosts at once.
pub(super) const UNATTENDED: Check = Check {
    id: "leftovers.unattended-upgrades",
    title: "packages are not upgraded behind one's back",
    severity: Severity::Warn,
    limit: None,
    fix: "systemctl disable --now unattended-upgrades (or dnf-automatic.timer), or hold the kernel",
    run: Run::Host(|on| {
        let names = ["unattended-upgrades.service", "dnf-automatic.timer"];
        let on_now = names.into_iter().filter(|name| on.facts.units.get(*name).is_some_and(|state| state == "enabled"));
        let found: Vec<&str> = on_now.collect();
        if found.is_empty() { Seen::good("none enabled") } else { Seen::bad(found.join(", ")) }
    }),
};
