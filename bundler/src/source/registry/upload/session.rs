//! One upload at the registry: opened, asked how far it is, fed, ended. Each of these is one request.

use std::time::Duration;

use bytes::Bytes;
use ferry_bundle_format::digest::Digest;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use tokio::io::AsyncReadExt;

use super::super::{RegistryClient, Repository};
use super::{SMALL, Trouble, Upload};
use crate::source::auth::{Scope, unauthorized};
use crate::source::error::SourceError;
use crate::source::host::{authority, shown};
use crate::source::outgoing::Outgoing;
use crate::source::payload::{BlobSource, Outflow, Payload};
use crate::source::reply::Reply;
use crate::source::retry::Retry;

/// How fast a registry is expected to hash and move a finished upload, in bytes a second. Slow on purpose:
/// some copy it within an object store before they answer.
const COMMIT_SPEED: u64 = 10 * 1000 * 1000;

impl RegistryClient {
    pub(super) async fn open_once(&self, to: &Repository) -> Result<Upload, SourceError> {
        let url = self.url(to, "blobs/uploads/")?;
        let make = || Outgoing::new(Method::POST, url.clone());
        let reply = self.call(to.registry(), &Scope::push(to.name()), make).await?;
        if reply.status() != StatusCode::ACCEPTED {
            return Err(reply.into_failure().await);
        }
        let location = self.location(to, &reply)?.ok_or_else(|| reply.protocol("202 without Location"))?;
        Ok(Upload { location, sent: 0, fresh: true })
    }

    /// Asks how far `open` got; none if a new upload has to be opened.
    pub(super) async fn resume(&self, to: &Repository, open: Upload, size: u64) -> Result<Option<Upload>, SourceError> {
        let make = || Outgoing::new(Method::GET, open.location.clone());
        let reply = self.call(to.registry(), &Scope::push(to.name()), make).await?;
        if !reply.status().is_success() {
            return match reply.into_failure().await {
                error if error.retry() == Retry::Never => Ok(None),
                error => Err(error),
            };
        }
        let Some(sent) = reply.header(&RANGE).and_then(received).filter(|&sent| size > SMALL && sent <= size) else {
            return Ok(None);
        };
        let location = self.location(to, &reply)?.unwrap_or(open.location);
        Ok(Some(Upload { location, sent, fresh: false }))
    }

    /// Streams everything from `open.sent` on in one PATCH, and takes over how far the registry says it is.
    pub(super) async fn send_rest(
        &self,
        to: &Repository,
        size: u64,
        content: &dyn BlobSource,
        open: &mut Upload,
    ) -> Result<(), Trouble> {
        let from = open.sent;
        let reader = content.open(from).await.map_err(|source| content_error(&open.location, source))?;
        let mut request = Outgoing::new(Method::PATCH, open.location.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .payload(Payload::Stream(Outflow::new(reader, size - from)))
            .patience(self.patience(size - from));
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("{from}-{}", size - 1))
        {
            request = request.header(CONTENT_RANGE, range);
        }
        let reply = self.send_once(to, request).await?;
        if !reply.status().is_success() {
            return Err(stale_or_failed(open, reply).await);
        }
        if let Some(location) = self.location(to, &reply)? {
            open.location = location;
        }
        let said = reply.header(&RANGE).and_then(received);
        if let Some(said) = said.filter(|&said| said > from && said <= size) {
            open.sent = said;
        } else {
            // Registries count wrongly here: one too many, or `0-0` whatever they have. All of it was taken with a
            // success, and the digest in the PUT decides. If that fails, a new upload is tried.
            open.fresh = open.fresh && said.is_none();
            open.sent = size;
        }
        Ok(())
    }

