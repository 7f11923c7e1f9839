//! Questions that preflight and plan ask of facts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::model::{Facts, Leftover, ModuleState, PathFact, PathKind};
use super::model_network::{Interface, Network, Route};

/// What x86-64-v2 adds to the first x86-64 (System V ABI), as `/proc/cpuinfo` names it.
const X86_64_V2: [&str; 7] = ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3", "pni"];

/// Interfaces of pod networks.
const POD_LINKS: [&str; 10] =
    ["cni0", "cbr0", "flannel.1", "vxlan.calico", "cali", "tunl0", "kube-ipvs0", "nodelocaldns", "cilium", "weave"];

impl Facts {
    /// Whether the kernel has a module, loaded or not.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.get(name).is_some_and(|state| *state != ModuleState::Missing)
    }

    /// Whether ferry has worked on this host before: its ledger lies there.
    #[must_use]
    pub fn has_ledger(&self) -> bool {
        self.ferry.iter().any(|name| name == "ledger")
    }

    /// Whether a program is there.
    #[must_use]
    pub fn has(&self, program: &str) -> bool {
        self.binaries.contains_key(program)
    }

    /// A kernel setting as a number.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<u64> {
        self.sysctls.get(name)?.parse().ok()
    }

    /// Which flags of x86-64-v2 the CPU lacks. Always empty elsewhere.
    #[must_use]
    pub fn missing_cpu_flags(&self) -> Vec<&'static str> {
        if self.arch != "amd64" || self.cpu_flags.is_empty() {
            return Vec::new();
        }
        X86_64_V2.into_iter().filter(|flag| !self.cpu_flags.contains(*flag)).collect()
    }

    /// Name servers that a pod could ask: from systemd-resolved's own file if that is in use, without loopback ones.
    #[must_use]
    pub fn usable_nameservers(&self) -> Vec<IpAddr> {
        let all = self.names.nameservers.iter().chain(&self.names.upstream);
        let usable = all.filter_map(|text| text.parse::<IpAddr>().ok()).filter(|address| !address.is_loopback());
        usable.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What is left of an earlier installation: data, configuration, units, processes, interfaces.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Leftover> {
        let mut found = Vec::new();
        let mut add = |what: &str, why: &str| found.push(Leftover { what: what.to_owned(), why: why.to_owned() });
        for (path, why) in [
            ("/etc/kubernetes", "configuration of a cluster"),
            ("/var/lib/etcd", "data of etcd"),
            ("/var/lib/kubelet", "state of a kubelet"),
            ("/etc/cni/net.d", "configuration of a pod network"),
            ("/var/lib/rancher", "data of k3s or RKE2"),
            ("/var/lib/k0s", "data of k0s"),
        ] {
            // A folder that root can't list is not taken for an empty one.
            let unlisted = |fact: &PathFact| fact.kind == PathKind::Folder && fact.entries.is_none();
            if self.paths.get(path).is_some_and(|fact| fact.entries.is_some_and(|count| count > 0) || unlisted(fact)) {
                add(path, why);
            }
        }
        for process in ["kubelet", "kube-apiserver", "etcd", "k3s", "rke2", "k0s"] {
            if self.processes.contains(process) {
                add(process, "runs");
            }
        }
        for unit in self.units.keys() {
            let known = ["kubelet", "etcd", "k3s", "rke2", "k0s", "crio"];
            if known.iter().any(|name| unit.starts_with(name)) {
                add(unit, "is installed");
            }
        }
        for link in self.network.interfaces.keys() {
            // tunl0 appears by itself with the module.
            if link != "tunl0" && POD_LINKS.iter().any(|name| link.starts_with(name)) {
                add(link, "is an interface of a pod network");
            }
        }
        found
    }
}

impl Network {
    /// The route for what no other route is for; IPv4 first.
    #[must_use]
    pub fn default_route(&self) -> Option<&Route> {
        self.routes.iter().find(|route| route.to.prefix() == 0 && route.table == "main" && route.kind == "unicast")
    }

    /// The interface that holds an address, and the address's prefix length.
    #[must_use]
    pub fn holding(&self, address: IpAddr) -> Option<(&str, &Interface, u8)> {
        self.interfaces.iter().find_map(|(name, interface)| {
            let (_, prefix) = interface.addresses.iter().find(|(one, _)| *one == address)?;
            Some((name.as_str(), interface, *prefix))
        })
    }

    /// All addresses of the host that are no loopback.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let all = self.interfaces.values().flat_map(|interface| &interface.addresses);
        all.map(|(address, _)| *address).filter(|address| !address.is_loopback())
    }
}
