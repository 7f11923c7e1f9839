//! The kernel: version, control groups, modules, settings, what root may do, whether it waits for a reboot.

use super::check::{OnHost, Run, Seen};
use super::sysctls::wanted_sysctls;
use super::{Check, Severity};
use crate::facts::{CgroupVersion, ModuleState};
use crate::site::file::{Encapsulation, NetworkKind, ProxyMode};

/// kubeadm's recommendation; older long-term kernels lack what cgroups and overlay need.
const FLOOR: (u32, u32) = (4, 19);
/// nftables kube-proxy's own floor.
const NFTABLES_FLOOR: (u32, u32) = (5, 13);

pub(super) const VERSION: Check = Check {
    id: "kernel.version",
    title: "the kernel is 4.19 or newer",
    severity: Severity::Fail,
    limit: None,
    fix: "boot a newer kernel of the distribution",
    run: Run::Host(|on| Seen::judge(on.facts.kernel.version >= FLOOR, on.facts.kernel.release.clone())),
};

pub(super) const NFTABLES_PROXY: Check = Check {
    id: "kernel.nftables-proxy",
    title: "the kernel is new enough for kube-proxy with nftables",
    severity: Severity::Fail,
    limit: None,
    fix: "set kubernetes.proxy: iptables, or boot a kernel of 5.13 or newer",
    run: Run::Host(|on| {
        if on.site().kubernetes.proxy != ProxyMode::Nftables {
            return Seen::skipped("kube-proxy does not use nftables");
        }
        Seen::judge(on.facts.kernel.version >= NFTABLES_FLOOR, on.facts.kernel.release.clone())
    }),
};

/// Kubernetes 1.35 refuses cgroup v1.
pub(super) const CGROUP_V2: Check = Check {
    id: "kernel.cgroup-v2",
    title: "Kubernetes 1.35 and newer have control groups v2",
    severity: Severity::Fail,
    limit: None,
    fix: "boot with systemd.unified_cgroup_hierarchy=1, or install Kubernetes 1.34",
    run: Run::Host(|on| {
        if on.whole.needs.kubernetes < (1, 35) {
            return Seen::skipped(format!("Kubernetes {} does not ask for it", minor(on)));
        }
        cgroup(on)
    }),
};

pub(super) const CGROUP_V1: Check = Check {
    id: "kernel.cgroup-v1",
    title: "control groups are not the version that the next Kubernetes refuses",
    severity: Severity::Warn,
    limit: None,
    fix: "boot with systemd.unified_cgroup_hierarchy=1 before Kubernetes goes to 1.35",
    run: Run::Host(|on| {
        if on.whole.needs.kubernetes >= (1, 35) {
            return Seen::skipped("kernel.cgroup-v2 asks for more");
        }
        cgroup(on)
    }),
};

fn cgroup(on: &OnHost<'_>) -> Seen {
    if !on.host.is_node() {
        return Seen::skipped("no kubelet runs here");
    }
    let v2 = on.facts.cgroups.version == CgroupVersion::V2;
    Seen::judge(v2, if v2 { "v2" } else { "v1" })
}

fn minor(on: &OnHost<'_>) -> String {
    let (major, minor) = on.whole.needs.kubernetes;
    format!("{major}.{minor}")
}

pub(super) const CONTROLLERS: Check = Check {
    id: "kernel.controllers",
    title: "the control groups' controllers are there",
    severity: Severity::Fail,
    limit: None,
    fix: "take cgroup_disable=… off the kernel's command line (on ARM boards: add cgroup_enable=memory)",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let wanted: &[&str] = match on.facts.cgroups.version {
            CgroupVersion::V2 => &["cpu", "cpuset", "memory", "pids"],
            CgroupVersion::V1 => &["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"],
        };
        lacking(wanted, |name| on.facts.cgroups.controllers.contains(name))
    }),
};

/// What every node needs, whatever the network.
pub(super) const MODULES: Check = Check {
    id: "kernel.modules",
    title: "overlay, br_netfilter and nf_conntrack can be loaded",
    severity: Severity::Fail,
    limit: None,
    fix: "install the kernel's modules (linux-modules-extra, kernel-modules), and take them off any deny list",
    run: Run::Host(|on| modules(on, &["overlay", "br_netfilter", "nf_conntrack"])),
};

/// Services are packet filter rules.
pub(super) const FILTER_MODULES: Check = Check {
    id: "kernel.filter-modules",
    title: "the kernel filters packets: ip_tables, or nf_tables with nft_compat",
    severity: Severity::Fail,
    limit: None,
    fix: "install the kernel's modules (linux-modules-extra, kernel-modules)",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let legacy = on.facts.has_module("ip_tables");
        let nft = on.facts.has_module("nf_tables") && on.facts.has_module("nft_compat");
        let found = match (legacy, nft) {
            (true, true) => "ip_tables, nf_tables",
            (true, false) => "ip_tables",
            (false, true) => "nf_tables",
            (false, false) => "neither",
        };
        Seen::judge(legacy || nft, found)
    }),
};

