//! What is left of earlier installations, and what else is at work on the host's packages.

use super::check::{OnHost, Run, Seen};
use super::{Check, Severity};
use crate::action::DataKind;
use crate::facts::{DataMark, PathKind};
use crate::site::file::{Role, StorageKind};

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
        let etcd: &str = on.site().etcd.data_dir.as_ref();
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
    fix: SAVE,
    run: Run::Host(|on| {
        if !on.host.is(Role::Etcd) {
            return Seen::skipped("no etcd runs here");
        }
        data(on, DataKind::Etcd, on.site().etcd.data_dir.as_ref())
    }),
};

/// What a registry finds in its folder it gives out, and an uninstall removes it.
pub(super) const REGISTRY: Check = Check {
    id: "leftovers.registry",
    title: "the registry's data directory is empty",
    severity: Severity::Strict,
    limit: None,
    fix: SAVE,
    run: Run::Host(|on| {
        if !on.host.is(Role::Registry) {
            return Seen::skipped("no registry runs here");
        }
        data(on, DataKind::Registry, on.site().registry.data_dir.as_ref())
    }),
};

/// Old snapshots are removed from there, and with `--wipe-data` all of them.
pub(super) const SNAPSHOTS: Check = Check {
    id: "leftovers.snapshots",
    title: "the folder of etcd's snapshots is empty",
    severity: Severity::Strict,
    limit: None,
    fix: SAVE,
    run: Run::Host(|on| {
        if !on.host.is(Role::Etcd) {
            return Seen::skipped("no etcd runs here");
        }
        data(on, DataKind::Snapshots, on.site().etcd.snapshot_dir.as_ref())
    }),
};

/// Volumes are made and removed there, and with `--wipe-data` all of them.
pub(super) const VOLUMES: Check = Check {
    id: "leftovers.volumes",
    title: "the folder of volumes is empty",
    severity: Severity::Strict,
    limit: None,
    fix: SAVE,
    run: Run::Host(|on| {
        if !on.host.is_node() || on.site().storage.kind != StorageKind::LocalPath {
            return Seen::skipped("no volumes are made here");
        }
        data(on, DataKind::Volumes, on.site().storage.path.as_ref())
    }),
};

/// What to do about a folder that can't be taken.
const SAVE: &str = "save what is in it, and move it away";

/// Whether ferry may take a folder for its data. The step that takes it judges likewise, by what is there then.
fn data(on: &OnHost<'_>, kind: DataKind, path: &str) -> Seen {
    let Some(fact) = on.facts.paths.get(path) else { return Seen::skipped(format!("nothing is known of {path}")) };
    if let Some(open) = fact.open_parents.first() {
        return Seen::bad_fixed_by(
            format!("{path} lies in {open}, which other users than root can change"),
            "choose another place, or make root its owner and keep others from writing there",
        );
    }
    let mark = fact.data.as_ref();
    let is_kind = |mark: &DataMark| mark.kind == kind.word();
    let ours =
        |mark: &DataMark| is_kind(mark) && mark.path == path && !mark.released && mark.install == on.facts.install;
    if mark.is_some_and(ours) && !on.facts.install.is_empty() {
        return Seen::good(format!("{path} is ferry's own"));
    }
    if fact.kind == PathKind::Other || (fact.kind == PathKind::Link && fact.link.is_empty()) {
        return Seen::bad_fixed_by(format!("{path} is no folder"), "move it away");
    }
    let held = match fact.entries {
        Some(0) => return Seen::good(format!("{path} is empty")),
        Some(count) => format!("{path} has {count} entries"),
        // Unknown is not empty.
        None => format!("{path} could not be listed"),
    };
    match mark {
        Some(mark) if mark.released && is_kind(mark) && kind.outlives() => {
            Seen::good(format!("{path} was left by an earlier install of ferry"))
        }
        Some(_) => Seen::bad(format!("{held}, and belongs to another install of ferry")),
        None if on.is_ours() && (fact.in_ledger || kind == DataKind::Volumes) => {
            Seen::good(format!("{path} was taken by an earlier version of ferry"))
        }
        None => Seen::bad(held),
    }
}

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
