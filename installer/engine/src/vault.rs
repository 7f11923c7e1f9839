//! The cluster's keys and passwords, in one age file beside the site file. Plain only in memory.
//!
//! ```text
//! <cluster>.ferry/vault.age    a JSON object of names and texts, sealed by a passphrase or for an age identity
//! ```
//! Written whole, by rename. A name is never given another value unless it is asked for: what hosts hold must stay known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::sign::secret::{passphrase_identity, passphrase_recipient};
use ferry_bundle_format::store::write_atomically;
use zeroize::Zeroizing;

use crate::action::Content;
use crate::host::{Redactor, Secret};

/// What the names of whole files begin with that were rendered for a host: `rendered/HOST/path`.
pub(crate) const RENDERED: &str = "rendered/";

/// The largest vault that is read, in bytes.
const LIMIT: u64 = 64 << 20;

/// What seals and opens a vault.
#[derive(Debug, Clone)]
pub enum VaultKey {
    /// A passphrase.
    Passphrase(Secret),
    /// The content of an age identity file.
    Identity(Secret),
}

/// Why a vault can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The file can't be read or written.
    #[error("can't use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The passphrase or identity does not open it.
    #[error("{path} can't be opened with this passphrase or identity")]
    Open {
        /// The file.
        path: PathBuf,
        /// What age says.
        #[source]
        source: age::DecryptError,
    },
    /// It opened, but what it holds is no vault.
    #[error("{0} opens, but holds no vault of ferry's")]
    Content(PathBuf),
    /// No identity in the identity file.
    #[error("the vault's identity file holds no AGE-SECRET-KEY")]
    Identity,
    /// A key or certificate can't be made.
    #[error("can't make {0}")]
    Make(String),
}

impl VaultError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open { path, .. } => {
                let written = std::fs::metadata(path).and_then(|file| file.modified()).ok();
                let seconds = written.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
                let date = seconds.and_then(|time| i64::try_from(time.as_secs()).ok()).map(Timestamp::from_unix);
                let date = date.map(|date| format!("; the file was last written at {date}")).unwrap_or_default();
                format!(
                    "it is not the one that sealed this vault: `vault:` in the site file says where it is taken from{date}"
                )
            }
            Self::Content(_) => "restore the file from a copy of the state folder".to_owned(),
            Self::Identity => "`vault.identity` in the site file names a file that `age-keygen` made".to_owned(),
            Self::File { .. } | Self::Make(_) => return None,
        })
    }
}

/// An open vault.
pub struct Vault {
    path: PathBuf,
    key: VaultKey,
    entries: BTreeMap<String, Zeroizing<String>>,
    /// Whether the file holds just these.
    is_saved: AtomicBool,
}

impl Vault {
    /// Opens the vault at `path`, or begins an empty one if there is none.
    pub fn open(path: &Path, key: VaultKey) -> Result<Self, VaultError> {
        let file = |source| VaultError::File { path: path.to_owned(), source };
        let (entries, is_saved) = match std::fs::read(path) {
            Ok(sealed) => (decrypt(path, &sealed, &key)?, true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (BTreeMap::new(), false),
            Err(error) => return Err(file(error)),
        };
        Ok(Self { path: path.to_owned(), key, entries, is_saved: AtomicBool::new(is_saved) })
    }

    /// The text of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Secret> {
        self.entries.get(name).map(|text| Secret::new(text.as_str()))
    }

    /// Whether there is one.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The names of all that it holds, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Puts a text in. [`Vault::save`] makes it last.
    pub fn put(&mut self, name: &str, text: impl Into<String>) {
        let text = Zeroizing::new(text.into());
        if self.entries.get(name) != Some(&text) {
            self.entries.insert(name.to_owned(), text);
            *self.is_saved.get_mut() = false;
        }
    }

