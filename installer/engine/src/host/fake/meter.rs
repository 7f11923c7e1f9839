//! What goes over a fake host's connections: bytes on the wire both ways, commands, and what commands were given to read.
//!
//! The wire's bytes are counted outside of SSH, so they hold handshakes, padding and signs of life, as a real link would carry
//! them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::State;

/// What has gone over a host's connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came to the host.
    pub received: u64,
    /// Bytes that the host sent.
    pub sent: u64,
    /// Bytes that commands with a scripted answer were given on standard input.
    pub input: u64,
    /// Commands.
    pub commands: u64,
}

/// The same, as it grows.
#[derive(Debug, Default)]
pub(super) struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
    input: AtomicU64,
    commands: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn command(&self) {
        add(&self.commands, 1);
    }

    pub(super) fn input(&self, bytes: usize) {
        add(&self.input, bytes);
    }

    pub(super) fn read(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            received: of(&self.received),
            sent: of(&self.sent),
            input: of(&self.input),
            commands: of(&self.commands),
        }
    }
}

/// A connection whose bytes are counted.
pub(super) struct Metered {
    stream: TcpStream,
    state: Arc<State>,
}

impl Metered {
    pub(super) fn new(stream: TcpStream, state: Arc<State>) -> Self {
        Self { stream, state }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        add(&self.state.traffic.received, buffer.filled().len() - before);
        result
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &result {
            add(&self.state.traffic.sent, *written);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
