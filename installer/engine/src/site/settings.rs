//! What the cluster is to be like: the site file's part that is not about hosts. Every key, its meaning, its default.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferry_bundle_format::yaml::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cidr;

/// How the API is reached.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EndpointEntry {
    /// The kind. Default: `direct` with one control-plane host, else `local`.
    #[serde(default)]
    pub kind: Option<EndpointKind>,
    /// The virtual or external address, for those kinds.
    #[serde(default)]
    pub address: Option<At<String>>,
    /// The port. Default: 6443 for `direct`, 8443 otherwise.
    #[serde(default)]
    pub port: Option<u16>,
    /// The VRRP router id of a virtual address, 1 to 255.
    #[serde(default)]
    pub router_id: Option<u8>,
    /// The interface that carries a virtual address.
    #[serde(default)]
    pub interface: Option<String>,
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
    pub max_pods: u32,
    /// The domain of Services.
    pub dns_domain: String,
    /// How kube-proxy works.
    pub proxy: ProxyMode,
    /// For how many days leaf certificates are valid.
    pub certificate_days: u32,
    /// For how many years the certificate authorities are valid.
    pub authority_years: u32,
    /// Whether pods may run on control-plane hosts that are no workers. Default false.
    pub schedule_control_plane: bool,
    /// More names and addresses for the API server's certificate.
    pub extra_names: Vec<String>,
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            pod_cidr: defaulted("10.244.0.0/16"),
            service_cidr: defaulted("10.96.0.0/16"),
            node_prefix: 24,
            max_pods: 110,
            dns_domain: "cluster.local".into(),
            proxy: ProxyMode::Iptables,
            certificate_days: 365,
            authority_years: 10,
            schedule_control_plane: false,
            extra_names: Vec::new(),
        }
    }
}

/// A default that stands nowhere in the file: line 0.
fn defaulted(cidr: &str) -> At<Cidr> {
    At { value: cidr.parse().expect("a literal that is a range"), line: 0, column: 0 }
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
    pub interface: Option<String>,
    /// The MTU of pods. Default: the interface's, less what the encapsulation needs.
    pub mtu: Option<u32>,
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
    pub data_dir: String,
    /// The largest database, in GiB: 1 to 8.
    pub quota_gib: u32,
    /// Hours between snapshots.
    pub snapshot_hours: u32,
    /// How many snapshots are kept.
    pub snapshot_keep: u32,
    /// Where snapshots lie.
    pub snapshot_dir: String,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/etcd".into(),
            quota_gib: 8,
            snapshot_hours: 6,
            snapshot_keep: 28,
            snapshot_dir: "/var/backups/ferry/etcd".into(),
        }
    }
}

/// The site's registry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RegistryEntry {
    /// Its name. Default `registry.<domain>`.
    pub name: Option<String>,
    /// Its port.
    pub port: u16,
    /// Where its content lies.
    pub data_dir: String,
}

impl Default for RegistryEntry {
    fn default() -> Self {
        Self { name: None, port: 5000, data_dir: "/var/lib/ferry-registry".into() }
    }
}

/// Clocks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Time {
    /// Time servers of the site. Empty, and without `internal`: the hosts keep what they have.
    pub servers: Vec<String>,
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
    pub names: BTreeMap<String, IpAddr>,
    /// Zones of which every name has one address, such as `apps.site.example`.
    pub wildcards: BTreeMap<String, IpAddr>,
}

/// Volumes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Storage {
    /// The kind.
    pub kind: StorageKind,
    /// Where volumes lie on each host.
    pub path: String,
}

impl Default for Storage {
    fn default() -> Self {
        Self { kind: StorageKind::LocalPath, path: "/var/lib/ferry-volumes".into() }
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
