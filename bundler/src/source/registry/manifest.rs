//! Manifests and indexes: their exact bytes, checked against every digest that is known for them.

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::{Document, MAX_DOCUMENT, OciError, media_type};
use ferry_bundle_format::reference::Reference;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};

use super::{RegistryClient, Repository};
use crate::source::auth::Scope;
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::host::shown;
use crate::source::outgoing::Outgoing;
use crate::source::payload::Payload;
use crate::source::reply::Reply;

/// A manifest or index as it was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedDocument {
    /// Its bytes, to be kept verbatim.
    pub bytes: Bytes,
    /// The `Content-Type` without parameters; none if there is none or it says nothing (`application/json`).
    pub served_as: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

impl ServedDocument {
    /// Parses the bytes as what they were served as.
    pub fn parse(&self) -> Result<Document, OciError> {
        Document::parse(&self.bytes, self.served_as.as_deref())
    }
}

/// What a registry says about a manifest without sending it. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type; none if the registry says nothing useful.
    pub media_type: Option<String>,
}

impl RegistryClient {
    /// Fetches the manifest or index of `reference`, by its digest if it has one. The digest of the bytes is
    /// compared with that, and with what the registry announces. Repeats itself.
    pub async fn manifest(&self, reference: &Reference) -> Result<ServedDocument, SourceError> {
        let repository = Repository::from(reference);
        let url = self.url(&repository, &format!("manifests/{}", reference.selector()))?;
        let mut attempts = self.attempts(repository.registry());
        loop {
            match self.manifest_once(&repository, &url, reference.digest()).await {
                Ok(document) => return Ok(document),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Asks what `reference` is, without fetching it; `None` if the registry has no such manifest. Costs
    /// nothing of Docker Hub's pull limit. Repeats itself.
    pub async fn head(&self, reference: &Reference) -> Result<Option<Head>, SourceError> {
        let repository = Repository::from(reference);
        let url = self.url(&repository, &format!("manifests/{}", reference.selector()))?;
        let mut attempts = self.attempts(repository.registry());
        loop {
            match self.head_once(&repository, &url, reference.digest()).await {
                Ok(head) => return Ok(head),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// Stores `bytes` as the manifest of `reference`, under its tag if it has one, else under its digest.
    /// A digest in the reference must be that of the bytes. Gives their digest. Repeats itself.
    pub async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, SourceError> {
        let digest = Digest::of(&bytes);
        if let Some(&expected) = reference.digest().filter(|&&expected| expected != digest) {
            return Err(SourceError::ContentChanged { expected, why: format!("it is {digest}") });
        }
        let media_type = HeaderValue::from_str(media_type).map_err(|_| SourceError::Setting {
            setting: "the media type",
            why: format!("{media_type:?} is no header value"),
        })?;
        let repository = Repository::from(reference);
        let selector = reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let url = self.url(&repository, &format!("manifests/{selector}"))?;
        let mut attempts = self.attempts(repository.registry());
        loop {
            match self.put_once(&repository, &url, &media_type, &bytes, digest).await {
                Ok(()) => return Ok(digest),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    pub(super) async fn manifest_once(
        &self,
        repository: &Repository,
        url: &Url,
        expected: Option<&Digest>,
    ) -> Result<ServedDocument, SourceError> {
        let mut reply = self.ask_manifest(Method::GET, repository, url).await?;
        if reply.status() != StatusCode::OK {
            return Err(reply.into_failure().await);
        }
        let bytes = reply.bytes(MAX_DOCUMENT).await?;
        let digest = Digest::of(&bytes);
        for &wanted in expected.into_iter().chain(&Self::announced(&reply)) {
            same(url, wanted, digest)?;
        }
        Ok(ServedDocument { bytes, served_as: telling_type(&reply), digest })
    }

    async fn head_once(
        &self,
        repository: &Repository,
        url: &Url,
        expected: Option<&Digest>,
    ) -> Result<Option<Head>, SourceError> {
        let reply = self.ask_manifest(Method::HEAD, repository, url).await?;
        match reply.status() {
            StatusCode::NOT_FOUND => return Ok(None),
            // Where HEAD is not served, the document itself is.
            StatusCode::OK | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {}
            _ => return Err(reply.into_failure().await),
        }
        let length = reply.length().filter(|&length| length > 0 && reply.status() == StatusCode::OK);
        if let (Some(digest), Some(size)) = (Self::announced(&reply), length) {
            if let Some(&expected) = expected {
                same(url, expected, digest)?;
            }
            return Ok(Some(Head { digest, size, media_type: telling_type(&reply) }));
        }
        // The headers are optional; the document itself is not.
        let document = match self.manifest_once(repository, url, expected).await {
            Err(error) if error.kind() == SourceErrorKind::NotFound => return Ok(None),
            answer => answer?,
        };
        let size = document.bytes.len() as u64;
        Ok(Some(Head { digest: document.digest, size, media_type: document.served_as }))
    }

    async fn put_once(
        &self,
        repository: &Repository,
        url: &Url,
        media_type: &HeaderValue,
        bytes: &Bytes,
        digest: Digest,
    ) -> Result<(), SourceError> {
        let make = || {
            Outgoing::new(Method::PUT, url.clone())
                .header(CONTENT_TYPE, media_type.clone())
                .payload(Payload::Bytes(bytes.clone()))
        };
        let reply = self.call(repository.registry(), &Scope::push(repository.name()), make).await?;
        if !reply.status().is_success() {
            return Err(reply.into_failure().await);
        }
        Self::announced(&reply).map_or(Ok(()), |stored| same(url, digest, stored))
    }

    async fn ask_manifest(&self, method: Method, repository: &Repository, url: &Url) -> Result<Reply, SourceError> {
        let accept = HeaderValue::from_str(&media_type::ACCEPT.join(", ")).ok();
        let make = || {
            let request = Outgoing::new(method.clone(), url.clone());
            accept.iter().fold(request, |request, accept| request.header(ACCEPT, accept.clone()))
        };
        self.call(repository.registry(), &Scope::pull(repository.name()), make).await
    }
}

fn same(url: &Url, expected: Digest, actual: Digest) -> Result<(), SourceError> {
    if expected == actual { Ok(()) } else { Err(SourceError::Digest { url: shown(url), expected, actual }) }
}

/// The `Content-Type`, where it says more than "bytes", "text" or "JSON".
pub(super) fn telling_type(reply: &Reply) -> Option<String> {
    let text = reply.header(&CONTENT_TYPE)?.split(';').next()?.trim().to_ascii_lowercase();
    let vague = ["", "application/json", "application/octet-stream", "text/plain", "binary/octet-stream"];
    (!vague.contains(&text.as_str())).then_some(text)
}
