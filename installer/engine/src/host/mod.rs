//! A host: something that runs commands, takes files and passes connections on.
//!
//! [`Host`] is the contract; [`ssh`] is the real one, tests have scripted ones. [`Command`] says what is run, as text that
//! can be shown before and recorded after; secrets travel on standard input only ([`Stdin::Secret`]), never in the text.

mod command;
mod error;
pub mod fake;
pub mod known;
mod limit;
mod local;
mod secret;
mod secrets;
pub mod ssh;
mod upload;

pub use command::{Command, Output, Stdin, quote};
pub(crate) use command::{HASH, TRUSTED};
pub use error::{HostError, HostErrorKind};
pub use limit::make_room;
pub use local::LocalHost;
pub use secret::{Redactor, Secret};
pub use secrets::{Ask, SecretStore};
pub use upload::{BundleBlob, Bytes, FileRange, Source, Upload};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection that a host passes on.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How connections to ports of a host get through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tunnel {
    /// Its sshd forwards them.
    Forwarding,
    /// Its sshd forbids that; a session's own input and output take its place.
    Session,
    /// Not at all, for this reason.
    None(String),
}

/// Hears how many more bytes of an upload have arrived.
pub type Progress<'a> = &'a (dyn Fn(u64) + Send + Sync);

/// A host that can be worked on. One is shared by all that work on that host; calls may overlap.
pub trait Host: Send + Sync {
    /// Its name in the site file.
    fn name(&self) -> &str;

    /// What the login shell said by itself before the last command, which got none of it: at most 5 lines.
    fn noise(&self) -> Vec<String> {
        Vec::new()
    }

    /// Runs a command to its end. A status other than 0 is no error here; [`Output::ok`] makes it one.
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>>;

    /// Brings a file to its place: whole, with its digest checked on the host, by rename; resumes a part that an
    /// earlier try has left.
    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>>;

    /// How [`dial`](Self::dial) gets through, as it was tried.
    fn tunnel(&self) -> BoxFuture<'_, Result<Tunnel, HostError>> {
        Box::pin(std::future::ready(Ok(Tunnel::Forwarding)))
    }

    /// Connects to `address:port` as seen from the host.
    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>>;
}
