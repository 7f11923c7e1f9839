//! What a client is told before it speaks to anybody. Plain values, no defaults hidden elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Credentials;
use super::host::{HostSet, normalized};
use super::mirror::Mirrors;
use super::retry::RetryPolicy;
use super::secret::Secret;

/// How a registry or file client behaves. [`ClientSettings::default`] trusts the system's CAs, speaks only
/// HTTPS, has no credentials and no mirrors.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Hosts that are spoken to without TLS. Everything else must be HTTPS.
    pub plain_http: HostSet,
    /// PEM files with CA certificates to trust beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Hosts whose certificate is not checked.
    pub insecure_tls: HostSet,
    /// How to get out.
    pub proxy: ProxySetting,
    /// Who we are, where it is asked.
    pub credentials: Credentials,
    /// Token servers allowed to see the credentials of a registry, beyond those known: registry → hosts.
    pub realms: BTreeMap<String, BTreeSet<String>>,
    /// Where to ask first.
    pub mirrors: Mirrors,
    /// The longest a connection may take to come up.
    pub connect_timeout: Duration,
    /// The longest nothing may move. There is no limit on a whole transfer.
    pub idle_timeout: Duration,
    /// How requests are repeated.
    pub retries: RetryPolicy,
}

/// How to get out of the local network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ProxySetting {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either case, read as Go's programs read them.
    #[default]
    Environment,
    /// None, whatever the environment says.
    Direct,
    /// This URL for everything but what `NO_PROXY` lists. It may carry a user and password.
    Url(Secret),
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            plain_http: HostSet::default(),
            ca_files: Vec::new(),
            insecure_tls: HostSet::default(),
            proxy: ProxySetting::default(),
            credentials: Credentials::none(),
            realms: BTreeMap::new(),
            mirrors: Mirrors::default(),
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            retries: RetryPolicy::default(),
        }
    }
}

impl ClientSettings {
    /// Allows the token server `realm` (a host) to see the credentials of `registry`.
    pub fn allow_realm(&mut self, registry: &str, realm: &str) {
        self.realms.entry(normalized(registry)).or_default().insert(realm.to_ascii_lowercase());
    }
}
