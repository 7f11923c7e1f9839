//! Who we are at which host: from flags, then podman's auth file, then docker's config and its helpers.
//!
//! Asked only when a server wants to know, and never for another host than that one. A file that is there
//! but broken is an error, not "nobody": to go on anonymously would end in a 404 that nobody
//! understands. Podman's keys may be `registry/namespace`; the longest that fits wins. Docker Hub is
//! `https://index.docker.io/v1/` in these files.

mod file;

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use file::AuthFile;

use super::error::SourceError;
use super::host::normalized;
use super::secret::Secret;

/// What proves who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user and a password or access token.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// An OAuth refresh token, as `docker login` keeps for some registries.
    IdentityToken(Secret),
}

impl Credential {
    /// The user as shown in messages.
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } => user,
            Self::IdentityToken(_) => "the identity token",
        }
    }
}

/// The credentials of all hosts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Credentials {
    given: BTreeMap<String, Credential>,
    files: Vec<AuthFile>,
    // A helper may ask the person or a remote vault: each key is looked up once.
    found: Arc<Mutex<Found>>,
}

/// What was found by file and key.
type Found = HashMap<(PathBuf, String), Option<Credential>>;

impl Credentials {
    /// No credentials at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of this machine's files: `$REGISTRY_AUTH_FILE` (which must exist), or podman's
    /// `$XDG_RUNTIME_DIR/containers/auth.json` and `~/.config/containers/auth.json`; then docker's
    /// `config.json` in `$DOCKER_CONFIG` or `~/.docker`.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { files: AuthFile::of_environment(|name| env::var_os(name).filter(|v| !v.is_empty())), ..Self::default() }
    }

    /// Adds a user and password for `host` (`host[:port]`); these win over all files.
    #[must_use]
    pub fn with_password(self, host: &str, user: &str, password: Secret) -> Self {
        self.with(host, Credential::Password { user: user.to_owned(), password })
    }

    /// Adds a credential for `host` (`host[:port]`); it wins over all files.
    #[must_use]
    pub fn with(mut self, host: &str, credential: Credential) -> Self {
        self.given.insert(normalized(host), credential);
        self
    }

    /// Adds a file in the format of docker and podman, to be asked after those already there.
    #[must_use]
    pub fn with_file(mut self, path: PathBuf) -> Self {
        self.files.push(AuthFile { path, required: true });
        self
    }

    /// The credential given for `host` itself, without a look into files.
    pub(super) fn given(&self, host: &str) -> Option<&Credential> {
        self.given.get(&normalized(host))
    }

    /// The credential for `repository` at `host`, or for `host` as such. May run a helper, which blocks: it
    /// runs on a thread of its own.
    pub(super) async fn find(&self, host: &str, repository: Option<&str>) -> Result<Option<Credential>, SourceError> {
        let host = normalized(host);
        if let Some(credential) = self.given(&host) {
            return Ok(Some(credential.clone()));
        }
        if self.files.is_empty() {
            return Ok(None);
        }
        let (this, repository) = (self.clone(), repository.map(str::to_owned));
        tokio::task::spawn_blocking(move || this.find_in_files(&host, repository.as_deref())).await.map_err(|e| {
            SourceError::Setting { setting: "the credential lookup", why: format!("its thread failed: {e}") }
        })?
    }

    fn find_in_files(&self, host: &str, repository: Option<&str>) -> Result<Option<Credential>, SourceError> {
        for file in &self.files {
            let Some(opened) = file.open(host)? else { continue };
            let key = opened.key(host, repository);
            let slot = (file.path.clone(), key.clone());
            let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(&slot).cloned();
            let credential = match known {
                Some(credential) => credential,
                None => opened.credential(host, &key)?,
            };
            self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(slot, credential.clone());
            if credential.is_some() {
                return Ok(credential);
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("given", &self.given).field("files", &self.files).finish_non_exhaustive()
    }
}
