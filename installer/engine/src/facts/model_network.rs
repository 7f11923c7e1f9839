//! The facts about the network: interfaces, routes, resolvers, sockets, packet filters.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::site::Cidr;

/// Interfaces and routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Interfaces, by name.
    pub interfaces: BTreeMap<String, Interface>,
    /// Routes of all tables, v4 and v6; without local, broadcast and multicast ones.
    pub routes: Vec<Route>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    /// Its hardware address, in lower case.
    pub mac: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// `up`, `down`, `unknown`.
    pub state: String,
    /// Whether a device stands behind it.
    pub physical: bool,
    /// The driver, such as `vmxnet3`; empty for virtual ones.
    pub driver: String,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `unicast`, `blackhole`, `unreachable`, …
    pub kind: String,
    /// Where to; `0.0.0.0/0` or `::/0` for the default route.
    pub to: Cidr,
    /// The next hop.
    pub via: Option<IpAddr>,
    /// The interface.
    pub device: Option<String>,
    /// The table; `main` unless it says otherwise.
    pub table: String,
}

/// How names are resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    /// Whether `/etc/resolv.conf` leads to a file.
    pub resolv_conf: bool,
    /// The file it leads to.
    pub resolv_conf_target: String,
    /// Its name servers, as written.
    pub nameservers: Vec<String>,
    /// Its search domains.
    pub search: Vec<String>,
    /// The name servers that systemd-resolved asks, from its own file.
    pub upstream: Vec<String>,
    /// What a name that does not exist resolves to; not empty if a search domain has a wildcard.
    pub wildcard: Vec<IpAddr>,
    /// Lines of `/etc/hosts`, as address and names.
    pub hosts: Vec<(IpAddr, Vec<String>)>,
    /// The `hosts:` line of nsswitch.conf.
    pub nsswitch: String,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A socket that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address it is bound to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The process, if it is known.
    #[serde(default)]
    pub process: String,
}

/// Packet filters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Firewall {
    /// Whether firewalld runs.
    pub firewalld: bool,
    /// Its version, such as `1.3.3`; empty where it does not run.
    pub version: String,
    /// Its default zone.
    pub zone: String,
    /// Whether ufw is active.
    pub ufw: bool,
    /// Chains of the input and forward hooks whose policy is to drop, as `table chain`.
    pub dropping: Vec<String>,
}
