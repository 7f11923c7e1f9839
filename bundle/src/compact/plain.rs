//! The plain bytes of a gzip blob: one member, and a stretch of it where an older layer is referred to.

use std::io::{self, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::digest::READ_CHUNK;

/// The plain bytes of a gzip blob.
pub(super) fn inflate<R: Read>(blob: R) -> GzDecoder<BufReader<R>> {
    GzDecoder::new(BufReader::with_capacity(READ_CHUNK, blob))
}

/// `length` plain bytes of a gzip blob, beginning at `from`, in memory.
pub(super) fn stretch(blob: impl Read, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut plain = inflate(blob);
    let skipped = io::copy(&mut (&mut plain).take(from), &mut io::sink())?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    plain.take(length).read_to_end(&mut bytes)?;
    if skipped == from && bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the older layer is shorter than it was"))
    }
}
