//! What was asked of the origin: the record that tests assert on. Secrets are kept as fingerprints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use ferry_bundle_format::Digest;

/// An `Authorization` header, without what it protects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenAuthorization {
    /// `Basic`, `Bearer`, as it was written.
    pub scheme: String,
    /// The digest of the whole header value: equal fingerprints, equal secrets.
    pub fingerprint: Digest,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// `GET` and the like.
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// The query as it came.
    pub query: Option<String>,
    /// The credentials, if any.
    pub authorization: Option<SeenAuthorization>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The answer's status; 0 while there is none.
    pub status: u16,
    /// Body bytes that were handed to the network so far.
    pub sent: u64,
}

/// All requests in the order they came.
#[derive(Debug, Default)]
pub(super) struct Record {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    request: Recorded,
    outcome: Outcome,
}

/// What a request's handler fills in.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    status: Arc<AtomicU64>,
    pub(super) sent: Arc<AtomicU64>,
}

impl Outcome {
    pub(super) fn answered(&self, status: u16) {
        self.status.store(status.into(), Ordering::Release);
    }
}

impl Record {
    /// Enters a request.
    pub(super) fn enter(&self, parts: &Parts) -> Outcome {
        let outcome = Outcome::default();
        let request = Recorded {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            authorization: authorization(&parts.headers),
            range: header_text(&parts.headers, &header::RANGE),
            status: 0,
            sent: 0,
        };
        self.entries().push(Entry { request, outcome: outcome.clone() });
        outcome
    }

    /// The record as it is now.
    pub(super) fn snapshot(&self) -> Vec<Recorded> {
        let now = |entry: &Entry| Recorded {
            status: u16::try_from(entry.outcome.status.load(Ordering::Acquire)).unwrap_or_default(),
            sent: entry.outcome.sent.load(Ordering::Acquire),
            ..entry.request.clone()
        };
        self.entries().iter().map(now).collect()
    }

    /// Starts anew.
    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn authorization(headers: &HeaderMap) -> Option<SeenAuthorization> {
    let value = headers.get(header::AUTHORIZATION)?;
    let scheme = String::from_utf8_lossy(value.as_bytes()).split(' ').next().unwrap_or_default().to_owned();
    Some(SeenAuthorization { scheme, fingerprint: Digest::of(value.as_bytes()) })
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
