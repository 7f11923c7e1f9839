//! Writing a signed bundle in one pass, from blobs that are at hand. Each blob is hashed as it passes.

use std::io::{self, Read, Write};

use crate::assemble::{Piece, SignedBundle};
use crate::digest::{Digest, Hasher, READ_CHUNK};
use crate::index::Entry;

/// Why a bundle can't be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A blob can't be opened or read.
    #[error("can't read blob {digest}")]
    Read {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A blob that is not what its name says.
    #[error("blob {digest} has {length} bytes and digest {actual}: it was damaged where it was kept")]
    Damaged {
        /// The blob.
        digest: Digest,
        /// What it is.
        actual: Digest,
        /// How long it is.
        length: u64,
    },
    /// The archive can't be written.
    #[error("can't write the bundle")]
    Write(#[source] io::Error),
}

/// Writes the archive to `out`; `open` gives what is to be stored of each blob. `written` hears how many bytes have passed.
pub fn write<R: Read>(
    bundle: &SignedBundle,
    mut open: impl FnMut(&Entry) -> io::Result<R>,
    out: &mut impl Write,
    mut written: impl FnMut(u64),
) -> Result<(), WriteError> {
    let mut buffer = vec![0; READ_CHUNK];
    for piece in bundle.pieces() {
        let entry = match piece {
            Piece::Bytes(bytes) => {
                out.write_all(&bytes).map_err(WriteError::Write)?;
                written(bytes.len() as u64);
                continue;
            }
            Piece::Stored(entry) => entry,
        };
        let (digest, size) = (entry.digest, entry.size);
        let fail = |source| WriteError::Read { digest, source };
        // One byte more than it should have: a longer blob is noticed, an endless one is not read.
        let mut reader = open(entry).map_err(fail)?.take(size + 1);
        let mut hasher = Hasher::new();
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(fail(e)),
            };
            hasher.update(&buffer[..n]);
            out.write_all(&buffer[..n]).map_err(WriteError::Write)?;
            written(n as u64);
        }
        let length = hasher.length();
        let actual = hasher.finish();
        if actual != digest || length != size {
            return Err(WriteError::Damaged { digest, actual, length });
        }
    }
    out.flush().map_err(WriteError::Write)
}
