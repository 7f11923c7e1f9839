//! What a host is: its system, its processor, and the names and numbers that no two hosts may share.

use std::collections::BTreeMap;

use super::check::{OnHost, Run, Seen, Whole};
use super::{Check, Severity};
use crate::distro;
use crate::facts::Facts;

/// systemd starts everything that ferry installs.
pub(super) const SYSTEMD: Check = Check {
    id: "identity.systemd",
    title: "systemd is process 1",
    severity: Severity::Strict,
    limit: None,
    fix: "use a host that boots with systemd",
    run: Run::Host(|on| {
        let init = &on.facts.init;
        let version = init.version.map_or_else(String::new, |version| format!(" {version}"));
        Seen::judge(init.systemd, format!("process 1 is {}{version}", init.process))
    }),
};

/// The releases that ferry is made for.
pub(super) const OS: Check = Check {
    id: "identity.os",
    title: "the operating system is a release that ferry is made for",
    severity: Severity::Fail,
    limit: None,
    fix: "use a supported release, or waive this check after an installation on the same release has been accepted",
    run: Run::Host(|on| {
        let os = &on.facts.os;
        let name = if os.pretty.is_empty() { format!("{} {}", os.id, os.version) } else { os.pretty.clone() };
        Seen::judge(distro::is_supported(os), name)
    }),
};

/// Programs and images are made for a processor.
pub(super) const ARCHITECTURE: Check = Check {
    id: "identity.architecture",
    title: "the bundle carries programs for the processor",
    severity: Severity::Strict,
    limit: None,
    fix: "make the bundle for this platform, too, or use another host",
    run: Run::Host(|on| {
        let carried = &on.whole.needs.architectures;
        let list = carried.iter().cloned().collect::<Vec<_>>().join(", ");
        Seen::judge(carried.contains(&on.facts.arch), format!("{}; the bundle has {list}", on.facts.arch))
    }),
};

/// Images of new distributions are compiled for x86-64-v2 and end with `Illegal instruction` without it.
pub(super) const CPU_LEVEL: Check = Check {
    id: "identity.cpu-level",
    title: "the processor has x86-64-v2",
    severity: Severity::Fail,
    limit: None,
    fix: "let the hypervisor pass the host's CPU on (cpu type `host` or x86-64-v2)",
    run: Run::Host(|on| {
        if on.facts.arch != "amd64" {
            return Seen::skipped("only amd64 has these levels");
        }
        let missing = on.facts.missing_cpu_flags();
        if missing.is_empty() {
            return Seen::good(on.facts.cpu_model.clone());
        }
        Seen::bad(format!("{} lacks {}", on.facts.cpu_model, missing.join(", ")))
    }),
};

/// RFC 1123, lower case: node names are made of it, and mixed case breaks joins.
pub(super) const HOSTNAME: Check = Check {
    id: "identity.hostname",
    title: "the host name is a valid node name",
    severity: Severity::Strict,
    limit: None,
    fix: "hostnamectl set-hostname NAME, with lower case letters, digits and `-`, at most 63 long",
    run: Run::Host(|on| {
        let name = on.facts.identity.hostname.as_str();
        Seen::judge(is_valid(name) && !name.starts_with("localhost"), format!("{name:?}"))
    }),
};

/// The node's name is the site file's; another host name confuses people, not Kubernetes.
pub(super) const NAME: Check = Check {
    id: "identity.name",
    title: "the host calls itself what the site file calls it",
    severity: Severity::Warn,
    limit: None,
    fix: "rename the host (hostnamectl set-hostname) or its entry in the site file",
    run: Run::Host(|on| {
        let (own, site) = (on.facts.identity.hostname.as_str(), on.host.name.as_str());
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        Seen::judge(own == site || short(own) == short(site), format!("it is {own}, the site file says {site}"))
    }),
};

/// The address by which others reach it must be its own.
pub(super) const ADDRESS: Check = Check {
    id: "identity.address",
    title: "the internal address is on an interface",
    severity: Severity::Strict,
    limit: None,
    fix: "set internalAddress in the site file to an address of the host",
    run: Run::Host(|on| {
        if let Some((name, ..)) = on.facts.network.holding(on.host.internal) {
            return Seen::good(format!("{} is on {name}", on.host.internal));
        }
        let own: Vec<String> = on.facts.network.addresses().map(|address| address.to_string()).collect();
        Seen::bad(format!("{} is not among {}", on.host.internal, own.join(", ")))
    }),
};

