//! What the cluster is to be like: the site file's part that is not about hosts. Every key, its meaning, its default.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferry_bundle_format::yaml::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cidr;
use super::types::{Address, Count, DataDir, DnsName, Interface, Port, SubjectName};

/// Days that a certificate is valid: a hundred years, more than any program that reads it can add up.
pub type Days = Count<1, 36_500>;
/// Years that an authority is valid.
pub type Years = Count<1, 100>;

/// How the API is reached.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointEntry {
    /// The kind. Default: `direct` with one control-plane host, else `local`.
    #[serde(default)]
    pub kind: Option<EndpointKind>,
    /// The virtual or external address, for those kinds.
    #[serde(default)]
    pub address: Option<At<IpAddr>>,
    /// The port. Default: 6443 for `direct`, 8443 otherwise.
    #[serde(default)]
    pub port: Option<Port>,
    /// The VRRP router id of a virtual address, 1 to 255.
    #[serde(default)]
    pub router_id: Option<Count<1, 255>>,
    /// The interface that carries a virtual address.
    #[serde(default)]
    pub interface: Option<Interface>,
}

/// Kinds of API endpoint. Certificates carry the names of all kinds, so that it can be changed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// The only control-plane host itself.
    Direct,
    /// A balancer on every host, at 127.0.0.1.
    Local,
    /// A virtual address that moves between the control-plane hosts.
    Vip,
    /// A balancer of the site's own.
    External,
}

/// Kubernetes itself.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Kubernetes {
    /// Addresses of pods.
    #[serde(rename = "podCIDR")]
    pub pod_cidr: At<Cidr>,
    /// Addresses of Services: between /12 and 10 addresses.
    #[serde(rename = "serviceCIDR")]
    pub service_cidr: At<Cidr>,
    /// The prefix length of each node's share of the pod addresses.
    pub node_prefix: u8,
    /// Pods per node.
    pub max_pods: Count<1, 4096>,
    /// The domain of Services.
    pub dns_domain: DnsName,
    /// How kube-proxy works.
    pub proxy: ProxyMode,
    /// For how many days leaf certificates are valid.
    pub certificate_days: Days,
    /// For how many years the certificate authorities are valid.
    pub authority_years: Years,
    /// Whether pods may run on control-plane hosts that are no workers. Default false.
    pub schedule_control_plane: bool,
    /// More names and addresses for the API server's certificate.
    pub extra_names: Vec<SubjectName>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            pod_cidr: defaulted("10.244.0.0/16"),
            service_cidr: defaulted("10.96.0.0/16"),
            node_prefix: 24,
            max_pods: Count::literal(110),
            dns_domain: literal("cluster.local"),
            proxy: ProxyMode::Iptables,
            certificate_days: Count::literal(365),
            authority_years: Count::literal(10),
            schedule_control_plane: false,
            extra_names: Vec::new(),
        }
    }
}

/// A default that stands nowhere in the file: line 0.
fn defaulted(cidr: &str) -> At<Cidr> {
    At { value: cidr.parse().expect("a literal that is a range"), line: 0, column: 0 }
}

/// A default of a text type.
fn literal<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a literal of its type")
}

/// How kube-proxy works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    /// By iptables rules.
    Iptables,
    /// By nftables rules; kernel 5.13 or newer.
    Nftables,
    /// By IPVS.
    Ipvs,
}

/// The pod network.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Network {
    /// The kind; default `calico`.
    pub kind: NetworkKind,
    /// How packets travel between hosts; default `vxlan`. Calico: `vxlan`, `ipip` or `bgp`; flannel: `vxlan` or `host-gw`.
    pub encapsulation: Encapsulation,
    /// The hosts' interface for pod traffic. Default: the one that holds the internal address.
    pub interface: Option<Interface>,
    /// The MTU of pods. Default: the interface's, less what the encapsulation needs.
    pub mtu: Option<Count<576, 65_535>>,
    /// Calico: the prefix length of the blocks of pod addresses that nodes take as they need them, 20 to 32. Default 26.
    pub block_prefix: Option<u8>,
}

/// Kinds of pod network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// Calico.
    #[default]
    Calico,
    /// Flannel.
    Flannel,
    /// A bridge on each host and one route to each other host: no daemon, no encapsulation, one L2 network.
    HostRoutes,
}

/// How packets travel between hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encapsulation {
    /// VXLAN: UDP 4789 (Calico) or 8472 (flannel).
    #[default]
    Vxlan,
    /// IP in IP, protocol 4.
    Ipip,
    /// None: routes by BGP, TCP 179.
    Bgp,
    /// None: routes to hosts of the same network.
    #[serde(rename = "host-gw")]
    HostGw,
}

/// etcd.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Etcd {
    /// Where the data lie.
    pub data_dir: DataDir,
    /// The largest database, in GiB: 1 to 8.
    pub quota_gib: Count<1, 8>,
    /// Hours between snapshots, at most 30 days.
    pub snapshot_hours: Count<1, 720>,
    /// How many snapshots are kept.
    pub snapshot_keep: Count<1, 10_000>,
    /// Where snapshots lie.
    pub snapshot_dir: DataDir,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            data_dir: literal("/var/lib/etcd"),
            quota_gib: Count::literal(8),
            snapshot_hours: Count::literal(6),
            snapshot_keep: Count::literal(28),
            snapshot_dir: literal("/var/backups/ferry/etcd"),
        }
    }
}

/// The site's registry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RegistryEntry {
    /// Its name. Default `registry.<domain>`.
    pub name: Option<DnsName>,
    /// Its port. The port after it, on loopback, accepts content.
    pub port: Port,
    /// Where its content lies.
    pub data_dir: DataDir,
}

impl Default for RegistryEntry {
    fn default() -> Self {
        Self {
            name: None,
            port: Port::new(5000).expect("a literal that is no 0"),
            data_dir: literal("/var/lib/ferry-registry"),
        }
    }
}

/// Clocks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Time {
    /// Time servers of the site. Empty, and without `internal`: the hosts keep what they have.
    pub servers: Vec<Address>,
    /// Whether the first two control-plane hosts keep the time for all others: they follow `servers`, if there are any, and
    /// else each other.
    pub internal: bool,
}

/// Names.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Dns {
    /// Name servers of the site that pods may ask. Empty: unknown names are answered NXDOMAIN at once.
    pub upstream: Vec<IpAddr>,
    /// More names, for hosts and pods.
    pub names: BTreeMap<DnsName, IpAddr>,
    /// Zones of which every name has one address, such as `apps.site.example`.
    pub wildcards: BTreeMap<DnsName, IpAddr>,
}

/// Volumes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Storage {
    /// The kind.
    pub kind: StorageKind,
    /// Where volumes lie on each host.
    pub path: DataDir,
}

impl Default for Storage {
    fn default() -> Self {
        Self { kind: StorageKind::LocalPath, path: literal("/var/lib/ferry-volumes") }
    }
}

/// Kinds of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// Folders on the host that the pod runs on.
    LocalPath,
    /// None by ferry.
    None,
}
