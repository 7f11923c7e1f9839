//! Which port is listened on by whom and reached from where: the one table behind the port checks, the connection matrix
//! and the rules of firewalls.

use super::measurements::Dial;
use crate::facts::Protocol;
use crate::site::file::{Encapsulation, EndpointKind, NetworkKind, Role};
use crate::site::{Host, Site};
use crate::step::health_port;

use Protocol::{Tcp, Udp};

/// From where a port is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Only the host itself.
    Itself,
    /// Hosts with that role.
    Role(Role),
    /// Hosts that run a kubelet.
    Nodes,
    /// All hosts of the site.
    Hosts,
}

/// A port.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    /// The number; 0 where the site says it.
    usual: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What listens there.
    pub what: &'static str,
    /// From where it is reached.
    pub from: From,
    /// Which hosts listen.
    listens: fn(&Site, &Host) -> bool,
    /// The number in a site.
    number: fn(&Site) -> Option<u16>,
}

const fn port(
    usual: u16,
    protocol: Protocol,
    what: &'static str,
    from: From,
    listens: fn(&Site, &Host) -> bool,
) -> Port {
    Port { usual, protocol, what, from, listens, number: |_| None }
}

fn control_plane(_: &Site, host: &Host) -> bool {
    host.is(Role::ControlPlane)
}
fn etcd(_: &Site, host: &Host) -> bool {
    host.is(Role::Etcd)
}
fn node(_: &Site, host: &Host) -> bool {
    host.is_node()
}
fn calico(site: &Site, host: &Host) -> bool {
    host.is_node() && site.network.kind == NetworkKind::Calico
}
fn calico_vxlan(site: &Site, host: &Host) -> bool {
    calico(site, host) && site.network.encapsulation == Encapsulation::Vxlan
}
fn calico_bgp(site: &Site, host: &Host) -> bool {
    calico(site, host) && site.network.encapsulation != Encapsulation::Vxlan
}
fn flannel(site: &Site, host: &Host) -> bool {
    host.is_node() && site.network.kind == NetworkKind::Flannel
}
fn flannel_vxlan(site: &Site, host: &Host) -> bool {
    flannel(site, host) && site.network.encapsulation == Encapsulation::Vxlan
}
fn registry(_: &Site, host: &Host) -> bool {
    host.is(Role::Registry)
}
fn balancer(site: &Site, host: &Host) -> bool {
    match site.endpoint.kind {
        EndpointKind::Local => host.is_node(),
        EndpointKind::Vip => host.is(Role::ControlPlane),
        EndpointKind::Direct | EndpointKind::External => false,
    }
}

fn virtual_address(site: &Site, host: &Host) -> bool {
    site.endpoint.kind == EndpointKind::Vip && host.is(Role::ControlPlane)
}

/// All ports. Numbers are the components' own defaults, which ferry keeps.
pub const PORTS: [Port; 19] = [
    port(6443, Tcp, "kube-apiserver", From::Hosts, control_plane),
    port(2379, Tcp, "etcd, for clients", From::Role(Role::ControlPlane), etcd),
    port(2380, Tcp, "etcd, between members", From::Role(Role::Etcd), etcd),
    port(2381, Tcp, "etcd, metrics", From::Itself, etcd),
    port(10250, Tcp, "kubelet", From::Nodes, node),
    port(10248, Tcp, "kubelet, health", From::Itself, node),
    port(10249, Tcp, "kube-proxy, metrics", From::Itself, node),
    port(10256, Tcp, "kube-proxy, health", From::Nodes, node),
    port(10257, Tcp, "kube-controller-manager", From::Itself, control_plane),
    port(10259, Tcp, "kube-scheduler", From::Itself, control_plane),
    port(4789, Udp, "Calico, VXLAN", From::Nodes, calico_vxlan),
    port(179, Tcp, "Calico, BGP", From::Nodes, calico_bgp),
    port(9099, Tcp, "Calico, Felix health", From::Itself, calico),
    port(8472, Udp, "flannel, VXLAN", From::Nodes, flannel_vxlan),
    port(10260, Tcp, "flannel, health", From::Itself, flannel),
    Port { number: |site| Some(site.registry.port), ..port(0, Tcp, "registry", From::Hosts, registry) },
    Port {
        number: |site| Some(site.registry.push_port()),
        ..port(0, Tcp, "registry, for content", From::Itself, registry)
    },
    Port { number: |site| Some(site.endpoint.port), ..port(0, Tcp, "API balancer", From::Hosts, balancer) },
    Port {
        number: |site| Some(health_port(site)),
        ..port(0, Tcp, "API balancer, health", From::Itself, virtual_address)
    },
];

