//! What connections need beside the site: secrets, recorded keys, limits, and who is asked and told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::host::known::KnownKeys;
use crate::host::{Command, HostError, Output, Redactor, Secret};
use crate::site::file::SecretRef;

/// Gives secrets by reference. [`SecretStore`](crate::host::SecretStore) is the real one.
pub trait Secrets: Send + Sync {
    /// The secret. The error's host is empty: the caller knows it.
    fn get<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, HostError>>;
}

/// Decides about a host whose key is neither pinned nor recorded.
pub trait FirstSight: Send + Sync {
    /// Whether `name` may be what shows `fingerprint` (`SHA256:…`, of a key of `algorithm`). A yes is recorded.
    fn accept<'a>(&'a self, name: &'a str, algorithm: &'a str, fingerprint: &'a str) -> BoxFuture<'a, bool>;
}

/// A fixed answer at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every key is accepted and recorded.
    Accept,
    /// Only pinned and recorded keys.
    Refuse,
}

impl FirstSight for Answer {
    fn accept<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(*self == Self::Accept))
    }
}

/// Hears of every command: those of callers and those that uploads are made of.
pub trait Trace: Send + Sync {
    /// A command begins. What is returned comes back at its end.
    fn began(&self, host: &str, command: &Command) -> u64;
    /// It ended.
    fn ended(&self, id: u64, outcome: &Result<Output, HostError>, took: Duration);
    /// A host has shown a key that fits: one that is pinned, recorded, or was accepted now.
    fn host_key(&self, _host: &str, _fingerprint: &str) {}
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoTrace;

impl Trace for NoTrace {
    fn began(&self, _: &str, _: &Command) -> u64 {
        0
    }
    fn ended(&self, _: u64, _: &Result<Output, HostError>, _: Duration) {}
}

/// How hosts are connected to. One for all hosts of a run; clones share everything.
#[derive(Clone)]
pub struct Settings {
    /// The site file's folder: relative key files begin there.
    pub folder: PathBuf,
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
    /// Learns every secret that is used.
    pub redactor: Redactor,
    /// The recorded host keys.
    pub known: Arc<KnownKeys>,
    /// The user's own `known_hosts`, believed where nothing is pinned or recorded.
    pub known_hosts: Option<PathBuf>,
    /// Who decides about keys never seen.
    pub first_sight: Arc<dyn FirstSight>,
    /// The socket of the SSH agent.
    pub agent: Option<PathBuf>,
    /// Who hears of commands.
    pub trace: Arc<dyn Trace>,
    /// Ends everything that is under way.
    pub cancel: CancellationToken,
    /// How long each of these may take: the TCP connection, the handshake, a login.
    pub patience: Duration,
    /// How long the login shell may take until the first command of a host begins. Start files that ask a question never
    /// let it begin.
    pub begin: Duration,
    /// Silence after which a sign of life is asked for; four without an answer end the connection.
    pub keepalive: Duration,
    /// Sessions at a time on one connection. OpenSSH allows 10 (`MaxSessions`); two are left for ending commands.
    pub sessions: usize,
    /// The most that a command may print, in bytes, stdout and stderr each.
    pub output_limit: usize,
}

impl Settings {
    /// Settings with the defaults: first sight refused, the agent of the environment, 20 s for a login and for a command to
    /// begin, 15 s × 4 of silence, 8 sessions, 64 MiB.
    pub fn new(folder: impl Into<PathBuf>, secrets: Arc<dyn Secrets>, known: KnownKeys) -> Self {
        Self {
            folder: folder.into(),
            secrets,
            redactor: Redactor::default(),
            known: Arc::new(known),
            known_hosts: None,
            first_sight: Arc::new(Answer::Refuse),
            agent: std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from),
            trace: Arc::new(NoTrace),
            cancel: CancellationToken::new(),
            patience: Duration::from_secs(20),
            begin: Duration::from_secs(20),
            keepalive: Duration::from_secs(15),
            sessions: 8,
            output_limit: 64 << 20,
        }
    }

    /// The secret, for `host`; the redactor learns it.
    pub(super) async fn secret(&self, host: &str, reference: &SecretRef) -> Result<Secret, HostError> {
        let secret = self.secrets.get(reference).await.map_err(|error| HostError::new(host, error.kind))?;
        self.redactor.learn(&secret);
        Ok(secret)
    }

    /// A file of the site: `~/` is the home folder, a relative path begins at the site file.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(path),
        }
    }
}
