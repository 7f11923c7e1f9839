//! From the file to a [`Site`]: defaults, references, and everything that is wrong, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::yaml::{self, Problems};

use super::file::{
    Auth, Bastion, Encapsulation, EndpointKind, HostEntry, NetworkKind, Nothing, Privilege, Role, SiteFile, Ssh,
};
use super::{Cidr, Endpoint, Host, Jump, Registry, Site};

/// Understands a site file, or says everything that is wrong with it.
pub fn read(file: &Path, text: &str) -> Result<Site, Problems> {
    let raw: SiteFile = yaml::read(file, text)?;
    let mut problems = Problems::new(file, text);
    names(&raw, &mut problems);
    ranges(&raw, &mut problems);
    network(&raw, &mut problems);
    let domain = raw.domain.as_ref().map_or_else(|| format!("{}.local", raw.cluster.value), |at| at.value.clone());
    let bastions: BTreeMap<&str, &Bastion> = raw.bastions.iter().map(|b| (b.name.value.as_str(), b)).collect();
    let hosts: Vec<Host> = raw.hosts.iter().filter_map(|entry| host(entry, &raw, &bastions, &mut problems)).collect();
    roles(&raw, &hosts, &mut problems);
    waivers(&raw, &mut problems);
    let masters = hosts.iter().filter(|host| host.is(Role::ControlPlane)).count();
    let endpoint = endpoint(&raw, &domain, masters, &mut problems);
    let registry = Registry {
        name: raw.registry.name.clone().unwrap_or_else(|| format!("registry.{domain}")),
        port: raw.registry.port,
        data_dir: raw.registry.data_dir.clone(),
    };
    problems.or_else(Site {
        file: file.to_owned(),
        digest: Digest::of(text.as_bytes()),
        cluster: raw.cluster.value,
        domain,
        vault: raw.vault,
        hosts,
        endpoint,
        kubernetes: raw.kubernetes,
        network: raw.network,
        etcd: raw.etcd,
        registry,
        time: raw.time,
        dns: raw.dns,
        storage: raw.storage,
        thresholds: raw.thresholds,
        waivers: raw.waivers,
    })
}

/// Whether `text` is a DNS label (RFC 1123), lower case.
fn is_label(text: &str, longest: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= longest
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, 63))
}

fn names(raw: &SiteFile, problems: &mut Problems) {
    let lower = Some("lower case letters, digits and `-`, not at the ends");
    if !is_label(&raw.cluster.value, 40) {
        problems.add(&raw.cluster, format!("{:?} is no cluster name", raw.cluster.value), lower);
    }
    if let Some(domain) = &raw.domain
        && !is_domain(&domain.value)
    {
        problems.add(domain, format!("{:?} is no domain", domain.value), lower);
    }
    let mut seen = BTreeMap::new();
    for (what, name) in raw
        .hosts
        .iter()
        .map(|host| ("host", &host.name))
        .chain(raw.bastions.iter().map(|bastion| ("bastion", &bastion.name)))
    {
        let text = name.value.as_str();
        if !is_domain(text) || text.split('.').next().is_some_and(|label| label.len() > 63) {
            problems.add(name, format!("{text:?} is no {what} name"), lower);
        }
        if let Some(line) = seen.insert(text, name.line) {
            problems.add(name, format!("{what} {text} is there already, on line {line}"), None);
        }
    }
    let mut addresses: BTreeMap<String, &str> = BTreeMap::new();
    for host in &raw.hosts {
        let internal =
            host.internal_address.as_ref().map_or_else(|| host.address.value.clone(), |a| a.value.to_string());
        if let Some(other) = addresses.insert(internal.clone(), &host.name.value) {
            problems.add(&host.name, format!("{internal} is the address of {other} too"), None);
        }
    }
}

