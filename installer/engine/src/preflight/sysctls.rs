//! The kernel settings that a node needs: one list for the check and for the plan that sets them.

use crate::site::Site;

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sysctl {
    /// Its dotted name.
    pub name: &'static str,
    /// What it is to be.
    pub want: Wanted,
    /// Whether a kernel may do without it.
    pub optional: bool,
}

/// What a setting is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Exactly that.
    Is(u64),
    /// That or more.
    AtLeast(u64),
    /// Anything but that; it is set to the second number.
    Not(u64, u64),
}

impl Wanted {
    /// Whether a value will do.
    #[must_use]
    pub fn is_met(self, value: &str) -> bool {
        let Ok(value) = value.trim().parse::<u64>() else { return false };
        match self {
            Self::Is(wanted) => value == wanted,
            Self::AtLeast(wanted) => value >= wanted,
            Self::Not(refused, _) => value != refused,
        }
    }

    /// What it is set to where it does not do.
    #[must_use]
    pub fn value(self) -> u64 {
        match self {
            Self::Is(value) | Self::AtLeast(value) | Self::Not(_, value) => value,
        }
    }
}

const fn want(name: &'static str, want: Wanted) -> Sysctl {
    Sysctl { name, want, optional: false }
}

const fn optional(name: &'static str, want: Wanted) -> Sysctl {
    Sysctl { name, want, optional: true }
}

use Wanted::{AtLeast, Is, Not};

/// Sources: kubeadm (forwarding), kubelet's protectKernelDefaults (vm, kernel.panic), Calico (rp_filter), Embedded
/// Cluster and Kubespray (inotify, arp), Elasticsearch and its kin (max_map_count).
const NODES: [Sysctl; 15] = [
    want("net.ipv4.ip_forward", Is(1)),
    want("net.ipv4.conf.all.forwarding", Is(1)),
    want("net.ipv4.conf.default.forwarding", Is(1)),
    want("net.bridge.bridge-nf-call-iptables", Is(1)),
    optional("net.bridge.bridge-nf-call-ip6tables", Is(1)),
    want("net.ipv4.conf.all.rp_filter", Not(1, 0)),
    want("net.ipv4.conf.default.rp_filter", Not(1, 0)),
    want("net.ipv4.conf.all.arp_filter", Is(0)),
    want("net.ipv4.conf.all.arp_ignore", Is(0)),
    want("fs.inotify.max_user_instances", AtLeast(8192)),
    want("fs.inotify.max_user_watches", AtLeast(524_288)),
    want("vm.max_map_count", AtLeast(262_144)),
    want("vm.overcommit_memory", Is(1)),
    optional("kernel.panic", Is(10)),
    optional("kernel.panic_on_oops", Is(1)),
];

const IPV6: Sysctl = want("net.ipv6.conf.all.forwarding", Is(1));

/// What the nodes of a site need.
#[must_use]
pub fn wanted_sysctls(site: &Site) -> Vec<Sysctl> {
    let six = site.ranges().iter().any(|(_, range)| range.address().is_ipv6());
    NODES.into_iter().chain(six.then_some(IPV6)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged() {
        assert!(Is(1).is_met("1") && !Is(1).is_met("0") && !Is(1).is_met(""));
        assert!(AtLeast(8).is_met(" 9 ") && !AtLeast(8).is_met("7"));
        assert!(Not(1, 0).is_met("2") && Not(1, 0).is_met("0") && !Not(1, 0).is_met("1"));
    }
}
