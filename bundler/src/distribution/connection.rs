//! Accepted connections, plain or TLS, that can be severed: what makes a shutdown final.
//!
//! A graceful shutdown waits for transfers; a client that has stopped reading would make it wait for ever.
//! Each connection therefore watches a token and fails once it is cancelled, in the middle of a body if need be.
//! A TLS handshake is part of the first read or write, so that a slow one holds up nobody else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{Accept, TlsAcceptor};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::tls::TlsIdentity;

/// A listener whose connections end when `severed` is cancelled.
pub(crate) struct Connections {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    severed: CancellationToken,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener, tls: Option<&TlsIdentity>, severed: CancellationToken) -> Self {
        Self { listener, tls: tls.map(TlsIdentity::acceptor), severed }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Small answers follow each other on one connection: they must not wait for an ACK.
                    let _ = stream.set_nodelay(true);
                    let stage = match &self.tls {
                        Some(tls) => Stage::Handshake(Box::new(tls.accept(stream))),
                        None => Stage::Open(Box::new(stream)),
                    };
                    let severed = Box::pin(self.severed.clone().cancelled_owned());
                    return (Connection { stage, severed }, peer);
                }
                // Out of descriptors, or the client is gone already: neither ends the service.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One client's connection.
pub(crate) struct Connection {
    stage: Stage,
    severed: Pin<Box<WaitForCancellationFutureOwned>>,
}

enum Stage {
    Handshake(Box<Accept<TcpStream>>),
    Open(Box<dyn Transport>),
}

trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

impl Connection {
    /// The stream once it is open, or the error that ends it; registers to be woken when it is severed.
    fn stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Transport>>> {
        if self.severed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Stage::Handshake(accept) = &mut self.stage {
            self.stage = Stage::Open(Box::new(ready!(Pin::new(accept).poll(cx))?));
        }
        match &mut self.stage {
            Stage::Open(stream) => Poll::Ready(Ok(Pin::new(&mut **stream))),
            Stage::Handshake(_) => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.stream(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.stream(cx))?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        matches!(&self.stage, Stage::Open(stream) if stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream(cx))?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.stream(cx))?.poll_shutdown(cx)
    }
}

/// Who is asking.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Connections>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        Self(*stream.remote_addr())
    }
}
