//! Plain files over HTTP(S): binaries, packages, chart repositories.
//!
//! The same transport and the same rules as for blobs. A server that wants a user and password gets those
//! of its host: at once if the person gave them for it, from the files of docker and podman only after it
//! asked. A URL with a password in it is refused, because it would end up in a lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode, Url};

use super::auth::{Identity, unauthorized};
use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use super::error::SourceError;
use super::host::{authority, check_url, shown};
use super::outgoing::Outgoing;
use super::reply::Reply;
use super::retry::{Attempts, RetryHook, RetryPolicy};
use super::settings::ClientSettings;
use super::stream::{BlobStream, content_range, from_offset};
use super::transport::Transport;

/// Fetches files. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct FileClient(Arc<Inner>);

struct Inner {
    transport: Transport,
    credentials: Credentials,
    retries: RetryPolicy,
    hook: RetryHook,
    // Servers that have asked, by `scheme://host:port` and the repository whose login was used.
    known: Mutex<HashMap<(String, Option<String>), Identity>>,
}

impl FileClient {
    /// A client with `settings`; `hook` is told about each retry.
    pub fn new(settings: &ClientSettings, hook: RetryHook) -> Result<Self, SourceError> {
        Ok(Self::over(Transport::new(settings)?, settings, hook))
    }

    pub(super) fn over(transport: Transport, settings: &ClientSettings, hook: RetryHook) -> Self {
        Self(Arc::new(Inner {
            transport,
            credentials: settings.credentials.clone(),
            retries: settings.retries.clone(),
            hook,
            known: Mutex::default(),
        }))
    }

    /// The attempts of one transfer from the host of `url`, for callers that resume it.
    #[must_use]
    pub fn attempts(&self, url: &Url) -> Attempts {
        Attempts::new(self.0.retries.clone(), self.0.hook.clone(), &authority(url))
    }

    /// The size of the file in bytes, if the server tells. Asks with HEAD; where that is refused, as by
    /// signed URLs, for the first byte. Repeats itself.
    pub async fn head(&self, url: &Url) -> Result<Option<u64>, SourceError> {
        let mut attempts = self.attempts(url);
        loop {
            match self.head_once(url).await {
                Ok(size) => return Ok(size),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// The whole of a small file, at most `limit` bytes. Not verified. Repeats itself.
    pub async fn get(&self, url: &Url, limit: u64) -> Result<Bytes, SourceError> {
        let mut attempts = self.attempts(url);
        loop {
            match self.get_once(url, limit).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Opens the file from `offset`; `size` is what is known of its length. Look at
    /// [`BlobStream::starts_at`] before the first byte. Neither verified nor repeated: see
    /// [`RegistryClient::blob_stream`](super::RegistryClient::blob_stream).
    pub async fn stream(&self, url: &Url, size: Option<u64>, offset: u64) -> Result<BlobStream, SourceError> {
        if let Some(size) = size.filter(|&size| size == offset && size > 0) {
            check_url(url)?;
            return Ok(BlobStream::complete(shown(url), size));
        }
        let mut offset = if size.is_some_and(|size| offset > size) { 0 } else { offset };
        loop {
            let reply = self.call(url, || from_offset(Outgoing::new(Method::GET, url.clone()), offset)).await?;
            match reply.status() {
                StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => offset = 0,
                status if status.is_success() => return BlobStream::begin(reply, offset, size),
                _ => return Err(reply.into_failure().await),
            }
        }
    }

    async fn get_once(&self, url: &Url, limit: u64) -> Result<Bytes, SourceError> {
        let mut reply = self.call(url, || Outgoing::new(Method::GET, url.clone())).await?;
        if reply.status() != StatusCode::OK {
            return Err(reply.into_failure().await);
        }
        reply.bytes(limit).await
    }

    async fn head_once(&self, url: &Url) -> Result<Option<u64>, SourceError> {
        let reply = self.call(url, || Outgoing::new(Method::HEAD, url.clone())).await?;
        match (reply.status(), reply.length()) {
            (StatusCode::OK, Some(length)) => return Ok(Some(length)),
            (StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::TOO_MANY_REQUESTS, _) => {
                return Err(reply.into_failure().await);
            }
            (status, _) if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                return Err(reply.into_failure().await);
            }
            _ => {}
        }
        let first_byte = HeaderValue::from_static("bytes=0-0");
        let make = || Outgoing::new(Method::GET, url.clone()).header(RANGE, first_byte.clone());
        let reply = self.call(url, make).await?;
        match reply.status() {
            StatusCode::OK => Ok(reply.length()),
            StatusCode::PARTIAL_CONTENT => {
                Ok(reply.header(&CONTENT_RANGE).and_then(content_range).and_then(|(_, _, total)| total))
            }
            // An empty file has no first byte.
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(Some(0)),
            _ => Err(reply.into_failure().await),
        }
    }

    /// Sends what `make` gives for `url`, once more with user and password if that server asks for them.
    pub(super) async fn call(&self, url: &Url, make: impl Fn() -> Outgoing) -> Result<Reply, SourceError> {
        Ok(self.call_as(url, None, make).await?.0)
    }

    /// The same with the login that is kept for `repository` of that host, and who that was.
    pub(super) async fn call_as(
        &self,
        url: &Url,
        repository: Option<&str>,
        make: impl Fn() -> Outgoing,
    ) -> Result<(Reply, Option<String>), SourceError> {
        check_url(url)?;
        let host = authority(url);
        let tried = self.known(url, repository)?;
        let reply = self.0.transport.send(make().authorization(tried.header.clone())).await?;
        if reply.status() != StatusCode::UNAUTHORIZED {
            return Ok((reply, tried.user));
        }
        // A redirect may have led elsewhere: that server's question is not for us to answer.
        if reply.url().origin() != url.origin() {
            return Err(reply.redirect_wants(url));
        }
        // Harbor's API says 401 without a challenge. These credentials belong to this very host: it may see them.
        let challenges = reply.headers(&WWW_AUTHENTICATE);
        let asks = challenges.is_empty() || Challenge::best_of(&challenges) == Some(Challenge::Basic);
        if tried.header.is_some() || !asks {
            return Err(unauthorized(reply, &host, tried.user).await);
        }
        let Some(credential) = self.0.credentials.find(&host, repository).await? else {
            return Err(unauthorized(reply, &host, None).await);
        };
        let identity = Identity::basic(&host, &credential)?;
        let reply = self.0.transport.send(make().authorization(identity.header.clone())).await?;
        if reply.status() == StatusCode::UNAUTHORIZED {
            return Err(unauthorized(reply, &host, identity.user).await);
        }
        let user = identity.user.clone();
        let key = (url.origin().ascii_serialization(), repository.map(str::to_owned));
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, identity);
        Ok((reply, user))
    }

    /// Who we are at a server that has asked before, or that the person gave a password for: some answer 404
    /// to strangers and never ask.
    fn known(&self, url: &Url, repository: Option<&str>) -> Result<Identity, SourceError> {
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.get(&(url.origin().ascii_serialization(), repository.map(str::to_owned))) {
            return Ok(identity.clone());
        }
        let host = authority(url);
        match self.0.credentials.given(&host) {
            Some(credential @ Credential::Password { .. }) => Identity::basic(&host, credential),
            _ => Ok(Identity::default()),
        }
    }
}
