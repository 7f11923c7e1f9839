//! The writing endpoints of the distribution API over a [`MemoryRegistry`]; reading goes on to `distribution`.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::MAX_DOCUMENT;
use futures_util::StreamExt as _;

use super::registry::MemoryRegistry;
use super::uploads::{self, SharedSession};
use crate::distribution::answer::{CONTENT_DIGEST, answer, versioned};
use crate::distribution::blob::text;
use crate::distribution::paging::parameter;
use crate::distribution::path::Endpoint;
use crate::distribution::{Code, Refusal, Selector};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// How much of an upload is collected before it is hashed and written on a blocking thread, in bytes.
const BATCH: usize = 1024 * 1024;

/// Answers any request below `/v2/` of the origin at `base`.
pub(super) async fn respond(registry: Arc<MemoryRegistry>, base: &str, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    let endpoint = match Endpoint::parse(parts.uri.path()) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return versioned(refusal),
    };
    if reads && !matches!(endpoint, Endpoint::Upload { .. }) {
        return answer(registry, parts.method, parts.uri, parts.headers).await;
    }
    let writing = Writing { registry, parts, base };
    versioned(writing.answer(endpoint, body).await.unwrap_or_else(IntoResponse::into_response))
}

struct Writing<'a> {
    registry: Arc<MemoryRegistry>,
    parts: Parts,
    base: &'a str,
}

