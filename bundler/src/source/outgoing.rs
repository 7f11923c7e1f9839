//! A request before it is sent: what the parts that know the protocols hand to the transport.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};

use super::payload::Payload;

/// A request to be sent.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) payload: Payload,
    pub(super) patience: Option<Duration>,
    pub(super) plain_allowed: bool,
    pub(super) follow: bool,
}

impl Outgoing {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            payload: Payload::Empty,
            patience: None,
            plain_allowed: false,
            follow: true,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sent to the origin of the URL alone.
    pub(super) fn authorization(mut self, value: Option<HeaderValue>) -> Self {
        self.authorization = value;
        self
    }

    pub(super) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// Waits longer for the answer than the idle time-out: the server has work to do first.
    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Takes a redirect for the answer.
    pub(super) fn unfollowed(mut self) -> Self {
        self.follow = false;
        self
    }

    /// Allows plain HTTP to a host that is not listed: for token servers of registries that are.
    pub(super) fn plain_allowed(mut self, allowed: bool) -> Self {
        self.plain_allowed = allowed;
        self
    }
}