    /// Takes out everything of which the name is one of these. [`Vault::save`] makes it last.
    pub fn forget(&mut self, is_one: impl Fn(&str) -> bool) {
        let before = self.entries.len();
        self.entries.retain(|name, _| !is_one(name));
        if self.entries.len() != before {
            *self.is_saved.get_mut() = false;
        }
    }

    /// Takes out the files that were rendered for hosts that are not among these: they left, and nothing asks for their
    /// files again. A host that comes back gets new ones.
    pub fn forget_rendered_but<'a>(&mut self, hosts: impl Iterator<Item = &'a str>) {
        let kept: BTreeSet<String> = hosts.map(|host| format!("{RENDERED}{host}/")).collect();
        self.forget(|name| name.starts_with(RENDERED) && !kept.iter().any(|begin| name.starts_with(begin)));
    }

    /// The content of a file that comes from the vault.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Content> {
        let text = self.entries.get(name)?;
        let digest = Digest::of(text.as_bytes());
        Some(Content::Vault { name: name.to_owned(), digest, size: text.len() as u64 })
    }

    /// Teaches the redactor everything that is not meant for everybody: all but certificates and public keys. Whole files that
    /// hold secrets are left out: the secrets in them have entries of their own, and their other lines are innocent.
    pub fn teach(&self, redactor: &Redactor) {
        for (name, text) in &self.entries {
            let public = [".crt", ".pub"].iter().any(|end| name.ends_with(end));
            if !public && !name.starts_with(RENDERED) {
                redactor.learn(&Secret::new(text.as_str()));
            }
        }
    }

    /// Writes it, sealed; nothing if the file holds it already: to seal it by a passphrase takes a second.
    pub fn save(&self) -> Result<(), VaultError> {
        if self.is_saved.load(Ordering::SeqCst) {
            return Ok(());
        }
        let file = |source| VaultError::File { path: self.path.clone(), source };
        let plain: BTreeMap<&str, &str> =
            self.entries.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let plain = Zeroizing::new(serde_json::to_vec(&plain).map_err(|_| VaultError::Content(self.path.clone()))?);
        let encryptor = match &self.key {
            VaultKey::Passphrase(text) => {
                let recipient = passphrase_recipient(text.expose());
                age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                    .map_err(|error| file(std::io::Error::other(error.to_string())))?
            }
            VaultKey::Identity(text) => {
                let recipient = identity(text)?.to_public();
                age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                    .map_err(|_| VaultError::Identity)?
            }
        };
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).map_err(file)?;
        writer.write_all(&plain).map_err(file)?;
        writer.finish().map_err(file)?;
        write_atomically(&self.path, &sealed).map_err(file)?;
        self.is_saved.store(true, Ordering::SeqCst);
        Ok(())
    }
}

fn identity(text: &Secret) -> Result<age::x25519::Identity, VaultError> {
    let line = text.expose().lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-"));
    line.and_then(|line| age::x25519::Identity::from_str(line).ok()).ok_or(VaultError::Identity)
}

