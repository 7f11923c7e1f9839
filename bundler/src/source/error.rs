//! What can go wrong between us and a server, in the words a person needs.
//!
//! A variant carries the host or URL (never userinfo or query) and its source; `Display` is a lower-case
//! fragment that does not repeat the source. [`SourceError::kind`] sorts every variant, for exit codes;
//! [`SourceError::retry`] says whether another try makes sense; [`SourceError::hint`] what to do.
//! Texts that come from a server are cut and stripped of control characters before they get in here.

mod advice;
mod of_request;
mod refusal;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ferry_bundle_format::digest::Digest;
use ferry_bundle_format::oci::OciError;

pub(super) use of_request::{of_request, printable};

/// Why content could not be had, or not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file with certificates or credentials cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A CA file without a usable certificate, or with an unusable one.
    #[error("CA file {} is no use: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A credential file, or the helper it names, does not give what it should.
    #[error("no credentials for {host} from {}: {why}", path.display())]
    CredentialFile {
        /// Whose credentials were looked up.
        host: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A setting makes no sense.
    #[error("{setting} is not usable: {why}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// The content to be uploaded cannot be read.
    #[error("cannot read the content to upload to {url}")]
    Content {
        /// Where it was going.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// The content to be uploaded is not what it was announced to be.
    #[error("the content to upload is not {expected}: {why}")]
    ContentChanged {
        /// What it should be.
        expected: Digest,
        /// How it differs.
        why: String,
    },
    /// A URL that is not followed.
    #[error("{url} is refused: {why}")]
    UrlRefused {
        /// The URL.
        url: String,
        /// Why.
        why: &'static str,
    },
    /// A repository name outside the grammar.
    #[error("{text:?} is not a repository name")]
    Repository {
        /// The text.
        text: String,
    },
    /// Plain HTTP to a host that is not listed for it.
    #[error("{url} is plain HTTP, and {host} is not listed for it")]
    PlainHttp {
        /// The URL.
        url: String,
        /// The host with its port.
        host: String,
    },
    /// A redirect that is not followed.
    #[error("the redirect from {from} to {to} is not followed: {why}")]
    Redirect {
        /// Where it came from.
        from: String,
        /// Where it points to.
        to: String,
        /// Why.
        why: &'static str,
    },
    /// A server sends us elsewhere with something that belongs to it alone.
    #[error("{host} gave {what} on another server, {foreign}")]
    Foreign {
        /// The server we talk to.
        host: String,
        /// The server it names.
        foreign: String,
        /// What it gave: an upload location, a next page.
        what: &'static str,
    },
    /// A registry names a token server that it is not known to belong to.
    #[error("{host} wants its credentials sent to {realm}, which is not known to belong to it")]
    ForeignRealm {
        /// The registry.
        host: String,
        /// The host of the token server.
        realm: String,
    },
    /// No TLS session: certificate, name or protocol.
    #[error("no trusted TLS connection to {host}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        source: reqwest::Error,
    },
    /// No connection, or one that broke.
    #[error("{doing} {url} failed")]
    Connection {
        /// What was under way: "reaching", "reading", "sending to".
        doing: &'static str,
        /// The URL.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Nothing moved for too long.
    #[error("{doing} {url}: nothing came for {} s", after.as_secs())]
    Idle {
        /// What was under way.
        doing: &'static str,
        /// The URL.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The body ended early.
    #[error("{url} ended after {got} of {expected} bytes")]
    Short {
        /// The URL.
        url: String,
        /// Bytes there were.
        got: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// The server answers with a failure.
    #[error("{url} answers {status}{}", detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    Status {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server says about it.
        detail: Option<String>,
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// The server wants credentials, or refuses those it got.
    #[error("{host} {}{}",
        user.as_ref().map_or("wants credentials, and there are none".to_owned(),
            |u| format!("refuses the credentials of {u}")),
        detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    Unauthorized {
        /// The registry or file server.
        host: String,
        /// The user that was tried; none when nobody was.
        user: Option<String>,
        /// What the server says about it.
        detail: Option<String>,
    },
    /// The credentials are right, and the user may not do this.
    #[error("{user} has no right to do this at {host}{}", detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
    NoRight {
        /// The registry.
        host: String,
        /// The user.
        user: String,
        /// What the server says about it.
        detail: Option<String>,
    },
    /// A redirect that was followed to another server, which wants credentials.
    #[error("{from} redirects to {to}, which wants credentials: they are sent only to the server that was named")]
    RedirectWants {
        /// Where it came from.
        from: String,
        /// The other server, with its scheme.
        to: String,
    },
    /// A request that went through a proxy.
    #[error("through the proxy {proxy}")]
    Proxied {
        /// Its scheme, host and port.
        proxy: String,
        /// What failed.
        source: Box<SourceError>,
    },
    /// The token server failed.
    #[error("no token for {host} from {realm}")]
    Token {
        /// The registry.
        host: String,
        /// The token server's URL.
        realm: String,
        /// Why.
        source: Box<SourceError>,
    },
    /// The server does not follow the protocol.
    #[error("{url} breaks the protocol: {why}")]
    Protocol {
        /// The URL.
        url: String,
        /// How.
        why: String,
    },
    /// The server answers with a document that is refused.
    #[error("{url} serves a document that is refused")]
    Document {
        /// The URL.
        url: String,
        /// Why.
        source: OciError,
    },
    /// More bytes than are accepted.
    #[error("{url} sends more than the {limit} bytes that are accepted here")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// The size is not the one that was promised.
    #[error("{url} has {actual} bytes where {expected} were expected")]
    Size {
        /// The URL.
        url: String,
        /// What was promised.
        expected: u64,
        /// What the server has, or at least has.
        actual: u64,
    },
    /// The content is not the one that was asked for.
    #[error("{url} is {actual} where {expected} was expected")]
    Digest {
        /// The URL.
        url: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
}

/// The sort of a [`SourceError`], for exit codes and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceErrorKind {
    /// Credentials are missing or refused.
    Auth,
    /// The other side cannot prove who it is.
    Tls,
    /// It is not there.
    NotFound,
    /// A rule of the registry refuses it, whoever asks: a quota, a mode for reading only, a tag that is fixed.
    Declined,
    /// Too many requests.
    RateLimited,
    /// No connection, a broken one, or a server in trouble.
    Unreachable,
    /// The server does not do what the protocol says.
    Protocol,
    /// Content, size or digest differ from what was promised.
    Digest,
    /// We do not do this, because it would not be safe.
    Refused,
    /// The fault is on this machine: a file, a setting.
    Local,
}

impl SourceError {
    /// This error of a request that went through `proxy`.
    pub(super) fn through(self, proxy: Option<&str>) -> Self {
        match proxy {
            Some(proxy) => Self::Proxied { proxy: proxy.to_owned(), source: Box::new(self) },
            None => self,
        }
    }

    /// The sort of this error.
    #[must_use]
    pub fn kind(&self) -> SourceErrorKind {
        use SourceErrorKind as Kind;
        match self {
            Self::File { .. }
            | Self::CaFile { .. }
            | Self::CredentialFile { .. }
            | Self::Setting { .. }
            | Self::Client { .. }
            | Self::Content { .. }
            | Self::ContentChanged { .. }
            | Self::Repository { .. } => Kind::Local,
            Self::UrlRefused { .. }
            | Self::PlainHttp { .. }
            | Self::Redirect { .. }
            | Self::Foreign { .. }
            | Self::RedirectWants { .. }
            | Self::ForeignRealm { .. } => Kind::Refused,
            Self::Tls { .. } => Kind::Tls,
            Self::Connection { .. } | Self::Idle { .. } | Self::Short { .. } => Kind::Unreachable,
            Self::Status { .. } if self.is_declined() => Kind::Declined,
            Self::Status { status, .. } => match status {
                401 | 403 | 407 => Kind::Auth,
                404 | 410 => Kind::NotFound,
                429 => Kind::RateLimited,
                408 | 500..=599 => Kind::Unreachable,
                _ => Kind::Protocol,
            },
            Self::Unauthorized { .. } | Self::NoRight { .. } => Kind::Auth,
            Self::Proxied { source, .. } => source.kind(),
            Self::Token { source, .. } => match source.kind() {
                // A token server that says 404 is a registry set up wrongly, not missing content.
                Kind::NotFound => Kind::Protocol,
                kind => kind,
            },
            Self::Protocol { .. } | Self::Document { .. } | Self::TooLarge { .. } => Kind::Protocol,
            Self::Size { .. } | Self::Digest { .. } => Kind::Digest,
        }
    }
}