impl Port {
    /// The port's number in a site.
    #[must_use]
    pub fn number(&self, site: &Site) -> u16 {
        (self.number)(site).unwrap_or(self.usual)
    }

    /// Whether `host` listens on it.
    #[must_use]
    pub fn is_on(&self, site: &Site, host: &Host) -> bool {
        (self.listens)(site, host)
    }

    /// Whether it is reached from `host`, when another listens.
    #[must_use]
    pub fn is_reached_from(&self, host: &Host) -> bool {
        match self.from {
            From::Itself => false,
            From::Role(role) => host.is(role),
            From::Nodes => host.is_node(),
            From::Hosts => true,
        }
    }

    /// Whether other hosts must be let in: what a firewall's rules are made of. The local balancer is only for its host.
    #[must_use]
    pub fn is_open(&self, site: &Site) -> bool {
        let local = site.endpoint.kind == EndpointKind::Local && self.what == "API balancer";
        self.from != From::Itself && !local
    }
}

/// What `host` will listen on.
pub fn listens<'a>(site: &'a Site, host: &'a Host) -> impl Iterator<Item = &'static Port> + 'a {
    PORTS.iter().filter(move |port| port.is_on(site, host))
}

/// Up to this many hosts, plain workers dial one another in all pairs. 64 hosts have 4,032 pairs; 1,000 have a million.
pub(super) const ALL_PAIRS: usize = 64;

/// Every connection that has to be possible, in the order of the site; a lone host dials itself by its own address.
///
/// On sites of more than 64 hosts two plain workers are paired only if their places in the site file are a power of two
/// apart, going round: each dials its neighbours, and hosts ever further off up to the other half of the site, about
/// log2 of the hosts in number, both ways. Whatever has another role is dialled by all that will need it, as ever.
#[must_use]
pub fn dials(site: &Site) -> Vec<Dial> {
    let mut found = Vec::new();
    for (at, to) in site.hosts.iter().enumerate() {
        for port in listens(site, to).filter(|port| port.is_open(site)) {
            for (from_at, from) in site.hosts.iter().enumerate().filter(|(_, from)| port.is_reached_from(from)) {
                if site.hosts.len() == 1 || (at != from_at && are_paired(site, (from_at, from), (at, to))) {
                    let (protocol, port) = (port.protocol, port.number(site));
                    found.push(Dial { from: from.name.clone(), to: to.name.clone(), protocol, port });
                }
            }
        }
    }
    found
}

