//! The site file as it is written: every key, its meaning, its default. The JSON Schema is made from these types.
//!
//! A field that is a `String` here and has a type of its own in the schema is checked against that type by [`super::shape`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use ferry_bundle_format::manifest::file::ApiVersion;
use ferry_bundle_format::yaml::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::settings::*;
use super::types::{
    Address, CheckId, DnsName, EnvironmentName, FileName, LabelKey, LabelValue, Line, Port, SshFingerprint, Taint,
    UserName,
};

/// The kind of this document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SiteKind {
    /// A site.
    Site,
}

/// A site: hosts, and the cluster that is to run on them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SiteFile {
    /// Always `ferry.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `Site`.
    pub kind: SiteKind,
    /// The cluster's name: lower case letters, digits and `-`, at most 40. It is in every name that ferry makes.
    pub cluster: At<String>,
    /// The domain of the site's own names: `api.<domain>`, `registry.<domain>`. Default `<cluster>.local`.
    #[serde(default)]
    pub domain: Option<At<DnsName>>,
    /// Where ferry keeps the keys it makes for the cluster, and what protects them.
    pub vault: Vault,
    /// How to log in, for all hosts that say nothing else.
    #[serde(default)]
    pub ssh: Ssh,
    /// Hosts in between, that only pass connections on.
    #[serde(default)]
    pub bastions: Vec<Bastion>,
    /// The hosts.
    pub hosts: Vec<HostEntry>,
    /// How the API is reached from every host.
    #[serde(default)]
    pub endpoint: EndpointEntry,
    /// Kubernetes itself.
    #[serde(default)]
    pub kubernetes: Kubernetes,
    /// The pod network.
    #[serde(default)]
    pub network: Network,
    /// etcd.
    #[serde(default)]
    pub etcd: Etcd,
    /// The site's registry.
    #[serde(default)]
    pub registry: RegistryEntry,
    /// Clocks.
    #[serde(default)]
    pub time: Time,
    /// Names.
    #[serde(default)]
    pub dns: Dns,
    /// Volumes.
    #[serde(default)]
    pub storage: Storage,
    /// Other limits for checks than ferry's own, by the check's id.
    #[serde(default)]
    pub thresholds: BTreeMap<String, f64>,
    /// Checks that may fail, each with the reason that stands in the report.
    #[serde(default)]
    pub waivers: Vec<Waiver>,
}

/// Where a secret is to be had. The secret itself never stands in a file of ours in plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretRef {
    /// Asked for on the terminal, with this text.
    Prompt(#[schemars(with = "Line")] String),
    /// The value of this environment variable.
    Env(#[schemars(with = "EnvironmentName")] String),
    /// A value in an age file.
    Age(AgeRef),
}

/// A value in an age file that holds lines of `name: value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgeRef {
    /// The file, relative to the site file.
    #[schemars(with = "FileName")]
    pub file: String,
    /// The name of the value in it.
    #[schemars(with = "Line")]
    pub name: String,
    /// The age identity file that opens it; without it a passphrase is asked for.
    #[serde(default)]
    #[schemars(with = "Option<FileName>")]
    pub identity: Option<String>,
}

/// What protects the vault. Exactly one of the two.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Vault {
    /// A passphrase.
    Passphrase(SecretRef),
    /// An age identity file (`AGE-SECRET-KEY-…`), relative to the site file.
    Identity(#[schemars(with = "FileName")] String),
}

/// How to log in. What a host leaves out it takes from the site's own `ssh`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Ssh {
    /// The user; default `root`.
    #[serde(default)]
    pub user: Option<UserName>,
    /// The port; default 22.
    #[serde(default)]
    pub port: Option<Port>,
    /// Ways to log in, tried in order. Default: the agent.
    #[serde(default)]
    pub auth: Option<Vec<Auth>>,
    /// How to become root. Default: `none` for root, else `sudo` without a password.
    #[serde(default)]
    pub privilege: Option<Privilege>,
    /// The names of the bastions in between, outermost first.
    #[serde(default)]
    pub via: Option<Vec<At<String>>>,
    /// Old algorithms to accept beside the modern ones, such as `ssh-rsa`. Stands in the report.
    #[serde(default)]
    #[schemars(with = "Option<Vec<Line>>")]
    pub legacy_algorithms: Option<Vec<String>>,
}

/// A way to log in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Auth {
    /// The agent at SSH_AUTH_SOCK.
    Agent(Nothing),
    /// A private key file.
    Key(KeyFile),
    /// A password; used for keyboard-interactive too.
    Password(SecretRef),
}

/// An empty mapping, `{}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A private key file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// Its path; `~/` is the home folder, a relative one is relative to the site file.
    #[schemars(with = "FileName")]
    pub file: String,
    /// Its passphrase, if it has one.
    #[serde(default)]
    pub passphrase: Option<SecretRef>,
}

/// How to become root.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Privilege {
    /// The user is root.
    None(Nothing),
    /// `sudo`, by a rule that asks nothing.
    Sudo(Nothing),
    /// `sudo` with a password, given on its standard input.
    SudoPassword(SecretRef),
    /// `su` with root's password.
    Su(SecretRef),
}

/// A host in between.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bastion {
    /// Its name, for `via`.
    pub name: At<String>,
    /// Its address or DNS name.
    pub address: Address,
    /// How to log in there.
    #[serde(default)]
    pub ssh: Ssh,
    /// The fingerprint of its key, `SHA256:…`, as `ssh-keygen -lf` prints it.
    #[serde(default)]
    pub host_key: Option<SshFingerprint>,
}

/// What a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the API server, the scheduler and the controller manager.
    ControlPlane,
    /// Runs pods.
    Worker,
    /// Runs etcd.
    Etcd,
    /// Runs the registry.
    Registry,
}

/// A host.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HostEntry {
    /// Its host name and node name: RFC 1123, lower case, at most 63.
    pub name: At<String>,
    /// Where SSH goes: an address or a DNS name.
    pub address: At<Address>,
    /// The address by which the other hosts reach it. Default: `address`, if that is an IP address.
    #[serde(default)]
    pub internal_address: Option<At<IpAddr>>,
    /// What it does.
    pub roles: Vec<Role>,
    /// How to log in, where it differs.
    #[serde(default)]
    pub ssh: Ssh,
    /// The fingerprint of its key, `SHA256:…`. Without it the first one seen is shown, recorded and pinned.
    #[serde(default)]
    pub host_key: Option<SshFingerprint>,
    /// Node labels.
    #[serde(default)]
    pub labels: BTreeMap<LabelKey, LabelValue>,
    /// Node taints, `key=value:Effect` or `key:Effect`.
    #[serde(default)]
    pub taints: Vec<At<Taint>>,
}

/// A check that may fail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The check's id.
    #[schemars(with = "CheckId")]
    pub check: At<String>,
    /// Why it may fail. Stands in the report that the customer signs.
    pub reason: Line,
    /// On which hosts; empty: on all.
    #[serde(default)]
    pub hosts: Vec<At<String>>,
}
