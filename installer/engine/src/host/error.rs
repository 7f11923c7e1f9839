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
        /// The fingerprint shown, or all of them: `other keys (ssh-ed25519 SHA256:…, …)`.
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
    /// The session of a command ended without a status, while the connection to the host still works.
    #[error("the session of a command was cut: {0}")]
    Cut(String),
    /// The host is there, but something on it answered in a way that nobody expects.
    #[error("{what}: {said}")]
    Protocol {
        /// What was asked.
        what: String,
        /// What came instead, or what is wrong with it.
        said: String,
    },
    /// The host is there, but a service on it does not answer, or not in time.
    #[error("{what} does not answer: {why}")]
    Service {
        /// The service.
        what: String,
        /// Why it is taken for that.
        why: String,
    },
    /// The site has no host of this name.
    #[error("the site file has no host of this name")]
    NotInSite,
    /// The file in which host keys are recorded can't be used.
    #[error("host keys: {path}: {why}")]
    Records {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
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

    /// Whether the host could not be reached. Nothing else makes the work on a host pending.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self.kind, HostErrorKind::Unreachable { .. } | HostErrorKind::Lost(_))
    }

    /// Whether the same call may succeed a moment later: the host could not be reached, a session was cut, or a service on
    /// it does not answer yet. A wrong answer stays wrong.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.is_absence() || matches!(self.kind, HostErrorKind::Cut(_) | HostErrorKind::Service { .. })
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match &self.kind {
            HostErrorKind::Unreachable { .. } => "check address, port, bastions, and that sshd runs".into(),
            HostErrorKind::HostKey { expected, .. } if expected == "none" => {
                "compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows on the host itself; if it is that one, \
                 write it as `hostKey:` into the site file, or say --accept-host-keys"
                    .into()
            }
            HostErrorKind::HostKey { .. } => {
                "if the host was reinstalled, compare with `ssh-keygen -lf` on the host itself and put that fingerprint into `hostKey`; else somebody may be listening"
                    .into()
            }
            HostErrorKind::Login { tried, .. } if tried.contains("closed the connection") => {
                "the host closes the connection after some refused keys (`MaxAuthTries` of its sshd): an agent with many \
                 keys uses them up; name the right key as the first way, `auth: [{key: {file: …}}]`"
                    .into()
            }
            HostErrorKind::Login { .. } => "check `user` and `auth`; `ssh -v` to the same address shows more".into(),
            HostErrorKind::Privilege(_) => "set `privilege`: sudo, sudoPassword or su".into(),
            HostErrorKind::Lost(_) | HostErrorKind::Cut(_) => {
                "run the same command again: it goes on where it stopped".into()
            }
            HostErrorKind::Secret(_) => {
                "the site file says where this secret comes from: set it there, and run again".into()
            }
            HostErrorKind::NotInSite => "make the plan again with this site file".into(),
            HostErrorKind::Records { path, .. } => {
                format!("correct {path}, or remove it: then each host's key is asked for again")
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_not_be_reached_is_an_absence() {
        let text = || "x".to_owned();
        let kinds = [
            (HostErrorKind::Unreachable { address: text(), why: text() }, true, true),
            (HostErrorKind::Lost(text()), true, true),
            (HostErrorKind::Cut(text()), false, true),
            (HostErrorKind::Service { what: text(), why: text() }, false, true),
            (HostErrorKind::Protocol { what: text(), said: text() }, false, false),
            (HostErrorKind::NotInSite, false, false),
            (HostErrorKind::Records { path: text(), why: text() }, false, false),
            (HostErrorKind::Secret(text()), false, false),
            (HostErrorKind::Cancelled, false, false),
        ];
        for (kind, absent, passes) in kinds {
            let error = HostError::new("one", kind);
            assert_eq!((error.is_absence(), error.may_pass()), (absent, passes), "{error}");
        }
    }
}
