//! Blobs on their way in.

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use reqwest::{Method, StatusCode, Url};

use super::{RegistryClient, Repository};
use crate::source::auth::Scope;
use crate::source::error::SourceError;
use crate::source::host::shown;
use crate::source::outgoing::Outgoing;
use crate::source::stream::{BlobStream, from_offset};

impl RegistryClient {
    /// Opens the blob `digest` of `size` bytes from `offset`; look at [`BlobStream::starts_at`] before the first
    /// byte. An offset beyond the size starts again at 0.
    ///
    /// The bytes are **not verified**: hash all of the content while writing it to a temporary place, and
    /// compare before using it. This does not repeat itself either: the caller knows how much it has, see
    /// [`RegistryClient::attempts`].
    pub async fn blob_stream(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<BlobStream, SourceError> {
        let url = self.url(repository, &format!("blobs/{digest}"))?;
        if offset == size && size > 0 {
            return Ok(BlobStream::complete(shown(&url), size));
        }
        let mut offset = if offset > size { 0 } else { offset };
        let scope = Scope::pull(repository.name());
        loop {
            let make = || from_offset(Outgoing::new(Method::GET, url.clone()), offset);
            let reply = self.call(repository.registry(), &scope, make).await?;
            match reply.status() {
                StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => offset = 0,
                status if status.is_success() => return BlobStream::begin(reply, offset, Some(size)),
                _ => return Err(reply.into_failure().await),
            }
        }
    }

    /// Fetches the small blob `digest` (an image config, a chart's values) of `size` bytes, verified. Repeats
    /// itself. The size bounds the memory: check it before.
    pub async fn small_blob(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes, SourceError> {
        let mut attempts = self.attempts(repository.registry());
        loop {
            match self.small_blob_once(repository, digest, size).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn small_blob_once(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<Bytes, SourceError> {
        let mut stream = self.blob_stream(repository, digest, size, 0).await?;
        let mut body = Vec::new();
        while let Some(bytes) = stream.chunk().await? {
            body.extend_from_slice(&bytes);
        }
        let actual = Digest::of(&body);
        if actual != *digest {
            let url = shown(&self.url(repository, &format!("blobs/{digest}"))?);
            return Err(SourceError::Digest { url, expected: *digest, actual });
        }
        Ok(body.into())
    }

    /// Whether the repository has the blob. A blob that is there with another size is an error: the registry's
    /// store is damaged, and it would not take the blob again. Repeats itself.
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest, size: u64) -> Result<bool, SourceError> {
        let mut attempts = self.attempts(repository.registry());
        loop {
            match self.has_blob_once(repository, digest, size, &Scope::pull(repository.name())).await {
                Ok(has) => return Ok(has),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    pub(super) async fn has_blob_once(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        scope: &Scope,
    ) -> Result<bool, SourceError> {
        let url = self.url(repository, &format!("blobs/{digest}"))?;
        // A redirect to the store says enough, and its signature is often for GET alone.
        let make = || Outgoing::new(Method::HEAD, url.clone()).unfollowed();
        let reply = self.call(repository.registry(), scope, make).await?;
        match reply.status() {
            StatusCode::OK => match reply.length() {
                // Some registries and proxies write 0 here whatever the blob is; others have lost its content.
                Some(0) if size > 0 => self.shows_blob(repository, &url, size, scope).await,
                Some(actual) if actual != size => Err(SourceError::Size { url: shown(&url), expected: size, actual }),
                _ => Ok(true),
            },
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                self.shows_blob(repository, &url, size, scope).await
            }
            status if status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(reply.into_failure().await),
        }
    }

    /// Whether a GET would give the blob with its size, for registries whose HEAD says nothing. The content is
    /// not read. In doubt it is not there: then it is sent again, and its digest decides.
    async fn shows_blob(
        &self,
        repository: &Repository,
        url: &Url,
        size: u64,
        scope: &Scope,
    ) -> Result<bool, SourceError> {
        let make = || Outgoing::new(Method::GET, url.clone()).unfollowed();
        let reply = self.call(repository.registry(), scope, make).await?;
        Ok(match reply.status() {
            StatusCode::OK => reply.length().is_none_or(|length| length == size),
            status => status.is_redirection(),
        })
    }
}
