//! Whether a server is the host that it should be: pinned, recorded or, at first sight, accepted by whoever decides.
//!
//! A key is compared within the handshake; questions are asked between handshakes, where no login grace time runs. A
//! host that is known by another algorithm is a changed host, never a new one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use russh::client;
use russh::keys::known_hosts::known_host_keys_path;
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyBase64 as _, PublicKeyOrCertificate};

use super::settings::Settings;
use crate::host::known::KnownKey;
use crate::host::{HostError, HostErrorKind};
use crate::site::Jump;

/// What is known of a host's key beforehand.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// Its fingerprint, from the site file.
    Pinned(String),
    /// One of these keys; and where they are recorded.
    Recorded(Vec<PublicKey>, String),
    /// Nothing.
    Unknown,
}

impl Expected {
    /// What is known of `jump`.
    pub(super) fn of(jump: &Jump, settings: &Settings) -> Result<Self, HostError> {
        if let Some(pin) = &jump.host_key {
            return Ok(Self::Pinned(pin.clone()));
        }
        let fail = |path: &Path, why: String| {
            HostError::new(&jump.name, HostErrorKind::Records { path: path.display().to_string(), why })
        };
        let own = settings.known.path();
        let recorded = settings.known.get(&jump.name);
        let recorded = recorded.map_err(|error| fail(own, format!("it can't be read: {error}")))?;
        if let Some(key) = recorded {
            let path = own.display().to_string();
            let key = PublicKey::from_openssh(&format!("{} {}", key.algorithm, key.key))
                .map_err(|error| fail(own, format!("the key of {}: {error}", jump.name)))?;
            return Ok(Self::Recorded(vec![key], path));
        }
        if let Some(path) = &settings.known_hosts {
            let keys =
                known_host_keys_path(&jump.address, jump.port, path).map_err(|error| fail(path, error.to_string()))?;
            if !keys.is_empty() {
                let keys = keys.into_iter().map(|(_, key)| key).collect();
                return Ok(Self::Recorded(keys, path.display().to_string()));
            }
        }
        Ok(Self::Unknown)
    }

    fn fits(&self, key: &PublicKey) -> bool {
        match self {
            Self::Pinned(pin) => *pin == fingerprint(key),
            Self::Recorded(keys, _) => keys.iter().any(|one| one.key_data() == key.key_data()),
            Self::Unknown => false,
        }
    }

    /// The algorithm to ask for first.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::Recorded(keys, _) => keys.first().map(PublicKey::algorithm),
            _ => None,
        }
    }

    /// The error for a host that shows another key.
    pub(super) fn mismatch(&self, name: &str, shown: &str) -> HostError {
        let (expected, origin) = match self {
            Self::Pinned(pin) => (pin.clone(), "pinned in the site file".to_owned()),
            Self::Recorded(keys, path) => {
                let keys: Vec<_> = keys.iter().map(fingerprint).collect();
                (keys.join(" or "), format!("recorded in {path}"))
            }
            Self::Unknown => ("none".to_owned(), "known, and new keys are not accepted".to_owned()),
        };
        HostError::new(name, HostErrorKind::HostKey { shown: shown.to_owned(), expected, origin })
    }
}

/// `SHA256:…`, as `ssh-keygen -lf` prints it.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A key as it is recorded: under the name of the key itself, not of a signature, so `ssh-rsa` for all of RSA.
pub(crate) fn recorded(key: &PublicKey) -> KnownKey {
    let algorithm = match key.algorithm() {
        Algorithm::Rsa { .. } => Algorithm::Rsa { hash: None },
        other => other,
    };
    KnownKey { algorithm: algorithm.as_str().to_owned(), key: key.public_key_base64() }
}

/// What a connection has shown and why it ended; read after the handshake and when it breaks.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The key that was shown and did not fit.
    pub(super) refused: Option<PublicKey>,
    /// The fingerprint of the key that was shown and did fit.
    pub(super) accepted: Option<String>,
    /// Why the connection ended.
    pub(super) ended: Option<String>,
}

/// The client's side of the handshake.
pub(super) struct Watch {
    pub(super) expected: Expected,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl Watch {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl client::Handler for Watch {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        // Certificates are never asked for, so one that comes is not taken for the key inside.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let fits = self.expected.fits(key);
        self.note(|seen| {
            if fits {
                seen.accepted = Some(fingerprint(key));
            } else {
                seen.refused = Some(key.clone());
            }
        });
        Ok(fits)
    }

    async fn disconnected(&mut self, reason: client::DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                self.note(|seen| seen.ended = Some(format!("the host ended it: {}", info.message)));
                Ok(())
            }
            client::DisconnectReason::Error(error) => {
                self.note(|seen| seen.ended = Some(error.to_string()));
                Err(error)
            }
        }
    }
}