/// kubeadm's own limits of address ranges: at least 10 Service addresses and at most 20 bits of them, a node's
/// share at most 16 bits longer than the pods' (cmd/kubeadm/app/constants).
fn ranges(raw: &SiteFile, problems: &mut Problems) {
    let (pods, services) = (&raw.kubernetes.pod_cidr, &raw.kubernetes.service_cidr);
    let place = if pods.line > 0 { pods } else { services };
    if pods.value.overlaps(&services.value) {
        let message = format!("pods {} and Services {} share addresses", pods.value, services.value);
        problems.add(place, message, Some("choose ranges that are apart"));
    }
    let host_bits = services.value.bits() - services.value.prefix();
    if !(4..=20).contains(&host_bits) {
        problems.add(
            services,
            format!("{} holds too few or too many Services", services.value),
            Some("use /12 to /28"),
        );
    }
    let share = raw.kubernetes.node_prefix;
    let fits = share >= pods.value.prefix() && share - pods.value.prefix() <= 16 && share <= pods.value.bits();
    if fits {
        let nodes = raw.hosts.iter().filter(|host| is_node(host)).count();
        let shares = 1_usize.checked_shl(u32::from(share - pods.value.prefix())).unwrap_or(usize::MAX);
        if nodes > shares {
            problems.add(place, format!("{} has room for {shares} nodes, not for {nodes}", pods.value), None);
        }
        let addresses = 1_u128.checked_shl(u32::from(pods.value.bits() - share)).unwrap_or(u128::MAX);
        if u128::from(raw.kubernetes.max_pods) > addresses.saturating_sub(2) {
            let message = format!("maxPods {} do not fit into a /{share}", raw.kubernetes.max_pods);
            problems.add(place, message, Some("a node's share has that many addresses less two"));
        }
    } else {
        let message = format!("nodePrefix {share} does not divide {}", pods.value);
        problems.add(place, message, Some("it must be longer than the pods' prefix, by at most 16"));
    }
    for host in &raw.hosts {
        let Some(address) = internal(host) else { continue };
        for (what, range) in [("pods", &pods.value), ("Services", &services.value)] {
            if range.contains(address) {
                problems.add(&host.address, format!("{address} lies inside the {what}' range {range}"), None);
            }
        }
    }
}

/// What a kind of pod network can do: encapsulation, block size, addresses.
fn network(raw: &SiteFile, problems: &mut Problems) {
    let (kind, way) = (raw.network.kind, raw.network.encapsulation);
    let fits = match kind {
        NetworkKind::Calico => way != Encapsulation::HostGw,
        NetworkKind::Flannel => matches!(way, Encapsulation::Vxlan | Encapsulation::HostGw),
        NetworkKind::HostRoutes => true,
    };
    if !fits {
        let hint = "calico: vxlan, ipip or bgp; flannel: vxlan or host-gw";
        problems.add_whole("this kind of pod network does not know that network.encapsulation", Some(hint));
    }
    let pods = &raw.kubernetes.pod_cidr.value;
    if kind != NetworkKind::HostRoutes && pods.bits() != 32 {
        problems.add_whole("pods' addresses are IPv4 with this network.kind", Some("use an IPv4 kubernetes.podCIDR"));
    }
    if let Some(block) = raw.network.block_prefix {
        if !(20..=32).contains(&block) || block < pods.prefix() {
            let hint = Some("20 to 32, and no shorter than the pods' prefix");
            problems.add_whole(format!("network.blockPrefix {block} does not divide {pods}"), hint);
        }
        if kind != NetworkKind::Calico {
            problems.add_whole("network.blockPrefix is Calico's", Some("other kinds: kubernetes.nodePrefix"));
        }
    }
}

fn is_node(host: &HostEntry) -> bool {
    host.roles.iter().any(|role| matches!(role, Role::ControlPlane | Role::Worker))
}

fn internal(host: &HostEntry) -> Option<IpAddr> {
    host.internal_address.as_ref().map(|at| at.value).or_else(|| host.address.value.parse().ok())
}

