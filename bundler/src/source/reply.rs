//! A server's answer: status, headers, and a body that is read with limits.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::error::{SourceError, of_request, printable};
use super::host::{authority, shown};
use super::retry::retry_after;

/// How much of an error page is read.
const MAX_COMPLAINT: u64 = 64 * 1024;

/// An answer whose headers have arrived.
pub(super) struct Reply {
    response: Response,
    url: Url,
    idle: Duration,
    proxy: Option<Arc<str>>,
}

impl Reply {
    /// `proxy` is the one it came through.
    pub(super) fn new(response: Response, url: Url, idle: Duration, proxy: Option<Arc<str>>) -> Self {
        Self { response, url, idle, proxy }
    }

    /// Where it came from, after redirects.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header, if it is there once and is text.
    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All values of a header that are text.
    pub(super) fn headers(&self, name: &HeaderName) -> Vec<String> {
        let values = self.response.headers().get_all(name).iter();
        values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
    }

    /// The announced length of the body, which for HEAD is that of the body there would be.
    pub(super) fn length(&self) -> Option<u64> {
        self.header(&CONTENT_LENGTH)?.parse().ok()
    }

    pub(super) fn protocol(&self, why: impl Into<String>) -> SourceError {
        SourceError::Protocol { url: shown(&self.url), why: why.into() }
    }

    /// The next bytes of the body; an error if none come for the idle time-out.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        match tokio::time::timeout(self.idle, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|e| of_request("reading", &self.url, e)),
            Err(_) => Err(SourceError::Idle { doing: "reading", url: shown(&self.url), after: self.idle }),
        }
        .map_err(|error| error.through(self.proxy.as_deref()))
    }

    /// The whole body, which must not be longer than `limit`.
    pub(super) async fn bytes(&mut self, limit: u64) -> Result<Bytes, SourceError> {
        let too_large = || SourceError::TooLarge { url: shown(&self.url), limit };
        if self.length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(SourceError::TooLarge { url: shown(&self.url), limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.into())
    }

    /// The error of a redirect from `from` that ended at another server, which wants credentials.
    pub(super) fn redirect_wants(&self, from: &Url) -> SourceError {
        let to = format!("{}://{}", self.url.scheme(), authority(&self.url));
        SourceError::RedirectWants { from: format!("{}://{}", from.scheme(), authority(from)), to }
    }

    /// The error this answer is.
    pub(super) async fn into_failure(mut self) -> SourceError {
        let retry_after = self.header(&RETRY_AFTER).and_then(|value| retry_after(value, SystemTime::now()));
        let error = SourceError::Status {
            detail: self.complaint().await,
            url: shown(&self.url),
            status: self.status().as_u16(),
            retry_after,
        };
        // These are said by the proxy itself, or about what is behind it.
        let of_proxy = matches!(self.status().as_u16(), 407 | 502..=504);
        if of_proxy { error.through(self.proxy.as_deref()) } else { error }
    }

    /// What the server says about its failure: the distribution API's error list, or a short plain text.
    pub(super) async fn complaint(&mut self) -> Option<String> {
        // A failure to read the explanation of a failure explains nothing.
        let body = self.bytes(MAX_COMPLAINT).await.unwrap_or_default();
        complaint_of(&body)
    }
}

#[derive(Deserialize)]
struct Complaints {
    errors: Vec<Complaint>,
}

#[derive(Deserialize)]
struct Complaint {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

fn complaint_of(body: &[u8]) -> Option<String> {
    if let Ok(Complaints { errors }) = serde_json::from_slice(body)
        && !errors.is_empty()
    {
        let texts = errors.iter().map(|e| printable(&format!("{} {}", e.code, once(&e.message))));
        return Some(texts.collect::<Vec<_>>().join("; "));
    }
    let text = printable(std::str::from_utf8(body).ok()?);
    (!text.is_empty() && !text.starts_with(['<', '{', '['])).then_some(text)
}

/// A sentence that is its own explanation, `a: a`, as Harbor writes it, once.
fn once(message: &str) -> &str {
    let half = message.len() / 2;
    match (message.get(..half.saturating_sub(1)), message.get(half.saturating_sub(1)..)) {
        (Some(first), Some(rest)) if !first.is_empty() && rest.strip_prefix(": ") == Some(first) => first,
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_explained_in_the_servers_words() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[2J push","detail":{}},{"code":"X"}]}"#;
        assert_eq!(complaint_of(body).as_deref(), Some("DENIED no [2J push; X"));
        assert_eq!(complaint_of(b"404 page not found\n").as_deref(), Some("404 page not found"));
        let twice = br#"{"errors":[{"code":"A","message":"no such, b: no such, b"}]}"#;
        assert_eq!(complaint_of(twice).as_deref(), Some("A no such, b"));
        assert_eq!(once("a: b"), "a: b");
        assert_eq!((once(""), once(":"), once(": "), once("\u{e9}: \u{e9}")), ("", ":", ": ", "\u{e9}"));
        assert_eq!(complaint_of(b"<html>no</html>"), None);
        assert_eq!(complaint_of(b"{\"errors\":[]}"), None);
        assert_eq!(complaint_of(b"\xff"), None);
    }
}
