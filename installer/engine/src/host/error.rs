//! What can go wrong on the way to a host and on it.

use std::time::Duration;

/// Something failed on a host.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {kind}")]
pub struct HostError {
    /// The host (or bastion) that it concerns.
    pub host: String,
    /// What failed.
    #[source]
    pub kind: HostErrorKind,
}

/// What failed.
#[derive(Debug, thiserror::Error)]
pub enum HostErrorKind {
    /// No connection.
    #[error("can't reach {address}: {why}")]
    Unreachable {
        /// `address:port`.
        address: String,
        /// The system's or the library's words.
        why: String,
    },
    /// The host's key is not the pinned or recorded one.
    #[error("the host shows {}, but {expected} is {origin}", key(.shown))]
    HostKey {
        /// The fingerprint shown, or what is known of the keys: `other keys (ssh-ed25519, …)`.
        shown: String,
        /// The fingerprint expected.
        expected: String,
        /// `pinned in the site file` or `recorded in FILE`.
        origin: String,
    },
    /// No way to log in worked.
    #[error("can't log in as {user}: {tried}")]
    Login {
        /// The user.
        user: String,
        /// What was tried, and how each ended.
        tried: String,
    },
    /// Root can't be had.
    #[error("can't become root: {0}")]
    Privilege(String),
    /// A command ended with a status other than 0.
    #[error("status {status} of `{}`: {}", first_line(.script), said.trim())]
    Status {
        /// The status.
        status: i32,
        /// What the command said.
        said: String,
        /// The script.
        script: String,
    },
    /// A command took too long and was ended.
    #[error("no end after {} s of `{}`", .after.as_secs(), first_line(.script))]
    Deadline {
        /// The deadline.
        after: Duration,
        /// The script.
        script: String,
    },
    /// A command printed without end and was ended.
    #[error("more than {limit} bytes of output of `{}`", first_line(.script))]
    Flood {
        /// The limit, in bytes.
        limit: usize,
        /// The script.
        script: String,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A file did not arrive.
    #[error("can't bring {path}: {why}")]
    Upload {
        /// The place it should have.
        path: String,
        /// Why not.
        why: String,
    },
    /// A secret can't be had.
    #[error("{0}")]
    Secret(String),
}

/// A fingerprint is that of a key; anything else speaks for itself.
fn key(shown: &str) -> String {
    if shown.starts_with("SHA256:") { format!("the key {shown}") } else { shown.to_owned() }
}

fn first_line(script: &str) -> &str {
    script.lines().next().unwrap_or_default()
}

impl HostError {
    /// An error of `host`.
    pub fn new(host: impl Into<String>, kind: HostErrorKind) -> Self {
        Self { host: host.into(), kind }
    }

    /// Whether the host may simply be away: trying later is sensible.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self.kind, HostErrorKind::Unreachable { .. } | HostErrorKind::Lost(_))
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match &self.kind {
            HostErrorKind::Unreachable { .. } => "check address, port, bastions, and that sshd runs".into(),
            HostErrorKind::HostKey { .. } => {
                "if the host was reinstalled, put its new fingerprint into `hostKey`; else somebody may be listening"
                    .into()
            }
            HostErrorKind::Login { .. } => "check `user` and `auth`; `ssh -v` to the same address shows more".into(),
            HostErrorKind::Privilege(_) => "set `privilege`: sudo, sudoPassword or su".into(),
            HostErrorKind::Lost(_) => "run the same command again: it goes on where it stopped".into(),
            _ => return None,
        })
    }
}
