//! Response bodies read from a [`BlobReader`], with bounded memory.
//!
//! One chunk is with the network while the next is read on a blocking thread: two chunks of memory a
//! transfer, whatever the size of the blob, and no thread is held while a slow client makes up its mind.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use tokio::task::JoinHandle;

use super::content::BlobReader;

/// How much is read at a time, in bytes.
const CHUNK: u64 = 512 * 1024;

/// A body of `reader`'s bytes from `start` to before `end`. Its length is not declared: the caller does.
pub(crate) fn stream(reader: Arc<dyn BlobReader>, start: u64, end: u64) -> Body {
    Body::from_stream(Chunks { reader, next: start, end, reading: None })
}

struct Chunks {
    reader: Arc<dyn BlobReader>,
    next: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Chunks {
    /// Starts reading the next chunk, if one is left.
    fn read_ahead(&mut self) {
        if self.next < self.end {
            let (reader, offset) = (Arc::clone(&self.reader), self.next);
            let length = CHUNK.min(self.end - offset);
            self.next += length;
            self.reading = Some(tokio::task::spawn_blocking(move || read_chunk(&*reader, offset, length)));
        }
    }
}

impl Stream for Chunks {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.reading.is_none() {
            self.read_ahead();
        }
        let Some(reading) = self.reading.as_mut() else { return Poll::Ready(None) };
        let chunk = ready!(Pin::new(reading).poll(cx)).map_err(io::Error::other).flatten();
        self.reading = None;
        if chunk.is_ok() {
            self.read_ahead();
        } else {
            self.next = self.end;
        }
        Poll::Ready(Some(chunk))
    }
}

fn read_chunk(reader: &dyn BlobReader, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read_at(offset + filled as u64, &mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(buffer.into())
}