    /// Ends the upload: `PUT location?digest=…`, with the content if it is small.
    pub(super) async fn commit(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        open: &mut Upload,
        payload: Payload,
    ) -> Result<(), Trouble> {
        let mut url = open.location.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let request = Outgoing::new(Method::PUT, url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .payload(payload)
            .patience(self.patience(size));
        let reply = self.send_once(to, request).await?;
        if !reply.status().is_success() {
            return Err(stale_or_failed(open, reply).await);
        }
        match Self::announced(&reply) {
            Some(actual) if actual != *digest => {
                Err(SourceError::Digest { url: shown(reply.url()), expected: *digest, actual }.into())
            }
            _ => Ok(()),
        }
    }

    /// Sends a request that cannot simply be made again, with a token that is as new as it gets.
    async fn send_once(&self, to: &Repository, request: Outgoing) -> Result<Reply, Trouble> {
        let base = self.base(to.registry())?;
        let scope = Scope::push(to.name());
        let identity = self.0.auth.identity(to.registry(), &base, &scope).await?;
        let reply = self.0.transport.send(request.authorization(identity.header.clone())).await?;
        if reply.status() != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        if self.0.auth.refused(to.registry(), &scope, &identity, &reply).await {
            return Err(Trouble::OldToken);
        }
        Err(unauthorized(reply, to.registry(), identity.user).await.into())
    }

    /// The upload's `Location`, which must be on the registry itself: our credentials go there.
    pub(super) fn location(&self, to: &Repository, reply: &Reply) -> Result<Option<Url>, SourceError> {
        let Some(text) = reply.header(&LOCATION) else { return Ok(None) };
        let location = reply.url().join(text).map_err(|_| reply.protocol("its Location is no URL"))?;
        let base = self.base(to.registry())?;
        if location.origin() != base.origin() {
            let name = |url: &Url| format!("{}://{}", url.scheme(), authority(url));
            return Err(SourceError::Foreign {
                host: name(&base),
                foreign: name(&location),
                what: "an upload location",
            });
        }
        Ok(Some(location))
    }

    /// How long the registry may take to digest `bytes`.
    fn patience(&self, bytes: u64) -> Duration {
        self.0.idle + Duration::from_secs(bytes / COMMIT_SPEED)
    }
}

/// All of a small blob, checked: what is damaged here is not sent.
pub(super) async fn read_small(
    content: &dyn BlobSource,
    digest: &Digest,
    size: u64,
    url: &Url,
) -> Result<Bytes, SourceError> {
    let mut body = Vec::new();
    let reader = content.open(0).await.map_err(|source| content_error(url, source))?;
    reader.take(size + 1).read_to_end(&mut body).await.map_err(|source| content_error(url, source))?;
    let actual = Digest::of(&body);
    if body.len() as u64 != size || actual != *digest {
        let why = format!("it has {} bytes of {size}, and is {actual}", body.len());
        return Err(SourceError::ContentChanged { expected: *digest, why });
    }
    Ok(body.into())
}

fn content_error(url: &Url, source: std::io::Error) -> SourceError {
    SourceError::Content { url: shown(url), source }
}

/// An upload that was opened some time ago may be gone; one just opened is refused for a reason.
async fn stale_or_failed(open: &Upload, reply: Reply) -> Trouble {
    let gone = [StatusCode::NOT_FOUND, StatusCode::RANGE_NOT_SATISFIABLE, StatusCode::BAD_REQUEST];
    let stale = !open.fresh && gone.contains(&reply.status());
    let error = reply.into_failure().await;
    if stale { Trouble::Stale(error) } else { Trouble::Failed(error) }
}

/// How many bytes `Range: 0-N` says there are. Registries write `0-0` for none as well as for one byte; a
/// blob that is resumed is larger, so it is none.
fn received(range: &str) -> Option<u64> {
    let range = range.trim();
    let range = range.strip_prefix("bytes").map_or(range, |rest| rest.trim_start_matches(['=', ':', ' ']));
    let range = range.split_once('/').map_or(range, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    match (first.trim(), last.trim().parse::<u64>().ok()?) {
        ("0", 0) => Some(0),
        ("0", last) => last.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_was_received() {
        assert_eq!(received("0-99"), Some(100));
        for same in ["bytes=0-99", " 0-99 ", "bytes 0-99/100", "bytes=0-99/*", "0 - 99", "bytes: 0-99"] {
            assert_eq!(received(same), Some(100), "{same}");
        }
        assert_eq!(received("0-0"), Some(0));
        for bad in ["", "5-99", "0-", "0--1", "0-18446744073709551615", "99", "bytes", "a-b", "bytes=0-9-9"] {
            assert_eq!(received(bad), None, "{bad}");
        }
    }
}
