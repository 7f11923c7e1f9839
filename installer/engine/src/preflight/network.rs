//! The hosts' network: routes, addresses, MTUs, and whether hosts reach each other on the ports that matter.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check::{Between, OnHost, Run, Seen, Whole};
use super::listening::name;
use super::{Check, Severity};
use crate::facts::{Facts, Interface, Route};
use crate::site::Cidr;
use crate::site::file::{Encapsulation, EndpointKind, NetworkKind};
use crate::step::knows_policies;

/// Calico finds no address and kube-proxy no way to Services without one.
pub(super) const DEFAULT_ROUTE: Check = Check {
    id: "network.default-route",
    title: "there is a default route",
    severity: Severity::Fail,
    limit: None,
    fix: "add one, even if it leads nowhere: ip route add default dev INTERFACE metric 4294967295, and keep it over boots",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        match on.facts.network.default_route() {
            Some(route) => {
                let via = route.via.map_or_else(String::new, |via| format!("via {via} "));
                Seen::good(format!("{via}dev {}", route.device.as_deref().unwrap_or("?")))
            }
            None => Seen::bad("none"),
        }
    }),
};

/// Where pods or Services shadow a network that a host knows, that network is gone for the host.
pub(super) const RANGES: Check = Check {
    id: "network.ranges",
    title: "pods' and Services' addresses overlap no route and no address of a host",
    severity: Severity::Strict,
    limit: None,
    fix: "choose other ranges: kubernetes.podCIDR, kubernetes.serviceCIDR",
    run: Run::Host(|on| {
        // A pod network's routes lead to its own links, or to another host of the site.
        let hosts: Vec<IpAddr> = on.site().hosts.iter().map(|host| host.internal).collect();
        let own = |route: &Route| {
            route.device.as_deref().is_none_or(is_pod_link) || route.via.is_some_and(|via| hosts.contains(&via))
        };
        let mut found = Vec::new();
        for (what, range) in on.site().ranges() {
            for route in on.facts.network.routes.iter().filter(|route| route.to.prefix() > 0) {
                let ours = on.is_ours() && own(route);
                if route.to.overlaps(&range) && !ours {
                    let device = route.device.as_deref().map_or_else(String::new, |device| format!(" dev {device}"));
                    found.push(format!("{what} {range} and the route {}{device}", route.to));
                }
            }
            for (device, interface) in &on.facts.network.interfaces {
                let ours = on.is_ours() && is_pod_link(device);
                for (address, _) in interface.addresses.iter().filter(|(address, _)| range.contains(*address) && !ours)
                {
                    found.push(format!("{what} {range} and the address {address} on {device}"));
                }
            }
        }
        if found.is_empty() { Seen::good("no overlap") } else { Seen::bad(found.join("; ")) }
    }),
};

/// Interfaces that a pod network makes.
fn is_pod_link(device: &str) -> bool {
    ["cni", "cali", "vxlan.", "flannel", "tunl", "veth", "kube-", "ferry"].iter().any(|begin| device.starts_with(begin))
}

/// A path with one smaller MTU loses big packets only.
pub(super) const MTU: Check = Check {
    id: "network.mtu",
    title: "the interfaces that carry pods have one MTU",
    severity: Severity::Warn,
    limit: None,
    fix: "set the same MTU everywhere, or network.mtu to what the smallest leaves",
    run: Run::Site(|whole| {
        let mut found: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for (host, facts) in whole.known() {
            if let Some((name, interface, _)) = facts.network.holding(host.internal) {
                if interface.mtu == 0 {
                    return Seen::skipped(format!("the MTU of {name} on {} is not known", host.name));
                }
                found.entry(interface.mtu).or_default().push(&host.name);
            }
        }
        let list = found.iter().map(|(mtu, hosts)| format!("{mtu} on {}", hosts.join(", ")));
        Seen::judge(found.len() <= 1, list.collect::<Vec<_>>().join("; "))
    }),
};