/// Kubelet, etcd and certificates go by the name; ferry adds it to `/etc/hosts`.
pub(super) const RESOLVES: Check = Check {
    id: "identity.resolves",
    title: "the host name resolves to the internal address",
    severity: Severity::Warn,
    limit: None,
    fix: "add the host to /etc/hosts",
    run: Run::Host(resolves),
};

fn resolves(on: &OnHost<'_>) -> Seen {
    let found = &on.facts.identity.resolves;
    if found.contains(&on.host.internal) {
        return Seen::good(format!("{} is {}", on.facts.identity.hostname, on.host.internal));
    }
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    let evidence =
        if list.is_empty() { "it does not resolve".to_owned() } else { format!("it is {}", list.join(", ")) };
    Seen::planned(evidence, "adds all hosts to /etc/hosts")
}

/// Cloned machines share it: journals, DHCP leases and some pod networks go by it.
pub(super) const MACHINE_ID: Check = Check {
    id: "identity.machine-id",
    title: "no two hosts share a machine-id",
    severity: Severity::Strict,
    limit: None,
    fix: "on each clone: rm /etc/machine-id; systemd-machine-id-setup; reboot",
    run: Run::Site(|whole| unique(whole, |facts| vec![facts.identity.machine_id.clone()])),
};

/// kubeadm's documentation asks for it: nodes with the same one may be taken for one.
pub(super) const PRODUCT_UUID: Check = Check {
    id: "identity.product-uuid",
    title: "no two hosts share a product UUID",
    severity: Severity::Strict,
    limit: None,
    fix: "give each virtual machine its own UUID in the hypervisor",
    run: Run::Site(|whole| unique(whole, |facts| vec![facts.identity.product_uuid.clone()])),
};

/// On one network two hosts with one hardware address lose packets at random.
pub(super) const MAC: Check = Check {
    id: "identity.mac",
    title: "no two hosts share a hardware address",
    severity: Severity::Strict,
    limit: None,
    fix: "give each virtual machine its own MAC address in the hypervisor",
    run: Run::Site(|whole| {
        unique(whole, |facts| {
            let physical = facts.network.interfaces.values().filter(|interface| interface.physical);
            physical.map(|interface| interface.mac.clone()).filter(|mac| mac != "00:00:00:00:00:00").collect()
        })
    }),
};

/// Two hosts of one name overwrite each other's node.
pub(super) const HOSTNAME_UNIQUE: Check = Check {
    id: "identity.hostname-unique",
    title: "no two hosts share a host name",
    severity: Severity::Strict,
    limit: None,
    fix: "hostnamectl set-hostname on one of them",
    run: Run::Site(|whole| unique(whole, |facts| vec![facts.identity.hostname.clone()])),
};

/// Whether no value is had by two hosts. Empty values are those that a host does not tell: what is not known is not different.
fn unique(whole: &Whole<'_>, values: impl Fn(&Facts) -> Vec<String>) -> Seen {
    let mut owners: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut silent: Vec<&str> = Vec::new();
    for (host, facts) in whole.known() {
        let mut own: Vec<String> = values(facts).into_iter().filter(|value| !value.is_empty()).collect();
        // Bonds and their members share one address: that is the host's own affair.
        own.sort_unstable();
        own.dedup();
        if own.is_empty() {
            silent.push(&host.name);
        }
        for value in own {
            owners.entry(value).or_default().push(&host.name);
        }
    }
    let shared: Vec<String> = owners
        .iter()
        .filter(|(_, hosts)| hosts.len() > 1)
        .map(|(value, hosts)| format!("{} have {value}", hosts.join(" and ")))
        .collect();
    match (shared.is_empty(), silent.is_empty()) {
        (false, _) => Seen::bad(shared.join("; ")),
        (true, true) if !owners.is_empty() => Seen::good(format!("{} different", owners.len())),
        (true, true) => Seen::skipped("not measured: no host was asked"),
        (true, false) => {
            Seen::skipped(format!("not measured on {}; {} different elsewhere", silent.join(", "), owners.len()))
        }
    }
}

fn is_valid(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        (1..=63).contains(&label.len()) && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 63 && name.split('.').all(label)
}
