//! The site as the engine uses it: defaults filled in, references between hosts and bastions resolved.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::file::{Auth, Dns, EndpointKind, Etcd, Kubernetes, Network, Privilege, Role, Storage, Time, Vault, Waiver};
use super::types::{DataDir, DnsName, Interface, LabelKey, LabelValue, Taint};
use ferry_bundle_format::Digest;

/// A site that has been understood.
#[derive(Debug, Clone)]
pub struct Site {
    /// The file it was read from; relative paths in it are relative to its folder.
    pub file: PathBuf,
    /// The digest of the file's bytes.
    pub digest: Digest,
    /// The cluster's name.
    pub cluster: String,
    /// The domain of the site's own names.
    pub domain: String,
    /// What protects the vault.
    pub vault: Vault,
    /// The hosts, in the order of the file.
    pub hosts: Vec<Host>,
    /// How the API is reached.
    pub endpoint: Endpoint,
    /// Kubernetes itself.
    pub kubernetes: Kubernetes,
    /// The pod network.
    pub network: Network,
    /// etcd.
    pub etcd: Etcd,
    /// The registry.
    pub registry: Registry,
    /// Clocks.
    pub time: Time,
    /// Names.
    pub dns: Dns,
    /// Volumes.
    pub storage: Storage,
    /// Other limits for checks, by id.
    pub thresholds: BTreeMap<String, f64>,
    /// Checks that may fail.
    pub waivers: Vec<Waiver>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its host name and node name.
    pub name: String,
    /// The way there: bastions first, the host itself last.
    pub way: Vec<Jump>,
    /// The address by which the other hosts reach it.
    pub internal: IpAddr,
    /// What it does, sorted.
    pub roles: Vec<Role>,
    /// How to become root.
    pub privilege: Privilege,
    /// Node labels.
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Node taints.
    pub taints: Vec<Taint>,
}

/// One SSH connection on the way to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The name by which errors and recorded keys call it.
    pub name: String,
    /// Address or DNS name, as seen from the jump before.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// Ways to log in, in order.
    pub auth: Vec<Auth>,
    /// The pinned fingerprint, `SHA256:…`.
    pub host_key: Option<String>,
    /// Old algorithms to accept.
    pub legacy_algorithms: Vec<String>,
}

/// How the API is reached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The kind.
    pub kind: EndpointKind,
    /// The name, `api.<domain>`.
    pub name: DnsName,
    /// The port.
    pub port: u16,
    /// The virtual or external address.
    pub address: Option<String>,
    /// The VRRP router id.
    pub router_id: Option<u8>,
    /// The interface of a virtual address.
    pub interface: Option<Interface>,
}

/// The registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Its name.
    pub name: DnsName,
    /// Its port.
    pub port: u16,
    /// Where its content lies.
    pub data_dir: DataDir,
}

impl Registry {
    /// `name:port`, as image references and certificates of clients name it.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }

    /// The loopback port that accepts content: the one after the public one.
    #[must_use]
    pub fn push_port(&self) -> u16 {
        // The site file is refused where there is none after it.
        self.port.checked_add(1).unwrap_or(self.port)
    }
}

impl Host {
    /// Whether it has a role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether a kubelet runs on it.
    #[must_use]
    pub fn is_node(&self) -> bool {
        self.is(Role::ControlPlane) || self.is(Role::Worker)
    }
}

impl Site {
    /// The hosts with a role, in the order of the file.
    pub fn with(&self, role: Role) -> impl Iterator<Item = &Host> {
        self.hosts.iter().filter(move |host| host.is(role))
    }

    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The folder that relative paths begin at.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.file.parent().map_or_else(PathBuf::new, std::path::Path::to_path_buf)
    }

    /// The limit for a check: the site's own, else ferry's.
    #[must_use]
    pub fn threshold(&self, check: &str, otherwise: f64) -> f64 {
        self.thresholds.get(check).copied().unwrap_or(otherwise)
    }
}