/// Guessing among several interfaces is how pods of two hosts end on two networks.
pub(super) const INTERFACE: Check = Check {
    id: "network.interface",
    title: "it is clear which interface carries pods",
    severity: Severity::Fail,
    limit: None,
    fix: "set network.interface to an interface that every node has, or leave it out",
    run: Run::Host(interface),
};

fn interface(on: &OnHost<'_>) -> Seen {
    if !on.host.is_node() {
        return Seen::skipped("no kubelet runs here");
    }
    let interfaces = &on.facts.network.interfaces;
    if let Some(named) = &on.site().network.interface {
        return match interfaces.get(named.as_str()) {
            None => Seen::bad(format!("there is no {named}")),
            Some(one) if one.addresses.is_empty() => Seen::bad(format!("{named} has no address")),
            Some(_) => Seen::good(named.to_string()),
        };
    }
    let Some((holder, ..)) = on.facts.network.holding(on.host.internal) else {
        return Seen::skipped("identity.address says what is wrong");
    };
    let usable = |(name, interface): &(&String, &Interface)| {
        !is_pod_link(name)
            && !name.starts_with("docker")
            && interface.addresses.iter().any(|(address, _)| !address.is_loopback() && address.is_ipv4())
    };
    let candidates: Vec<&str> = interfaces.iter().filter(usable).map(|(name, _)| name.as_str()).collect();
    if candidates.len() <= 1 {
        return Seen::good(holder);
    }
    Seen::planned(
        format!("{} have addresses", candidates.join(", ")),
        format!("pins {holder}, which has the internal address"),
    )
}

/// Pods of two kinds of network don't reach each other, and nothing moves pods from one to the other.
pub(super) const KIND: Check = Check {
    id: "network.kind",
    title: "the cluster's pods are on the kind of network that the site file says",
    severity: Severity::Strict,
    limit: None,
    fix: "set network.kind as it was; to change it, uninstall the cluster and install it anew",
    run: Run::Host(|on| {
        if !on.is_ours() {
            return Seen::skipped("ferry has not worked here");
        }
        let has = |begin: &str| on.facts.network.interfaces.keys().any(|name| name.starts_with(begin));
        let (kind, says) = (on.site().network.kind, crate::step::network_name(on.site().network.kind));
        let other = match kind {
            NetworkKind::Calico if has("flannel.") => Some("flannel's link"),
            NetworkKind::Calico if has("cni0") => Some("the bridge of host-routes or flannel"),
            NetworkKind::Flannel | NetworkKind::HostRoutes if has("cali") || has("vxlan.calico") => {
                Some("Calico's links")
            }
            NetworkKind::HostRoutes if has("flannel.") => Some("flannel's link"),
            _ => None,
        };
        match other {
            Some(other) => Seen::bad(format!("the site file says {says}, and the host has {other}")),
            None => Seen::good(says),
        }
    }),
};

/// Routes between hosts without encapsulation need one network.
pub(super) const ONE_NETWORK: Check = Check {
    id: "network.one-network",
    title: "all nodes are on one network, as host routes need",
    severity: Severity::Fail,
    limit: None,
    fix: "set network.kind: calico with network.encapsulation: vxlan",
    run: Run::Site(|whole| {
        let network = &whole.site.network;
        let routed = network.kind == NetworkKind::Flannel && network.encapsulation == Encapsulation::HostGw;
        if network.kind != NetworkKind::HostRoutes && !routed {
            return Seen::skipped("the pod network crosses routers");
        }
        let networks: BTreeMap<Cidr, Vec<&str>> =
            whole.known().filter(|(host, _)| host.is_node()).fold(BTreeMap::new(), |mut found, (host, facts)| {
                if let Some((_, _, prefix)) = facts.network.holding(host.internal) {
                    found.entry(Cidr::holding(host.internal, prefix)).or_default().push(host.name.as_str());
                }
                found
            });
        let list = networks.iter().map(|(range, hosts)| format!("{range}: {}", hosts.join(", ")));
        Seen::judge(networks.len() <= 1, list.collect::<Vec<_>>().join("; "))
    }),
};

