//! The client of the OCI distribution API.
//!
//! ```text
//!  manifest.rs   GET, HEAD, PUT manifests        bytes ≤ MAX_DOCUMENT, hashed, compared
//!  blob.rs       HEAD, GET blobs                 resumable; or small, verified and repeated
//!  list.rs       tags, catalog, referrers        pages bounded, on one server
//!  upload.rs     mount, POST, PATCH, PUT         resumed where the registry can
//! ```
//! Small requests repeat themselves, as [`RetryPolicy`] says. A 401 is answered once with a new token.

mod blob;
mod list;
mod manifest;
mod upload;

use std::fmt;
use std::sync::Arc;

use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::reference::{Reference, is_repository};
use reqwest::header::HeaderName;
use reqwest::{StatusCode, Url};

use super::auth::{Authenticator, Scope, unauthorized};
use super::error::SourceError;
use super::files::FileClient;
use super::host::normalized;
use super::mirror::Mirrors;
use super::outgoing::Outgoing;
use super::reply::Reply;
use super::retry::{Attempts, RetryHook, RetryPolicy};
use super::settings::ClientSettings;
use super::transport::Transport;

pub use manifest::{Head, ServedDocument};
pub use upload::{Mount, Upload};

/// The header in which registries say what they served or stored.
const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A repository in a registry: `registry/name`, without tag and digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: String,
    name: String,
}

impl Repository {
    /// A repository by registry (`host[:port]`) and name; the name must follow the distribution grammar.
    pub fn new(registry: &str, name: &str) -> Result<Self, SourceError> {
        if !is_repository(name) {
            return Err(SourceError::Repository { text: format!("{registry}/{name}").chars().take(200).collect() });
        }
        Ok(Self { registry: normalized(registry), name: name.to_owned() })
    }

    /// The registry's `host[:port]`; Docker Hub is `docker.io`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path inside the registry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl From<&Reference> for Repository {
    fn from(reference: &Reference) -> Self {
        Self { registry: normalized(reference.registry()), name: reference.repository().to_owned() }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

/// Speaks to registries. Cheap to clone; clones share connections, tokens and credentials.
#[derive(Clone)]
pub struct RegistryClient(Arc<Inner>);

struct Inner {
    transport: Transport,
    auth: Authenticator,
    files: FileClient,
    mirrors: Mirrors,
    retries: RetryPolicy,
    hook: RetryHook,
    idle: std::time::Duration,
}

impl RegistryClient {
    /// A client with `settings`; `hook` is told about each retry. Fails on settings that cannot be used
    /// (a bad CA file, a bad proxy URL), never falls back to others.
    pub fn new(settings: &ClientSettings, hook: RetryHook) -> Result<Self, SourceError> {
        let transport = Transport::new(settings)?;
        Ok(Self(Arc::new(Inner {
            auth: Authenticator::new(settings, transport.clone()),
            files: FileClient::over(transport.clone(), settings, hook.clone()),
            transport,
            mirrors: settings.mirrors.clone(),
            retries: settings.retries.clone(),
            hook,
            idle: settings.idle_timeout,
        })))
    }

    /// The client of plain files, over the same connections.
    #[must_use]
    pub fn files(&self) -> FileClient {
        self.0.files.clone()
    }

    /// Where to ask first. The client itself asks only the registry it is given: which answer counts is
    /// the caller's decision.
    #[must_use]
    pub fn mirrors(&self) -> &Mirrors {
        &self.0.mirrors
    }

    /// Gets one token for pushing to all of `repositories` of `registry`, as far as the registry wants tokens and
    /// gives such ones; later requests use it. Called again, it forgets the last one: rights may have changed.
    pub async fn share_tokens(&self, registry: &str, repositories: &[&str]) -> Result<(), SourceError> {
        let base = self.base(registry)?;
        let mut attempts = self.attempts(registry);
        loop {
            match self.0.auth.share(registry, &base, repositories).await {
                Ok(()) => return Ok(()),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// The attempts of one piece of work at `registry`, for callers that resume transfers themselves.
    #[must_use]
    pub fn attempts(&self, registry: &str) -> Attempts {
        Attempts::new(self.0.retries.clone(), self.0.hook.clone(), registry)
    }

    /// Where the API of `registry` is.
    pub(super) fn base(&self, registry: &str) -> Result<Url, SourceError> {
        let scheme = if self.0.transport.plain_http().lists(registry) { "http" } else { "https" };
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        super::host::parse_url(&format!("{scheme}://{host}/"))
    }

    /// `/v2/{name}/{rest}` of the repository's registry.
    fn url(&self, repository: &Repository, rest: &str) -> Result<Url, SourceError> {
        let path = format!("/v2/{}/{rest}", repository.name());
        let base = self.base(repository.registry())?;
        base.join(&path).map_err(|_| SourceError::Repository { text: repository.to_string() })
    }

    /// Sends what `make` gives, as whoever we are at `registry`; once more with a new token if it says 401.
    async fn call(&self, registry: &str, scope: &Scope, make: impl Fn() -> Outgoing) -> Result<Reply, SourceError> {
        let base = self.base(registry)?;
        let mut first = true;
        loop {
            let identity = self.0.auth.identity(registry, &base, scope).await?;
            let reply = self.0.transport.send(make().authorization(identity.header.clone())).await?;
            if reply.status() != StatusCode::UNAUTHORIZED {
                return Ok(reply);
            }
            if reply.url().origin() != base.origin() {
                return Err(reply.redirect_wants(&base));
            }
            if !first || !self.0.auth.refused(registry, scope, &identity, &reply).await {
                return Err(unauthorized(reply, registry, identity.user).await);
            }
            first = false;
        }
    }

    /// `Docker-Content-Digest`, where it is one we can compare.
    fn announced(reply: &Reply) -> Option<Digest> {
        Digest::parse(reply.header(&DOCKER_CONTENT_DIGEST)?.trim()).ok()
    }
}
