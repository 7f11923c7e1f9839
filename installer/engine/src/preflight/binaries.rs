//! Programs of the host's own that Kubernetes, the pod network and ferry call.

use super::check::{OnHost, Run, Seen};
use super::{Check, Severity};
use crate::distro::{family, packages_of};

/// kubeadm's mandatory ones, and what ferry itself calls.
const REQUIRED: [&str; 13] = [
    "ip",
    "iptables",
    "mount",
    "umount",
    "nsenter",
    "modprobe",
    "sysctl",
    "sha256sum",
    "flock",
    "systemctl",
    "tar",
    "stat",
    "sync",
];

/// kubeadm warns without them.
const OPTIONAL: [&str; 6] = ["conntrack", "socat", "ethtool", "tc", "ebtables", "touch"];

pub(super) const NEEDED: Check = Check {
    id: "binaries.required",
    title: "programs that Kubernetes and ferry call are there",
    severity: Severity::Fail,
    limit: None,
    fix: "install their packages from the distribution's medium",
    run: Run::Host(|on| there(on, &REQUIRED)),
};

pub(super) const USEFUL: Check = Check {
    id: "binaries.optional",
    title: "programs that kubeadm would like are there",
    severity: Severity::Warn,
    limit: None,
    fix: "install their packages from the distribution's medium",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        there(on, &OPTIONAL)
    }),
};

/// From 1.32 on kube-proxy speaks to the kernel itself.
pub(super) const CONNTRACK: Check = Check {
    id: "binaries.conntrack",
    title: "conntrack is there for Kubernetes before 1.32",
    severity: Severity::Fail,
    limit: None,
    fix: "install conntrack (Debian) or conntrack-tools (rpm) from the distribution's medium",
    run: Run::Host(|on| {
        if on.whole.needs.kubernetes >= (1, 32) {
            return Seen::skipped("Kubernetes does without it");
        }
        there(on, &["conntrack"])
    }),
};

fn there(on: &OnHost<'_>, programs: &[&str]) -> Seen {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| !on.facts.has(program)).collect();
    if missing.is_empty() {
        return Seen::good(programs.join(", "));
    }
    let packages = packages_of(&missing, family(&on.facts.os)).join(" ");
    let fix = format!("install from the distribution's medium: {packages}");
    Seen::bad_fixed_by(format!("no {}", missing.join(", ")), fix)
}