/// Requests to Services that go to a proxy never arrive.
pub(super) const PROXIES: Check = Check {
    id: "network.proxies",
    title: "no proxy stands between hosts, pods and Services",
    severity: Severity::Warn,
    limit: None,
    fix: "take the proxy out of the environment, or put all internal addresses into no_proxy",
    run: Run::Host(|on| {
        let set = |begin: &str| {
            on.facts.proxies.iter().find(|line| line.to_lowercase().starts_with(begin)).map(String::as_str)
        };
        let proxy = set("http_proxy=").or_else(|| set("https_proxy=")).or_else(|| set("all_proxy="));
        let Some(proxy) = proxy else { return Seen::good("no proxy is set") };
        let spared = set("no_proxy=").unwrap_or_default();
        let wanted = on.site().ranges().map(|(_, range)| range.to_string());
        let all = spared.contains('*') || wanted.iter().all(|range| spared.contains(range.as_str()));
        Seen::judge(all, format!("{proxy}; {}", if spared.is_empty() { "no_proxy is not set" } else { spared }))
    }),
};

/// vmxnet3 computes wrong checksums inside VXLAN on some ESXi releases: everything but ping is lost.
pub(super) const OFFLOAD: Check = Check {
    id: "network.offload",
    title: "no network card spoils checksums inside VXLAN",
    severity: Severity::Warn,
    limit: None,
    fix: "ethtool -K flannel.1 tx off, at every boot; or set network.kind: calico, which ferry tells to work without",
    run: Run::Host(|on| {
        let network = &on.site().network;
        let vxlan = network.kind != NetworkKind::HostRoutes && network.encapsulation == Encapsulation::Vxlan;
        if !vxlan || !on.host.is_node() {
            return Seen::skipped("no VXLAN here");
        }
        let Some((name, interface, _)) = on.facts.network.holding(on.host.internal) else {
            return Seen::skipped("identity.address says what is wrong");
        };
        if interface.driver == "vmxnet3" && network.kind == NetworkKind::Calico {
            return Seen::planned(format!("{name} is a vmxnet3"), "tells Calico to leave checksums to the kernel");
        }
        if interface.driver == "vmxnet3" {
            return Seen::bad(format!("{name} is a vmxnet3"));
        }
        Seen::good(if interface.driver.is_empty() { "no hardware".to_owned() } else { interface.driver.clone() })
    }),
};

/// NetworkManager takes pods' interfaces for its own and removes their routes.
pub(super) const NETWORK_MANAGER: Check = Check {
    id: "network.networkmanager",
    title: "NetworkManager leaves pods' interfaces alone",
    severity: Severity::Fail,
    limit: None,
    fix: "add unmanaged-devices=interface-name:cali*;interface-name:vxlan.* to NetworkManager's configuration",
    run: Run::Host(|on| {
        if !on.facts.services.contains("NetworkManager.service") {
            return Seen::skipped("NetworkManager does not run");
        }
        let spared = on.facts.unmanaged_devices.iter().any(|line| line.contains("cali") || line.contains("cni"));
        if spared {
            return Seen::good("they are unmanaged");
        }
        Seen::planned(
            "pods' interfaces are managed",
            "marks them as unmanaged in /etc/NetworkManager/conf.d, and reloads it",
        )
    }),
};

/// A virtual address that somebody has is no virtual address.
pub(super) const VIRTUAL_ADDRESS: Check = Check {
    id: "network.virtual-address",
    title: "nobody has the virtual address yet, and its network is that of the hosts",
    severity: Severity::Strict,
    limit: None,
    fix: "set endpoint.address to a free address of the control-plane hosts' network",
    run: Run::Site(virtual_address),
};

