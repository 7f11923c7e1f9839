//! Processors and memory.

use super::check::{OnHost, Run, Seen};
use super::{Check, Limit, Severity};
use crate::site::file::Role;

const MIB: u64 = 1 << 20;

/// kubeadm's own floor (NumCPU), and that of a node that runs anything beside the system's pods.
pub(super) const CPU: Check = Check {
    id: "resources.cpu",
    title: "there are processors enough",
    severity: Severity::Fail,
    limit: Some(Limit { value: 2.0, unit: "processors" }),
    fix: "give the host more processors",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let limit = on.limit();
        Seen::judge(f64::from(on.facts.cpus) >= limit, format!("{}, at least {limit}", on.facts.cpus))
    }),
};

/// A control plane with etcd holds 0.8 GiB at rest; machines of 4 GB show some 3,700 MiB.
pub(super) const CONTROL_PLANE_MEMORY: Check = Check {
    id: "resources.control-plane-memory",
    title: "a control-plane host has memory enough",
    severity: Severity::Fail,
    limit: Some(Limit { value: 3600.0, unit: "MiB" }),
    fix: "give the host at least 4 GB",
    run: Run::Host(|on| memory(on, Role::ControlPlane)),
};

/// A worker holds 0.45 GiB at rest, without any work.
pub(super) const WORKER_MEMORY: Check = Check {
    id: "resources.worker-memory",
    title: "a worker has memory enough",
    severity: Severity::Fail,
    limit: Some(Limit { value: 1800.0, unit: "MiB" }),
    fix: "give the host at least 2 GB, or what the profile says",
    run: Run::Host(|on| memory(on, Role::Worker)),
};

#[expect(clippy::cast_precision_loss, reason = "MiB of memory are below 2^52")]
fn memory(on: &OnHost<'_>, role: Role) -> Seen {
    if !on.host.is(role) {
        return Seen::skipped("it has another role");
    }
    let (mib, limit) = (on.facts.memory.total / MIB, on.limit());
    Seen::judge(mib as f64 >= limit, format!("{mib} MiB, at least {limit}"))
}

/// A kubelet does not start with swap on, and limits of pods mean nothing then.
pub(super) const SWAP: Check = Check {
    id: "resources.swap",
    title: "swap is off",
    severity: Severity::Fail,
    limit: None,
    fix: "swapoff -a, and take the swap lines out of /etc/fstab",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let memory = &on.facts.memory;
        if memory.swap == 0 {
            return Seen::good("no swap");
        }
        Seen::bad(format!("{} MiB on {}", memory.swap / MIB, memory.swap_devices.join(", ")))
    }),
};