impl Writing<'_> {
    async fn answer(&self, endpoint: Endpoint, body: Body) -> Result<Response, Refusal> {
        match (self.parts.method.as_str(), endpoint) {
            ("POST", Endpoint::Uploads { repository }) => self.start(&repository, body).await,
            ("GET" | "HEAD", Endpoint::Upload { repository, session }) => {
                let held = uploads::length(&self.registry.session(&repository, &session)?);
                Ok(self.progress(StatusCode::NO_CONTENT, &repository, &session, held))
            }
            ("PATCH", Endpoint::Upload { repository, session }) => self.append(&repository, &session, body).await,
            ("PUT", Endpoint::Upload { repository, session }) => self.finish(&repository, &session, body).await,
            ("DELETE", Endpoint::Upload { repository, session }) => {
                self.registry.session(&repository, &session)?;
                self.registry.cancel_upload(&session);
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            ("PUT", Endpoint::Manifest { repository, selector }) => self.manifest(&repository, &selector, body).await,
            ("DELETE", Endpoint::Manifest { repository, selector }) => {
                self.registry.delete_manifest(&repository, &selector)?;
                Ok(StatusCode::ACCEPTED.into_response())
            }
            ("DELETE", Endpoint::Blob { repository, digest }) => {
                self.registry.delete_blob(&repository, &digest)?;
                Ok(StatusCode::ACCEPTED.into_response())
            }
            (method, _) => Err(Refusal::new(Code::Unsupported, format!("{method} is not served here"))),
        }
    }

    async fn start(&self, repository: &str, body: Body) -> Result<Response, Refusal> {
        let digest = |key| self.query(key).map(|text| parse_digest(&text)).transpose();
        if let (Some(digest), Some(from)) = (digest("mount")?, self.query("from"))
            && self.registry.mount(repository, &from, &digest)
        {
            return Ok(created(repository, "blobs", &digest));
        }
        let session = self.registry.start_upload(repository);
        match digest("digest")? {
            Some(digest) => {
                self.receive(&self.registry.session(repository, &session)?, body).await?;
                self.commit(repository, &session, digest).await
            }
            None => Ok(self.progress(StatusCode::ACCEPTED, repository, &session, 0)),
        }
    }

    async fn append(&self, repository: &str, name: &str, body: Body) -> Result<Response, Refusal> {
        let session = self.registry.session(repository, name)?;
        self.check_place(uploads::length(&session))?;
        let held = self.receive(&session, body).await?;
        Ok(self.progress(StatusCode::ACCEPTED, repository, name, held))
    }

    async fn finish(&self, repository: &str, name: &str, body: Body) -> Result<Response, Refusal> {
        let session = self.registry.session(repository, name)?;
        let digest = self.query("digest").ok_or_else(|| Refusal::new(Code::DigestInvalid, "the digest is missing"))?;
        let digest = parse_digest(&digest)?;
        self.check_place(uploads::length(&session))?;
        self.receive(&session, body).await?;
        self.commit(repository, name, digest).await
    }

    async fn commit(&self, repository: &str, name: &str, digest: Digest) -> Result<Response, Refusal> {
        let (registry, of, session) = (Arc::clone(&self.registry), repository.to_owned(), name.to_owned());
        tokio::task::spawn_blocking(move || registry.finish_upload(&of, &session, digest))
            .await
            .map_err(|_| Refusal::broken("the upload"))??;
        Ok(created(repository, "blobs", &digest))
    }

    async fn manifest(&self, repository: &str, selector: &Selector, body: Body) -> Result<Response, Refusal> {
        let limit = usize::try_from(MAX_DOCUMENT).unwrap_or(usize::MAX);
        let bytes = axum::body::to_bytes(body, limit)
            .await
            .map_err(|_| Refusal::new(Code::SizeInvalid, format!("a manifest has at most {limit} bytes")))?;
        let served_as = self.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let accepted = self.registry.accept_manifest(repository, selector, served_as, bytes.into())?;
        let mut response = created(repository, "manifests", &accepted.digest);
        if let Some(subject) = accepted.subject {
            response.headers_mut().insert(SUBJECT, text(&subject.to_string()));
        }
        Ok(response)
    }

    /// Appends the body to the session, what arrived of it included when the client goes away.
    async fn receive(&self, session: &SharedSession, body: Body) -> Result<u64, Refusal> {
        let mut stream: BodyDataStream = body.into_data_stream();
        let mut batch = Vec::new();
        loop {
            let next = stream.next().await;
            let (ended, cut) = (next.is_none(), matches!(next, Some(Err(_))));
            if let Some(Ok(bytes)) = next {
                batch.extend_from_slice(&bytes);
            }
            if ended || cut || batch.len() >= BATCH {
                let (registry, session) = (Arc::clone(&self.registry), Arc::clone(session));
                let full = std::mem::take(&mut batch);
                let held = tokio::task::spawn_blocking(move || registry.append(&session, &full))
                    .await
                    .map_err(std::io::Error::other)
                    .flatten()
                    .map_err(|_| Refusal::broken("the upload's spool"))?;
                if cut {
                    return Err(Refusal::new(Code::BlobUploadInvalid, "the body ended early"));
                }
                if ended {
                    return Ok(held);
                }
            }
        }
    }

    /// `Content-Range: <first>-<last>`, if given, must go on where the upload stands and fit the length.
    fn check_place(&self, held: u64) -> Result<(), Refusal> {
        let Some(range) = number_pair(&self.parts.headers, &header::CONTENT_RANGE)? else { return Ok(()) };
        if range.0 != held {
            return Err(Refusal::new(Code::RangeInvalid, format!("the upload goes on at byte {held}"))
                .with_header(header::RANGE, &held_range(held))
                .with_header(header::LOCATION, self.parts.uri.path()));
        }
        let declared = self.parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match declared.map(str::parse::<u64>) {
            Some(Ok(length)) if range.1.checked_sub(range.0).is_some_and(|count| count + 1 == length) => Ok(()),
            None => Ok(()),
            Some(_) => Err(Refusal::new(Code::SizeInvalid, "Content-Range and Content-Length contradict each other")),
        }
    }

    /// The answer that says where an upload stands. The query of the location is to be kept by the client.
    fn progress(&self, status: StatusCode, repository: &str, session: &str, held: u64) -> Response {
        let path = format!("/v2/{repository}/blobs/uploads/{session}?_state={held}");
        let location = if self.registry.options.absolute_locations { format!("{}{path}", self.base) } else { path };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, text(&location));
        headers.insert(header::RANGE, text(&held_range(held)));
        headers.insert(UPLOAD_ID, text(session));
        response
    }

    fn query(&self, key: &str) -> Option<String> {
        parameter(self.parts.uri.query().unwrap_or_default(), key)
    }
}

fn created(repository: &str, kind: &str, digest: &Digest) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, text(&format!("/v2/{repository}/{kind}/{digest}")));
    headers.insert(CONTENT_DIGEST, text(&digest.to_string()));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// What an upload holds, as the distribution project writes it: `0-0` also when it holds nothing.
fn held_range(held: u64) -> String {
    format!("0-{}", held.saturating_sub(1))
}

fn parse_digest(text: &str) -> Result<Digest, Refusal> {
    Digest::parse(text).map_err(|e| Refusal::new(Code::DigestInvalid, e.to_string()))
}

/// `<first>-<last>`, also behind `bytes ` and before a `/<size>`, which some clients write.
fn number_pair(headers: &HeaderMap, name: &HeaderName) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|value| {
        let value = value.strip_prefix("bytes").unwrap_or(value).trim_start_matches([' ', '=']);
        let (first, last) = value.split('/').next().unwrap_or(value).split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?))
    });
    parsed.map(Some).ok_or_else(|| Refusal::new(Code::RangeInvalid, "Content-Range is not <first>-<last>"))
}