fn host(
    entry: &HostEntry,
    raw: &SiteFile,
    bastions: &BTreeMap<&str, &Bastion>,
    problems: &mut Problems,
) -> Option<Host> {
    let Some(internal) = internal(entry) else {
        let message = format!("{} is a name, so internalAddress is needed", entry.address.value);
        problems.add(&entry.address, message, Some("give the address by which the other hosts reach it"));
        return None;
    };
    if entry.roles.is_empty() {
        problems.add(&entry.name, format!("{} has no role", entry.name.value), Some("roles: [worker]"));
    }
    for taint in &entry.taints {
        let effect = taint.value.rsplit_once(':').map(|(_, effect)| effect);
        if !matches!(effect, Some("NoSchedule" | "PreferNoSchedule" | "NoExecute")) {
            problems.add(taint, format!("{:?} is no taint", taint.value), Some("key=value:NoSchedule"));
        }
    }
    let mut way = Vec::new();
    for name in entry.ssh.via.as_ref().or(raw.ssh.via.as_ref()).into_iter().flatten() {
        match bastions.get(name.value.as_str()) {
            Some(b) => way.push(jump(&b.name.value, &b.address, &b.ssh, &raw.ssh, b.host_key.as_deref())),
            None => problems.add(name, format!("there is no bastion {}", name.value), Some("list it under `bastions`")),
        }
    }
    way.push(jump(&entry.name.value, &entry.address.value, &entry.ssh, &raw.ssh, entry.host_key.as_deref()));
    let user = way.last().map(|jump| jump.user.clone()).unwrap_or_default();
    let privilege = entry.ssh.privilege.clone().or_else(|| raw.ssh.privilege.clone());
    let privilege =
        privilege.unwrap_or(if user == "root" { Privilege::None(Nothing {}) } else { Privilege::Sudo(Nothing {}) });
    let roles: BTreeSet<Role> = entry.roles.iter().copied().collect();
    Some(Host {
        name: entry.name.value.clone(),
        way,
        internal,
        roles: roles.into_iter().collect(),
        privilege,
        labels: entry.labels.clone(),
        taints: entry.taints.iter().map(|taint| taint.value.clone()).collect(),
    })
}

fn jump(name: &str, address: &str, own: &Ssh, site: &Ssh, host_key: Option<&str>) -> Jump {
    Jump {
        name: name.to_owned(),
        address: address.to_owned(),
        port: own.port.or(site.port).unwrap_or(22),
        user: own.user.clone().or_else(|| site.user.clone()).unwrap_or_else(|| "root".into()),
        auth: own.auth.clone().or_else(|| site.auth.clone()).unwrap_or_else(|| vec![Auth::Agent(Nothing {})]),
        host_key: host_key.map(str::to_owned),
        legacy_algorithms: own.legacy_algorithms.clone().or_else(|| site.legacy_algorithms.clone()).unwrap_or_default(),
    }
}

fn roles(raw: &SiteFile, hosts: &[Host], problems: &mut Problems) {
    let count = |role| hosts.iter().filter(|host| host.is(role)).count();
    let (masters, members, registries) = (count(Role::ControlPlane), count(Role::Etcd), count(Role::Registry));
    if masters == 0 {
        problems
            .add_whole("no host has the role control-plane", Some("one host needs it, three make it highly available"));
    }
    if masters > 7 {
        problems.add_whole(format!("{masters} control-plane hosts are too many"), Some("use 1, 3, 5 or 7"));
    }
    // An even number is possible, while hosts come and go; preflight warns of it.
    if members == 0 || members > 7 {
        let hint = "an odd number survives as many failures as the even one above it: use 1, 3, 5 or 7";
        problems.add_whole(format!("{members} hosts have the role etcd"), Some(hint));
    }
    if registries == 0 {
        problems.add_whole("no host has the role registry", Some("images and binaries come from it"));
    }
    if count(Role::Worker) == 0 && !raw.kubernetes.schedule_control_plane {
        problems.add_whole("no host has the role worker", Some("add it, or set kubernetes.scheduleControlPlane: true"));
    }
}

fn endpoint(raw: &SiteFile, domain: &str, masters: usize, problems: &mut Problems) -> Endpoint {
    let entry = &raw.endpoint;
    let kind = entry.kind.unwrap_or(if masters == 1 { EndpointKind::Direct } else { EndpointKind::Local });
    if kind == EndpointKind::Direct && masters > 1 {
        problems.add_whole("endpoint.kind direct is for one control-plane host", Some("use local, vip or external"));
    }
    let needs = matches!(kind, EndpointKind::Vip | EndpointKind::External);
    if needs && entry.address.is_none() {
        problems.add_whole("this kind of endpoint needs endpoint.address", None);
    }
    if let Some(address) = &entry.address {
        let taken = raw.hosts.iter().find(|host| internal(host).is_some_and(|ip| ip.to_string() == address.value));
        if let (Some(host), EndpointKind::Vip) = (taken, kind) {
            problems.add(address, format!("the virtual address is that of host {}", host.name.value), None);
        }
        if address.value.parse::<IpAddr>().is_err() {
            let hint = "hosts find the API's name in /etc/hosts, so that they depend on no name server";
            problems.add(address, format!("{:?} is no IP address", address.value), Some(hint));
        }
    }
    if entry.router_id == Some(0) {
        problems.add_whole("endpoint.routerId is 1 to 255", Some("leave it out: the site gets one of its own"));
    }
    if kind == EndpointKind::Vip && entry.port == Some(6443) {
        problems.add_whole("the API servers have port 6443 themselves", Some("give the virtual address another port"));
    }
    Endpoint {
        kind,
        name: format!("api.{domain}"),
        port: entry.port.unwrap_or(if kind == EndpointKind::Direct { 6443 } else { 8443 }),
        address: entry.address.as_ref().map(|at| at.value.clone()),
        router_id: entry.router_id,
        interface: entry.interface.clone(),
    }
}

