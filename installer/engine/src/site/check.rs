//! From the file to a [`Site`]: defaults, references, and everything that is wrong, with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::yaml::Problems;

use super::check_settings::settings;
use super::file::{
    Auth, Bastion, Encapsulation, EndpointKind, HostEntry, NetworkKind, Nothing, Privilege, Role, SiteFile, Ssh,
};
use super::shape::{self, nearest};
use super::types::dns_name::is_label;
use super::types::text::shown;
use super::types::{DnsName, Port, SshFingerprint};
use super::{Cidr, Endpoint, Host, Jump, Registry, Site};

/// What the file itself does not say.
pub struct Outside<'a> {
    /// The address that a host's DNS name has, in the cluster of that name: the first argument is the cluster's.
    pub resolve: &'a dyn Fn(&str, &str) -> Option<IpAddr>,
    /// Says what else is wrong.
    pub more: &'a dyn Fn(&SiteFile, &mut Problems),
}

/// Understands a site file, or says everything that is wrong with it. Hosts by DNS name need `internalAddress`.
pub fn read(file: &Path, text: &str) -> Result<Site, Problems> {
    read_with(file, text, &Outside { resolve: &|_, _| None, more: &|_, _| () })
}

/// Likewise, with what is known otherwise.
pub fn read_with(file: &Path, text: &str, outside: &Outside<'_>) -> Result<Site, Problems> {
    let (raw, mut problems, checked) = shape::read(file, text)?;
    // What follows only from what has been taken out is not said.
    let mut unsaid = Problems::new(file, text);
    let cluster = raw.cluster.value.as_str();
    names(&raw, &mut problems);
    let domain = domain(&raw, &mut problems);
    let resolved = |entry: &HostEntry| internal(entry).or_else(|| (outside.resolve)(cluster, &entry.address.value));
    let internal: Vec<Option<IpAddr>> = raw.hosts.iter().map(resolved).collect();
    addresses(&raw, &internal, &mut problems);
    let ranges_known = !checked.lacks("kubernetes");
    ranges(&raw, &internal, if ranges_known { &mut problems } else { &mut unsaid });
    network(&raw, if ranges_known && !checked.lacks("network") { &mut problems } else { &mut unsaid });
    settings(&raw, &mut problems);
    (outside.more)(&raw, &mut problems);
    let bastions: BTreeMap<&str, &Bastion> = raw.bastions.iter().map(|b| (b.name.value.as_str(), b)).collect();
    let each = raw.hosts.iter().zip(&internal);
    let hosts: Vec<Host> = each.map(|(entry, at)| host(entry, *at, &raw, &bastions, &mut problems)).collect();
    for entry in &raw.hosts {
        vias(entry, &raw, &bastions, if checked.lacks("bastions") { &mut unsaid } else { &mut problems });
    }
    if checked.has_all_hosts() {
        roles(&raw, &hosts, if checked.lacks("kubernetes") { &mut unsaid } else { &mut problems });
        waivers(&raw, &mut problems);
    }
    let masters = hosts.iter().filter(|host| host.is(Role::ControlPlane)).count();
    let endpoint = endpoint(
        &raw,
        &domain,
        masters,
        &internal,
        if checked.lacks("endpoint") || !checked.has_all_hosts() { &mut unsaid } else { &mut problems },
    );
    let registry = Registry {
        name: raw.registry.name.clone().unwrap_or_else(|| below("registry", &domain)),
        port: raw.registry.port.get(),
        data_dir: raw.registry.data_dir.clone(),
    };
    problems.hide(&checked.secret);
    problems.or_else(Site {
        file: file.to_owned(),
        digest: Digest::of(text.as_bytes()),
        cluster: raw.cluster.value,
        domain: domain.to_string(),
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

/// The site's domain: its own, or that of the cluster's name.
fn domain(raw: &SiteFile, problems: &mut Problems) -> DnsName {
    let Some(domain) = &raw.domain else {
        // A cluster's name that is none has been said already.
        let named = format!("{}.local", raw.cluster.value).parse();
        return named.unwrap_or_else(|_| DnsName::placeholder());
    };
    if domain.value.len() > 200 {
        problems.add(domain, "the domain is longer than 200 characters", Some("names of hosts are put before it"));
    }
    domain.value.clone()
}

/// `label.domain`. A domain that leaves no room for it has been refused.
fn below(label: &str, domain: &DnsName) -> DnsName {
    format!("{label}.{domain}").parse().unwrap_or_else(|_| domain.clone())
}

fn names(raw: &SiteFile, problems: &mut Problems) {
    let lower = Some("lower case letters, digits and `-`, not at the ends");
    if !is_label(&raw.cluster.value, 40) {
        problems.add(&raw.cluster, format!("{} is no cluster name", shown(&raw.cluster.value)), lower);
    }
    let mut seen = BTreeMap::new();
    for (what, name) in raw
        .hosts
        .iter()
        .map(|host| ("host", &host.name))
        .chain(raw.bastions.iter().map(|bastion| ("bastion", &bastion.name)))
    {
        let text = name.value.as_str();
        if text.len() > 63 || text.parse::<DnsName>().is_err() {
            problems.add(name, format!("{} is no {what} name", shown(text)), lower);
        }
        if let Some(line) = seen.insert(text, name.line) {
            problems.add(name, format!("{what} {text} is there already, on line {line}"), None);
        }
    }
}

/// Each host has an address of its own, which is known.
fn addresses(raw: &SiteFile, internal: &[Option<IpAddr>], problems: &mut Problems) {
    let mut seen: BTreeMap<IpAddr, &str> = BTreeMap::new();
    for (host, address) in raw.hosts.iter().zip(internal) {
        let Some(address) = *address else {
            let message =
                format!("{} is a name that has no address here, so internalAddress is needed", host.address.value);
            problems.add(&host.address, message, Some("give the address by which the other hosts reach it"));
            continue;
        };
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            let message = format!("{address} is no address by which other hosts reach {}", host.name.value);
            problems.add(&host.address, message, Some("give its own address, or internalAddress"));
        }
        if let Some(other) = seen.insert(address, &host.name.value) {
            problems.add(&host.name, format!("{address} is the address of {other} too"), None);
        }
    }
}

/// kubeadm's own limits of address ranges: at least 10 Service addresses and at most 20 bits of them, a node's
/// share at most 16 bits longer than the pods' (cmd/kubeadm/app/constants).
fn ranges(raw: &SiteFile, internal: &[Option<IpAddr>], problems: &mut Problems) {
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
        if u128::from(raw.kubernetes.max_pods.get()) > addresses.saturating_sub(2) {
            let message = format!("maxPods {} do not fit into a /{share}", raw.kubernetes.max_pods);
            problems.add(place, message, Some("a node's share has that many addresses less two"));
        }
    } else {
        let message = format!("nodePrefix {share} does not divide {}", pods.value);
        problems.add(place, message, Some("it must be longer than the pods' prefix, by at most 16"));
    }
    for (host, address) in raw.hosts.iter().zip(internal) {
        let Some(address) = *address else { continue };
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
    host.internal_address.as_ref().map(|at| at.value).or_else(|| host.address.value.ip())
}

fn host(
    entry: &HostEntry,
    internal: Option<IpAddr>,
    raw: &SiteFile,
    bastions: &BTreeMap<&str, &Bastion>,
    problems: &mut Problems,
) -> Host {
    if entry.roles.is_empty() {
        problems.add(&entry.name, format!("{} has no role", entry.name.value), Some("roles: [worker]"));
    }
    let mut taints = BTreeMap::new();
    for taint in &entry.taints {
        if taints.insert((&taint.value.key, taint.value.effect), taint.line).is_some() {
            let message = format!("{} has two taints with this key and effect", entry.name.value);
            problems.add(taint, message, Some("the API server takes one of each key and effect: remove one"));
        }
    }
    let mut way = Vec::new();
    for name in entry.ssh.via.as_ref().or(raw.ssh.via.as_ref()).into_iter().flatten() {
        if let Some(b) = bastions.get(name.value.as_str()) {
            way.push(jump(&b.name.value, &b.address, &b.ssh, &raw.ssh, b.host_key.as_ref()));
        }
    }
    way.push(jump(&entry.name.value, &entry.address.value, &entry.ssh, &raw.ssh, entry.host_key.as_ref()));
    let user = way.last().map(|jump| jump.user.clone()).unwrap_or_default();
    let privilege = entry.ssh.privilege.clone().or_else(|| raw.ssh.privilege.clone());
    let privilege =
        privilege.unwrap_or(if user == "root" { Privilege::None(Nothing {}) } else { Privilege::Sudo(Nothing {}) });
    let roles: BTreeSet<Role> = entry.roles.iter().copied().collect();
    Host {
        name: entry.name.value.clone(),
        way,
        // Without one the file has been refused, and is read on only for what else is wrong.
        internal: internal.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        roles: roles.into_iter().collect(),
        privilege,
        labels: entry.labels.clone(),
        taints: entry.taints.iter().map(|taint| taint.value.clone()).collect(),
    }
}

/// Every bastion that a host names is there.
fn vias(entry: &HostEntry, raw: &SiteFile, bastions: &BTreeMap<&str, &Bastion>, problems: &mut Problems) {
    for name in entry.ssh.via.as_ref().or(raw.ssh.via.as_ref()).into_iter().flatten() {
        if !bastions.contains_key(name.value.as_str()) {
            let near = nearest(&name.value, bastions.keys().copied()).map(|near| format!("did you mean `{near}`?"));
            let hint = near.as_deref().unwrap_or("list it under `bastions`");
            // The site's own `via` holds for many hosts and is said once.
            let message = format!("there is no bastion {}", shown(&name.value));
            let said = problems.list.iter().any(|one| (one.line, one.column) == (name.line, name.column));
            if !said {
                problems.add(name, message, Some(hint));
            }
        }
    }
}

fn jump(name: &str, address: &str, own: &Ssh, site: &Ssh, host_key: Option<&SshFingerprint>) -> Jump {
    Jump {
        name: name.to_owned(),
        address: address.to_owned(),
        port: own.port.or(site.port).map_or(22, Port::get),
        user: own.user.as_ref().or(site.user.as_ref()).map_or_else(|| "root".to_owned(), ToString::to_string),
        auth: own.auth.clone().or_else(|| site.auth.clone()).unwrap_or_else(|| vec![Auth::Agent(Nothing {})]),
        host_key: host_key.map(ToString::to_string),
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

fn endpoint(
    raw: &SiteFile,
    domain: &DnsName,
    masters: usize,
    internal: &[Option<IpAddr>],
    problems: &mut Problems,
) -> Endpoint {
    let entry = &raw.endpoint;
    let kind = entry.kind.unwrap_or(if masters == 1 { EndpointKind::Direct } else { EndpointKind::Local });
    if kind == EndpointKind::Direct && masters > 1 {
        problems.add_whole("endpoint.kind direct is for one control-plane host", Some("use local, vip or external"));
    }
    let needs = matches!(kind, EndpointKind::Vip | EndpointKind::External);
    if needs && entry.address.is_none() {
        let hint = Some("the address that is or will be the API's");
        problems.add_at("endpoint", "this kind of endpoint needs endpoint.address", hint);
    }
    if let Some(address) = &entry.address {
        let taken = raw.hosts.iter().zip(internal).find(|(_, at)| **at == Some(address.value));
        if let (Some((host, _)), EndpointKind::Vip) = (taken, kind) {
            problems.add(address, format!("the virtual address is that of host {}", host.name.value), None);
        }
    }
    if kind == EndpointKind::Vip && entry.port.map(Port::get) == Some(6443) {
        problems.add_whole("the API servers have port 6443 themselves", Some("give the virtual address another port"));
    }
    Endpoint {
        kind,
        name: below("api", domain),
        port: entry.port.map_or(if kind == EndpointKind::Direct { 6443 } else { 8443 }, Port::get),
        address: entry.address.as_ref().map(|at| at.value.to_string()),
        router_id: entry.router_id.and_then(|id| u8::try_from(id.get()).ok()),
        interface: entry.interface.clone(),
    }
}

fn waivers(raw: &SiteFile, problems: &mut Problems) {
    for waiver in &raw.waivers {
        for host in &waiver.hosts {
            if !raw.hosts.iter().any(|entry| entry.name.value == host.value) {
                problems.add(host, format!("there is no host {}", shown(&host.value)), None);
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
            + "kubernetes: {podCIDR: 10.0.0.0/16, serviceCIDR: 10.0.0.0/8}\nwaivers: [{check: x, reason: '', hosts: [four]}, {check: x, reason: r, hosts: [three]}]\n";
        let found = complaints(&text).join("\n");
        for expected in [
            "3: \"Demo_1\" is no cluster name",
            "is there already, on line 9",
            "there is no bastion \"gone\"",
            "0 hosts have the role etcd",
            "share addresses",
            "too few or too many Services",
            "10.0.0.11 lies inside the pods' range",
            "\"\" says nothing",
            "there is no host \"three\"",
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