pub(super) const PROXY_MODULES: Check = Check {
    id: "kernel.proxy-modules",
    title: "kube-proxy's kernel modules can be loaded",
    severity: Severity::Fail,
    limit: None,
    fix: "set kubernetes.proxy: iptables, or use a kernel with IPVS",
    run: Run::Host(|on| match on.site().kubernetes.proxy {
        ProxyMode::Ipvs => modules(on, &["ip_vs", "ip_vs_rr"]),
        ProxyMode::Nftables => modules(on, &["nf_tables"]),
        ProxyMode::Iptables => Seen::skipped("kube-proxy uses iptables"),
    }),
};

pub(super) const NETWORK_MODULES: Check = Check {
    id: "kernel.network-modules",
    title: "the pod network's kernel modules can be loaded",
    severity: Severity::Fail,
    limit: None,
    fix: "set network.encapsulation to one that the kernel has, or install the kernel's modules",
    run: Run::Host(|on| {
        let network = &on.site().network;
        match (network.kind, network.encapsulation) {
            (NetworkKind::Calico, Encapsulation::Vxlan) => modules(on, &["vxlan", "ip_set", "xt_set"]),
            (NetworkKind::Calico, Encapsulation::Ipip) => modules(on, &["ipip", "ip_set", "xt_set"]),
            (NetworkKind::Calico, Encapsulation::Bgp | Encapsulation::HostGw) => modules(on, &["ip_set", "xt_set"]),
            (NetworkKind::Flannel, Encapsulation::Vxlan) => modules(on, &["vxlan", "bridge"]),
            (NetworkKind::Flannel | NetworkKind::HostRoutes, _) => modules(on, &["bridge", "veth"]),
        }
    }),
};

fn modules(on: &OnHost<'_>, wanted: &[&str]) -> Seen {
    if !on.host.is_node() {
        return Seen::skipped("no kubelet runs here");
    }
    let state = |name: &&str| on.facts.modules.get(*name).copied().unwrap_or(ModuleState::Missing);
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| state(name) == ModuleState::Missing).collect();
    if missing.is_empty() { Seen::good(wanted.join(", ")) } else { Seen::bad(format!("no {}", missing.join(", "))) }
}

fn lacking(wanted: &[&str], has: impl Fn(&str) -> bool) -> Seen {
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !has(name)).collect();
    if missing.is_empty() { Seen::good(wanted.join(", ")) } else { Seen::bad(format!("no {}", missing.join(", "))) }
}

/// Settings are the plan's: only those that can't be set fail.
pub(super) const SYSCTLS: Check = Check {
    id: "kernel.sysctls",
    title: "kernel settings are what Kubernetes and the pod network need",
    severity: Severity::Fail,
    limit: None,
    fix: "find out why the kernel has no such setting",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let (mut wrong, mut absent) = (Vec::new(), Vec::new());
        for wanted in wanted_sysctls(on.site()) {
            match on.facts.sysctls.get(wanted.name) {
                Some(value) if wanted.want.is_met(value) => {}
                Some(value) => wrong.push(format!("{} = {value}", wanted.name)),
                // Bridge settings appear with their module.
                None if wanted.name.starts_with("net.bridge.") => wrong.push(format!("no {} yet", wanted.name)),
                None if wanted.optional => {}
                None => absent.push(format!("no {}", wanted.name)),
            }
        }
        match (absent.as_slice(), wrong.as_slice()) {
            ([], []) => Seen::good("all set"),
            ([], wrong) => Seen::planned(wrong.join(", "), "sets them in /etc/sysctl.d"),
            (absent, _) => Seen::bad(absent.join(", ")),
        }
    }),
};

/// In some containers and hardened machines root is not root.
pub(super) const CAPABILITIES: Check = Check {
    id: "kernel.capabilities",
    title: "root may do what container runtimes do",
    severity: Severity::Strict,
    limit: None,
    fix: "run on a real or virtual machine, or give the container that this is these capabilities",
    run: Run::Host(|on| {
        let wanted = [
            "CAP_SYS_ADMIN",
            "CAP_NET_ADMIN",
            "CAP_NET_RAW",
            "CAP_SYS_CHROOT",
            "CAP_MKNOD",
            "CAP_SETUID",
            "CAP_SYS_PTRACE",
        ];
        lacking(&wanted, |name| on.facts.capabilities.contains(name))
    }),
};

/// Without it runc can't lower a pod's OOM score, and every pod fails with "can't get final child's PID from pipe".
pub(super) const OOM_SCORE: Check = Check {
    id: "kernel.oom-score",
    title: "root may lower a process's OOM score (CAP_SYS_RESOURCE)",
    severity: Severity::Fail,
    limit: None,
    fix: "give the machine CAP_SYS_RESOURCE",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        if on.facts.capabilities.contains("CAP_SYS_RESOURCE") {
            return Seen::good("CAP_SYS_RESOURCE");
        }
        Seen::planned("no CAP_SYS_RESOURCE", "sets restrict_oom_score_adj = true in containerd")
    }),
};

/// What runs now may not be what runs after the next boot.
pub(super) const REBOOT: Check = Check {
    id: "kernel.reboot",
    title: "no reboot is due",
    severity: Severity::Warn,
    limit: None,
    fix: "reboot before the installation, not after",
    run: Run::Host(|on| match on.facts.reboot_required.as_slice() {
        [] => Seen::good("none asked for"),
        why => Seen::bad(why.join(", ")),
    }),
};