fn waivers(raw: &SiteFile, problems: &mut Problems) {
    for waiver in &raw.waivers {
        if waiver.reason.trim().is_empty() {
            problems.add(&waiver.check, format!("the waiver of {} gives no reason", waiver.check.value), None);
        }
        for host in &waiver.hosts {
            if !raw.hosts.iter().any(|entry| entry.name.value == host.value) {
                problems.add(host, format!("there is no host {}", host.value), None);
            }
        }
    }
}

/// Kept so that ranges of a site and those of a host's routes are compared by one type.
impl Site {
    /// Every range that the cluster uses for itself, with what it is for.
    #[must_use]
    pub fn ranges(&self) -> [(&'static str, Cidr); 2] {
        [("pods", self.kubernetes.pod_cidr.value), ("Services", self.kubernetes.service_cidr.value)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "apiVersion: ferry.dev/v1
kind: Site
cluster: demo
vault: {passphrase: {env: FERRY_VAULT}}
ssh: {auth: [{key: {file: id}}]}
bastions:
- {name: gate, address: 192.0.2.1, ssh: {user: ops}}
hosts:
- name: one
  address: 10.0.0.11
  roles: [control-plane, worker, etcd, registry]
- name: two
  address: two.example
  internalAddress: 10.0.0.12
  roles: [worker]
  ssh: {user: ops, via: [gate], privilege: {sudoPassword: {prompt: password of ops}}}
";

    fn complaints(text: &str) -> Vec<String> {
        read(Path::new("site.yaml"), text).map(|_| ()).map_or_else(
            |problems| problems.list.into_iter().map(|p| format!("{}: {}", p.line, p.message)).collect(),
            |()| Vec::new(),
        )
    }

    #[test]
    fn defaults_are_filled_in() {
        let site = read(Path::new("d/site.yaml"), GOOD).map_err(|e| e.to_string()).unwrap();
        assert_eq!((site.endpoint.kind, site.endpoint.port), (EndpointKind::Direct, 6443));
        assert_eq!(site.registry.authority(), "registry.demo.local:5000");
        let two = site.host("two").unwrap();
        assert_eq!(two.way.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(), ["gate", "two"]);
        assert_eq!((two.way[0].user.as_str(), two.way[1].user.as_str()), ("ops", "ops"));
        assert!(matches!(two.privilege, Privilege::SudoPassword(_)));
        assert!(matches!(site.host("one").unwrap().privilege, Privilege::None(_)));
        assert_eq!(site.with(Role::Worker).count(), 2);
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_line() {
        let text = GOOD
            .replace("cluster: demo", "cluster: Demo_1")
            .replace("name: two", "name: one")
            .replace("via: [gate]", "via: [gone]")
            .replace("etcd, ", "")
            + "kubernetes: {podCIDR: 10.0.0.0/16, serviceCIDR: 10.0.0.0/8}\nwaivers: [{check: x, reason: '', hosts: [three]}]\n";
        let found = complaints(&text).join("\n");
        for expected in [
            "3: \"Demo_1\" is no cluster name",
            "is there already, on line 9",
            "there is no bastion gone",
            "0 hosts have the role etcd",
            "share addresses",
            "too few or too many Services",
            "10.0.0.11 lies inside the pods' range",
            "gives no reason",
            "there is no host three",
        ] {
            assert!(found.contains(expected), "{expected} in {found}");
        }
    }

    #[test]
    fn secrets_cannot_stand_in_the_file() {
        let plain = GOOD.replace("{prompt: password of ops}", "hunter2");
        assert!(!complaints(&plain).is_empty());
        let unknown = GOOD.replace("vault: {", "vaults: {");
        assert!(!complaints(&unknown).is_empty());
    }
}