fn virtual_address(whole: &Whole<'_>) -> Seen {
    let endpoint = &whole.site.endpoint;
    let address = endpoint.address.as_ref().filter(|_| endpoint.kind == EndpointKind::Vip);
    let Some(address) = address.and_then(|text| text.parse().ok()) else {
        return Seen::skipped("the endpoint is no virtual address");
    };
    let mut wrong = Vec::new();
    for (host, facts) in whole.known() {
        if let Some((device, ..)) = facts.network.holding(address)
            && !facts.has_ledger()
        {
            wrong.push(format!("{} has {address} on {device}", host.name));
        }
        if host.is(crate::site::file::Role::ControlPlane) && !reaches(facts, address) {
            wrong.push(format!("{} has no interface on the network of {address}", host.name));
        }
    }
    if wrong.is_empty() { Seen::good(format!("{address} is free")) } else { Seen::bad(wrong.join("; ")) }
}

fn reaches(facts: &Facts, address: std::net::IpAddr) -> bool {
    let all = facts.network.interfaces.values().flat_map(|interface| &interface.addresses);
    all.into_iter()
        .any(|(own, prefix)| own.is_ipv4() == address.is_ipv4() && Cidr::holding(*own, *prefix).contains(address))
}

/// Real listeners on the real ports: a firewall that drops, a switch that filters, a wrong VLAN all show here.
pub(super) const REACH: Check = Check {
    id: "network.reach",
    title: "every port that will be needed is reached",
    severity: Severity::Fail,
    limit: None,
    fix: "open these ports between the two hosts: host firewalls, security groups, filters of switches",
    run: Run::Pair(|between| judge_dials(between, false)),
};

/// Big packets both ways: a smaller MTU on the way shows only with them.
pub(super) const PAYLOAD: Check = Check {
    id: "network.payload",
    title: "packets as big as the MTU pass",
    severity: Severity::Fail,
    limit: None,
    fix: "make the MTU the same on the whole way, or set network.mtu to what passes",
    run: Run::Pair(|between| judge_dials(between, true)),
};

/// Whether the other host's firewalld will be given rules.
fn opened_by_plan(between: &Between<'_>) -> bool {
    let firewall = between.whole.facts.get(&between.to.name).map(|facts| &facts.firewall);
    firewall.is_some_and(|firewall| firewall.firewalld && knows_policies(&firewall.version))
}

fn judge_dials(between: &Between<'_>, big: bool) -> Seen {
    let measurements = between.whole.measurements;
    let (from, to) = (&between.from.name, &between.to.name);
    let required = between.whole.ways.between(from, to);
    if required.is_empty() {
        return Seen::skipped("nothing goes this way");
    }
    let (mut reached, mut failed) = (0, Vec::new());
    for dial in required {
        match between.whole.ways.went(dial, big).map(|one| (&one.error, one.bytes)) {
            Some((None, _)) => reached += 1,
            Some((Some(error), bytes)) => {
                let size = if big { format!(" with {bytes} bytes") } else { String::new() };
                failed.push(format!("{}/{}{size}: {error}", dial.port, name(dial.protocol)));
            }
            None => {}
        }
    }
    match (reached, failed.as_slice()) {
        (0, []) => {
            let silent = [from, to].into_iter().find(|name| !between.whole.facts.contains_key(name.as_str()));
            let said = measurements.is_built(to).or_else(|| measurements.not_measured.clone());
            let why = said.unwrap_or_else(|| "no listener could be started".into());
            Seen::skipped(match silent {
                Some(name) => format!("not measured: nothing is known of {name}"),
                None => format!("not measured: {why}"),
            })
        }
        (reached, []) => Seen::good(format!("{reached} ports")),
        (_, failed) if opened_by_plan(between) => Seen::planned(
            failed.join("; "),
            format!("opens them in {to}'s firewalld; if they stay shut, something in between filters, too"),
        ),
        (_, failed) => Seen::bad(failed.join("; ")),
    }
}
