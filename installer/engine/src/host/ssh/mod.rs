//! Hosts over SSH: [`connect`] gives a [`SshHost`], which is a [`Host`](super::Host).
//!
//! ```text
//! settings ──► link: bastion ─► bastion ─► host     verify (host keys), login, algorithms
//!                 └─► session: one a command        wrap (text), privilege (sudo, su), exec (conversation)
//!                        ├─► bridge: ports          through a session, where forwarding is forbidden
//!                        └─► carry: uploads         a part beside the target, resumed, hashed, renamed
//! ```
//! `russh` lives here and in [`fake`](super::fake) only.

mod algorithms;
mod bridge;
mod carry;
mod exec;
mod link;
mod login;
mod privilege;
mod session;
mod settings;
mod unwrap;
mod verify;
mod wrap;

pub use session::SshHost;
pub use settings::{Answer, FirstSight, NoTrace, Secrets, Settings, Trace};
pub(crate) use unwrap::Unwrapped;
pub(crate) use verify::recorded;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use russh::Channel;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Command, Host, HostError, HostErrorKind, Output, Progress, Stream, Tunnel, Upload};
use crate::site;
use exec::Feed;
use link::NoWay;

/// Connects to a host and logs in.
pub async fn connect(host: &site::Host, settings: &Settings) -> Result<SshHost, HostError> {
    let host = SshHost::idle(host, settings);
    host.0.link().await?;
    Ok(host)
}

impl SshHost {
    /// A host that is connected to by the first call that needs it.
    #[must_use]
    pub fn idle(host: &site::Host, settings: &Settings) -> Self {
        Self(Arc::new(session::Inner::new(host.clone(), settings.clone())))
    }

    /// A stream over this connection, which ends when everything is ended at once.
    fn dialled<S: Stream + 'static>(&self, stream: S, link: Arc<link::Link>) -> Box<dyn Stream> {
        let cancelled = Box::pin(self.0.settings.cancel.clone().cancelled_owned());
        Box::new(Dialled { stream, cancelled, _link: link })
    }

    /// A channel to `address:port`, not waited for without end.
    async fn channel(&self, link: &link::Link, address: &str, port: u16) -> Result<Channel<Msg>, NoWay> {
        let settings = &self.0.settings;
        tokio::select! {
            biased;
            () = settings.cancel.cancelled() => Err(NoWay::Failed(self.0.error(HostErrorKind::Cancelled))),
            channel = tokio::time::timeout(settings.patience, link.dial(address, port)) => channel.unwrap_or_else(|_| {
                let why = format!("no answer for {} s", settings.patience.as_secs());
                let address = format!("{address}:{port}");
                Err(NoWay::Failed(self.0.error(HostErrorKind::Unreachable { address, why })))
            }),
        }
    }
}

impl Host for SshHost {
    fn name(&self) -> &str {
        &self.0.host.name
    }

    fn noise(&self) -> Vec<String> {
        self.0.noise()
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(self.0.traced(command, Feed::of(&command.stdin)))
    }

    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(carry::carry(&self.0, upload, progress))
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        Box::pin(async move {
            let link = self.0.link().await?;
            match self.channel(&link, address, port).await {
                Ok(channel) => Ok(self.dialled(channel.into_stream(), link)),
                Err(NoWay::Forbidden(_)) => Ok(self.dialled(bridge::open(&self.0, address, port).await?, link)),
                Err(NoWay::Failed(error)) => Err(error),
            }
        })
    }

    fn tunnel(&self) -> BoxFuture<'_, Result<Tunnel, HostError>> {
        Box::pin(async move {
            let link = self.0.link().await?;
            let port = self.0.host.way.last().map_or(22, |jump| jump.port);
            // Whether anything listens there does not matter: it was not forbidden to ask.
            match self.channel(&link, "127.0.0.1", port).await {
                Ok(_) => return Ok(Tunnel::Forwarding),
                Err(NoWay::Failed(HostError { kind: HostErrorKind::Unreachable { .. }, .. })) => {
                    return Ok(Tunnel::Forwarding);
                }
                Err(NoWay::Failed(error)) => return Err(error),
                Err(NoWay::Forbidden(_)) => {}
            }
            Ok(match bridge::join(&self.0, "127.0.0.1", port).await? {
                Ok(_) => Tunnel::Session,
                Err(why) => Tunnel::None(why),
            })
        })
    }
}

/// A stream that keeps its connection open, and ends when everything is ended at once.
struct Dialled<S> {
    stream: S,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    _link: Arc<link::Link>,
}

impl<S> Dialled<S> {
    fn alive(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cancelled.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cancelled")),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Dialled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.alive(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Dialled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.alive(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