fn are_paired(site: &Site, (from_at, from): (usize, &Host), (to_at, to): (usize, &Host)) -> bool {
    let count = site.hosts.len();
    let plain = |host: &Host| host.roles == [Role::Worker];
    if count <= ALL_PAIRS || !plain(from) || !plain(to) {
        return true;
    }
    let distance = (to_at + count - from_at) % count;
    distance.is_power_of_two() || (count - distance).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::super::tests::site::site;
    use super::*;

    #[test]
    fn each_role_has_its_ports() {
        let site = site();
        let of = |name: &str| -> Vec<u16> {
            listens(&site, site.host(name).unwrap()).map(|port| port.number(&site)).collect()
        };
        assert_eq!(
            of("node1"),
            [6443, 2379, 2380, 2381, 10250, 10248, 10249, 10256, 10257, 10259, 4789, 9099, 5000, 5001]
        );
        assert_eq!(of("node2"), [10250, 10248, 10249, 10256, 4789, 9099]);
    }

    #[test]
    fn dials_go_where_they_must_and_nowhere_else() {
        let mut site = site();
        let dials_now = dials(&site);
        let has = |from: &str, to: &str, port: u16| {
            dials_now.iter().any(|dial| dial.from == from && dial.to == to && dial.port == port)
        };
        assert!(has("node2", "node1", 6443) && has("node2", "node1", 5000) && has("node1", "node2", 10250));
        assert!(has("node2", "node1", 4789) && has("node1", "node2", 4789));
        assert!(!has("node2", "node1", 2379), "workers do not speak to etcd");
        assert!(dials_now.iter().all(|dial| dial.from != dial.to && dial.port != 10257));
        site.hosts.truncate(1);
        assert!(dials(&site).iter().all(|dial| dial.from == "node1" && dial.to == "node1"));
        assert!(dials(&site).iter().any(|dial| dial.port == 2379));
    }

    #[test]
    fn the_network_decides_how_pods_are_carried() {
        let mut site = site();
        let of = |site: &Site| -> Vec<&str> {
            listens(site, &site.hosts[1]).map(|port| port.what).filter(|what| !what.starts_with("kube")).collect()
        };
        site.network.encapsulation = Encapsulation::Bgp;
        assert_eq!(of(&site), ["Calico, BGP", "Calico, Felix health"]);
        site.network.kind = NetworkKind::Flannel;
        site.network.encapsulation = Encapsulation::Vxlan;
        assert_eq!(of(&site), ["flannel, VXLAN", "flannel, health"]);
        site.network.kind = NetworkKind::HostRoutes;
        site.endpoint.kind = EndpointKind::Local;
        site.endpoint.port = 8443;
        assert_eq!(of(&site), ["API balancer"]);
        assert!(dials(&site).iter().all(|dial| dial.port != 8443), "a local balancer is for its own host");
    }

    #[test]
    fn on_large_sites_workers_are_paired_with_few_others_but_all_are_connected() {
        let hosts: String = (0..300)
            .map(|n| {
                let role = if n < 3 { "control-plane, etcd, registry" } else { "worker" };
                let role = if n == 0 { role } else { role.trim_end_matches(", registry") };
                format!("- {{name: n{n}, address: 10.0.{}.{}, roles: [{role}]}}\n", n / 200, n % 200 + 1)
            })
            .collect();
        let text = format!(
            "apiVersion: ferry.dev/v1\nkind: Site\ncluster: demo\nvault: {{identity: id}}\nkubernetes: {{podCIDR: 10.244.0.0/14}}\nhosts:\n{hosts}"
        );
        let site = crate::site::read(std::path::Path::new("s"), &text).map_err(|error| error.to_string()).unwrap();
        let dials = dials(&site);
        let to_api = dials.iter().filter(|dial| dial.port == 6443).count();
        assert_eq!(to_api, 3 * 299, "what has another role is dialled by all");
        let vxlan: Vec<_> = dials.iter().filter(|dial| dial.port == 4789).collect();
        let from_n9 = vxlan.iter().filter(|dial| dial.from == "n9").count();
        // Distances 1, 2, 4 … 256 both ways, and the three that are no plain workers.
        assert!((18..=21).contains(&from_n9), "{from_n9}");
        let mut seen = std::collections::BTreeSet::from(["n9"]);
        for _ in 0..5 {
            let next: Vec<&str> =
                vxlan.iter().filter(|dial| seen.contains(dial.from.as_str())).map(|dial| dial.to.as_str()).collect();
            seen.extend(next);
        }
        assert_eq!(seen.len(), 300);
        assert!(dials.len() < 300 * 110, "{}", dials.len());
    }
}
