//! A blob or file as an HTTP response: whole, one range, or only its headers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::body;
use super::content::BlobReader;
use super::range::Wanted;
use super::refusal::{Code, Refusal};

/// Answers GET or HEAD for `reader`. `identity` becomes the entity tag: what has the same identity must have
/// the same bytes.
pub(crate) fn respond(
    method: &Method,
    headers: &HeaderMap,
    reader: Arc<dyn BlobReader>,
    media_type: &str,
    identity: &str,
) -> Result<Response, Refusal> {
    let etag = format!("\"{identity}\"");
    if is_known(headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let size = reader.size();
    let wanted = if method == Method::HEAD { Wanted::Whole } else { Wanted::of(headers, size, &etag) };
    let (status, start, end) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Outside => {
            return Err(Refusal::new(Code::RangeInvalid, format!("the content has {size} bytes"))
                .with_header(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let body = if method == Method::HEAD { Body::empty() } else { body::stream(reader, start, end) };
    let mut response = (status, body).into_response();
    let out = response.headers_mut();
    out.insert(header::CONTENT_LENGTH, (end - start).into());
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CONTENT_TYPE, text(media_type));
    out.insert(header::ETAG, text(&etag));
    if status == StatusCode::PARTIAL_CONTENT {
        out.insert(header::CONTENT_RANGE, text(&format!("bytes {start}-{}/{size}", end - 1)));
    }
    Ok(response)
}

/// Whether the client already has it: `If-None-Match`.
pub(crate) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let Some(known) = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else { return false };
    known.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// A header value of text that may come from a stored document; what cannot stand in a header is dropped.
pub(crate) fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""))
}
