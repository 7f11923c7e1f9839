//! A blob of a bundle as what an upload reads, again from any place where an upload broke off.

use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::compact::{BlobCursor, StoredBlob};

use crate::source::{BlobSource, OpenBlob};

/// A blob of the archive, as a source that can be read again from any place.
pub(super) struct InBundle(pub(super) StoredBlob);

impl BlobSource for InBundle {
    fn open(&self, offset: u64) -> OpenBlob<'_> {
        let blob = self.0.clone();
        Box::pin(async move { Ok(Box::new(reader(blob, offset)) as _) })
    }
}

/// An async reader over a blob, in chunks read on blocking threads.
fn reader(blob: StoredBlob, offset: u64) -> impl tokio::io::AsyncRead + Send + Unpin {
    const CHUNK: usize = 512 * 1024;
    let (size, cursor) = (blob.size(), Arc::new(BlobCursor::new(blob)));
    let chunks = futures_util::stream::try_unfold(offset, move |at| {
        let cursor = cursor.clone();
        async move {
            if at >= size {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; CHUNK];
                cursor.read_at(at, &mut buffer).map(|n| {
                    buffer.truncate(n);
                    Bytes::from(buffer)
                })
            });
            let bytes = read.await.map_err(std::io::Error::other)??;
            let next = at + bytes.len() as u64;
            Ok::<_, std::io::Error>(Some((bytes, next)))
        }
    });
    tokio_util::io::StreamReader::new(Box::pin(chunks))
}
