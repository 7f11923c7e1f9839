//! The reading endpoints, answered from a [`Content`].
//!
//! `Accept` is honoured leniently: the stored bytes are served whatever it says, because a registry that
//! converts a manifest changes its digest, and clients that cannot use the type say so clearly themselves.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::{Descriptor, media_type};

use super::blob;
use super::content::{Content, Selector};
use super::paging::{self, page};
use super::path::Endpoint;
use super::refusal::{Code, Refusal};

/// The digest of what is served.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Answers a request by reading; any writing method is refused.
pub(crate) async fn answer(content: Arc<dyn Content>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let endpoint = match Endpoint::parse(uri.path()) {
        Ok(endpoint) => endpoint,
        Err(refusal) => return versioned(refusal),
    };
    let asked =
        move || Question { content: &*content, method: &method, uri: &uri, headers: &headers }.answer(&endpoint);
    match tokio::task::spawn_blocking(asked).await {
        Ok(Ok(response)) => versioned(response),
        Ok(Err(refusal)) => versioned(refusal),
        Err(_) => versioned(Refusal::broken("the content")),
    }
}

/// Any response of the API carries its version.
pub(crate) fn versioned(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}

struct Question<'a> {
    content: &'a dyn Content,
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
}

impl Question<'_> {
    fn answer(&self, endpoint: &Endpoint) -> Result<Response, Refusal> {
        if self.method != Method::GET && self.method != Method::HEAD {
            return Err(
                Refusal::new(Code::Unsupported, "this registry is read-only").with_header(header::ALLOW, "GET, HEAD")
            );
        }
        match endpoint {
            Endpoint::Base => Ok(json("{}".to_owned())),
            Endpoint::Catalog => self.list("repositories", None, self.content.repositories()),
            Endpoint::Tags { repository } => {
                let tags = self.content.tags(repository).ok_or_else(|| unknown_name(repository))?;
                self.list("tags", Some(repository), tags)
            }
            Endpoint::Manifest { repository, selector } => self.manifest(repository, selector),
            Endpoint::Blob { repository, digest } => self.blob(repository, digest),
            Endpoint::Referrers { repository, digest } => Ok(self.referrers(repository, digest)),
            Endpoint::Uploads { .. } | Endpoint::Upload { .. } => {
                Err(Refusal::new(Code::Unsupported, "this registry takes no uploads"))
            }
        }
    }

    fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    fn list(&self, key: &str, repository: Option<&String>, names: Vec<String>) -> Result<Response, Refusal> {
        let page = page(self.uri.path(), self.query(), names)?;
        let mut document = serde_json::json!({ key: page.names });
        if let Some(repository) = repository {
            document["name"] = repository.as_str().into();
        }
        let mut response = json(document.to_string());
        if let Some(next) = page.next {
            response.headers_mut().insert(header::LINK, blob::text(&format!("<{next}>; rel=\"next\"")));
        }
        Ok(response)
    }

    fn manifest(&self, repository: &str, selector: &Selector) -> Result<Response, Refusal> {
        let found = self.content.manifest(repository, selector).map_err(|_| Refusal::broken("the manifest"))?;
        let Some(manifest) = found else {
            self.content.tags(repository).ok_or_else(|| unknown_name(repository))?;
            return Err(Refusal::new(Code::ManifestUnknown, format!("{repository} has no manifest {selector}")));
        };
        let etag = format!("\"{}\"", manifest.digest);
        let digest = blob::text(&manifest.digest.to_string());
        if blob::is_known(self.headers, &etag) {
            return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, blob::text(&etag)), (CONTENT_DIGEST, digest)])
                .into_response());
        }
        let length = manifest.bytes.len();
        let body = if self.method == Method::HEAD { Body::empty() } else { Body::from(manifest.bytes) };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, blob::text(&manifest.media_type));
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(header::ETAG, blob::text(&etag));
        headers.insert(CONTENT_DIGEST, digest);
        Ok(response)
    }

    fn blob(&self, repository: &str, digest: &Digest) -> Result<Response, Refusal> {
        let broken = |_: io::Error| Refusal::broken("the blob");
        let Some(reader) = self.content.blob(repository, digest).map_err(broken)? else {
            return Err(Refusal::new(Code::BlobUnknown, format!("{repository} has no blob {digest}")));
        };
        let identity = digest.to_string();
        let mut response = blob::respond(self.method, self.headers, reader, media_type::OCTETS, &identity)?;
        response.headers_mut().insert(CONTENT_DIGEST, blob::text(&identity));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"));
        Ok(response)
    }

    fn referrers(&self, repository: &str, digest: &Digest) -> Response {
        let filter = paging::parameter(self.query(), "artifactType");
        let mut manifests = self.content.referrers(repository, digest);
        if let Some(wanted) = &filter {
            manifests.retain(|found: &Descriptor| found.artifact_type.as_deref() == Some(wanted));
        }
        let document = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests
        });
        let mut response = json(document.to_string());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type::OCI_INDEX));
        if filter.is_some() {
            response.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
        }
        response
    }
}

fn unknown_name(repository: &str) -> Refusal {
    Refusal::new(Code::NameUnknown, format!("there is no repository {repository}"))
}

fn json(document: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}