fn decrypt(path: &Path, sealed: &[u8], key: &VaultKey) -> Result<BTreeMap<String, Zeroizing<String>>, VaultError> {
    let open = |source| VaultError::Open { path: path.to_owned(), source };
    let decryptor = age::Decryptor::new(sealed).map_err(open)?;
    let identity: Box<dyn age::Identity> = match key {
        VaultKey::Passphrase(text) => Box::new(passphrase_identity(text.expose())),
        VaultKey::Identity(text) => Box::new(identity(text)?),
    };
    let reader = decryptor.decrypt(std::iter::once(&*identity)).map_err(open)?;
    let mut plain = Zeroizing::new(Vec::new());
    let content = || VaultError::Content(path.to_owned());
    reader.take(LIMIT).read_to_end(&mut plain).map_err(|_| content())?;
    let entries: BTreeMap<String, String> = serde_json::from_slice(&plain).map_err(|_| content())?;
    Ok(entries.into_iter().map(|(name, text)| (name, Zeroizing::new(text))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_comes_back_only_with_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let identity = ferry_bundle_format::sign::secret::generate_identity().0;
        let key = VaultKey::Identity(Secret::new(identity.as_str()));
        let mut vault = Vault::open(&path, key.clone()).unwrap();
        vault.put("registry/push.password", "tr0ub4dor&3");
        vault.put("pki/ca.crt", "PUBLIC CERTIFICATE");
        vault.put("rendered/one/etc/config.yml", "auth: tr0ub4dor&3");
        vault.save().unwrap();
        assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("tr0ub"));
        let again = Vault::open(&path, key).unwrap();
        assert_eq!(again.get("registry/push.password").unwrap().expose(), "tr0ub4dor&3");
        let redactor = Redactor::default();
        again.teach(&redactor);
        assert_eq!(redactor.redact("auth: x tr0ub4dor&3 PUBLIC CERTIFICATE"), "auth: x «secret» PUBLIC CERTIFICATE");
        let other = ferry_bundle_format::sign::secret::generate_identity().0;
        let wrong = Vault::open(&path, VaultKey::Identity(Secret::new(other.as_str())));
        let wrong = wrong.map(|_| ()).unwrap_err();
        assert!(matches!(wrong, VaultError::Open { .. }));
        let hint = wrong.hint().unwrap();
        assert!(hint.contains("`vault:` in the site file") && hint.contains("last written at 20"), "{hint}");
    }

    #[test]
    fn rendered_files_of_hosts_that_left_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let identity = ferry_bundle_format::sign::secret::generate_identity().0;
        let key = VaultKey::Identity(Secret::new(identity.as_str()));
        let path = folder.path().join("vault.age");
        let mut vault = Vault::open(&path, key.clone()).unwrap();
        for name in ["etcd/two/server.key", "rendered/one/etc/a", "rendered/one-b/etc/a", "rendered/two/etc/a", "z"] {
            vault.put(name, "text");
        }
        vault.save().unwrap();
        vault.forget_rendered_but(["one"].into_iter());
        // Nothing reaches the disk before it is saved.
        assert!(Vault::open(&path, key.clone()).unwrap().holds("rendered/two/etc/a"));
        vault.save().unwrap();
        let left: Vec<String> = Vault::open(&path, key).unwrap().names().map(str::to_owned).collect();
        assert_eq!(left, ["etcd/two/server.key", "rendered/one/etc/a", "z"]);
    }

    /// age would seal with as much work as the machine can do in a second at the moment, and open no more than sixteen times
    /// that: what an idle machine seals, a busy one would take for a wrong passphrase.
    #[test]
    fn a_passphrase_costs_the_same_work_however_busy_the_machine_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let key = VaultKey::Passphrase(Secret::new("correct horse"));
        let mut vault = Vault::open(&path, key.clone()).unwrap();
        vault.put("a", "b");
        vault.save().unwrap();
        let sealed = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&sealed);
        let line = text.lines().find(|line| line.starts_with("-> scrypt ")).unwrap();
        assert!(line.ends_with(&format!(" {}", ferry_bundle_format::sign::secret::WORK)), "{line}");
        assert_eq!(Vault::open(&path, key).unwrap().get("a").unwrap().expose(), "b");
        // As a faster machine's version of ferry may have sealed it.
        let mut harder = passphrase_recipient("correct horse");
        harder.set_work_factor(19);
        let encryptor = age::Encryptor::with_recipients(std::iter::once(&harder as &dyn age::Recipient)).unwrap();
        let mut sealed = Vec::new();
        let mut writer = encryptor.wrap_output(&mut sealed).unwrap();
        writer.write_all(b"{\"a\":\"c\"}").unwrap();
        writer.finish().unwrap();
        std::fs::write(&path, sealed).unwrap();
        let key = VaultKey::Passphrase(Secret::new("correct horse"));
        assert_eq!(Vault::open(&path, key).unwrap().get("a").unwrap().expose(), "c");
    }
}
