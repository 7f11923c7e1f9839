//! Where content comes from, and where it is pushed: the client side of registries and HTTP servers.
//!
//! ```text
//!  settings ─► transport (TLS, proxy, redirects, idle time-outs: the only place that sends)
//!  credentials ─► auth (challenges, tokens, realms) ─┐
//!  retry (what is worth another try, and when) ──────┼─► registry::{manifest, blob, list, upload}
//!  mirror (other places to ask first) ───────────────┴─► files (plain HTTP(S) files, chart repositories)
//! ```
//! Nothing that comes from a server is believed: sizes are limits, digests are compared, locations and
//! realms are checked before a credential goes there. Owns `reqwest`, `rustls`, `rustls-native-certs`
//! and `docker_credential`.

mod auth;
mod challenge;
mod credentials;
mod error;
mod files;
mod harbor;
mod host;
mod mirror;
mod outgoing;
mod payload;
mod proxy;
mod realm;
mod registry;
mod reply;
mod retry;
#[cfg(test)]
mod script;
mod secret;
mod settings;
mod stream;
mod tls;
mod transport;

pub use credentials::{Credential, Credentials};
pub use error::{SourceError, SourceErrorKind};
pub use files::FileClient;
pub use harbor::{Harbor, Project, is_project_name};
pub use host::HostSet;
pub use mirror::{MirrorError, Mirrors};
pub use payload::{BlobReader, BlobSource, FileSection, OpenBlob};
pub use registry::{Head, Mount, RegistryClient, Repository, ServedDocument, Upload};
pub use reqwest::Url;
pub use retry::{Attempts, Retry, RetryEvent, RetryHook, RetryPolicy};
pub use secret::Secret;
pub use settings::{ClientSettings, ProxySetting};
pub use stream::BlobStream;
