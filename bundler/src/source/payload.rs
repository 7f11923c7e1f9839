//! What is sent: nothing, a few bytes, or a stream of known length read from a [`BlobSource`].
//!
//! A stream counts what it hands over, because that is the only sign of life during a long upload, and
//! keeps the error of its reader apart from those of the network: a bad disk is not a reason to try again.

use std::future::Future;
use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// A reader of content to be uploaded.
pub type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

/// What [`BlobSource::open`] returns.
pub type OpenBlob<'a> = Pin<Box<dyn Future<Output = io::Result<BlobReader>> + Send + 'a>>;

/// Content that can be read again from any offset: what an upload that can resume needs.
pub trait BlobSource: Send + Sync {
    /// A reader from `offset` (bytes) to the end.
    fn open(&self, offset: u64) -> OpenBlob<'_>;
}

impl BlobSource for Bytes {
    fn open(&self, offset: u64) -> OpenBlob<'_> {
        Box::pin(async move {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
            Ok(Box::new(io::Cursor::new(self.slice(start..))) as BlobReader)
        })
    }
}

/// A part of a file: a blob in a store, or one inside a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSection {
    /// The file.
    pub path: PathBuf,
    /// Where the content starts in it, in bytes.
    pub start: u64,
    /// How long the content is, in bytes.
    pub length: u64,
}

impl BlobSource for FileSection {
    fn open(&self, offset: u64) -> OpenBlob<'_> {
        Box::pin(async move {
            let mut file = tokio::fs::File::open(&self.path).await?;
            file.seek(SeekFrom::Start(self.start + offset)).await?;
            Ok(Box::new(file.take(self.length.saturating_sub(offset))) as BlobReader)
        })
    }
}

/// The body of a request.
pub(super) enum Payload {
    Empty,
    Bytes(Bytes),
    Stream(Outflow),
}

/// A body of known length that is read while it is sent.
pub(super) struct Outflow {
    pub(super) length: u64,
    reader: BlobReader,
    pub(super) gauge: Gauge,
}

/// What is known from outside about an [`Outflow`] under way.
#[derive(Clone, Default)]
pub(super) struct Gauge {
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Gauge {
    /// Bytes handed to the connection.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The reader's error, if that is what ended it. Taken once.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How much is read from the disk at a time.
const CHUNK: usize = 256 * 1024;

impl Outflow {
    /// The next `length` bytes of `reader`.
    pub(super) fn new(reader: BlobReader, length: u64) -> Self {
        Self { length, reader, gauge: Gauge::default() }
    }

    /// As a request body. A reader that ends early breaks the request off, and the gauge says why.
    pub(super) fn into_body(self) -> reqwest::Body {
        let Self { length, reader, gauge } = self;
        let chunks = ReaderStream::with_capacity(reader.take(length), CHUNK);
        let end = futures_util::stream::once(async { Err(io::Error::from(io::ErrorKind::UnexpectedEof)) });
        let mut left = length;
        let stream = chunks.chain(end).scan(false, move |ended, chunk| {
            let item = match chunk {
                _ if *ended => None,
                Ok(bytes) => {
                    left -= bytes.len() as u64;
                    gauge.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    Some(Ok(bytes))
                }
                Err(_) if left == 0 => None,
                Err(error) => {
                    let kind = error.kind();
                    *gauge.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    *ended = true;
                    Some(Err(io::Error::from(kind)))
                }
            };
            std::future::ready(item)
        });
        reqwest::Body::wrap_stream(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(source: &dyn BlobSource, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        source.open(offset).await.unwrap().read_to_end(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn sources_start_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack");
        std::fs::write(&path, b"0123456789").unwrap();
        let section = FileSection { path, start: 2, length: 5 };
        assert_eq!(all(&section, 0).await, b"23456");
        assert_eq!(all(&section, 3).await, b"56");
        assert_eq!(all(&section, 9).await, b"");
        let bytes = Bytes::from_static(b"abc");
        assert_eq!(all(&bytes, 1).await, b"bc");
        assert_eq!(all(&bytes, 9).await, b"");
    }
}
