//! The plain bytes of a blob: inflated where it is gzip, as they are where it is not; and a stretch of them where an older
//! blob is referred to. Both sides of a package must mean the same by it, so it depends on the blob alone.

use std::io::{self, BufRead as _, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::digest::READ_CHUNK;

/// How a gzip stream begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The plain bytes of a blob.
pub(super) enum Plain<R: Read> {
    /// It is gzip: its first member, inflated.
    Gzip(Box<GzDecoder<BufReader<R>>>),
    /// It is anything else.
    AsItIs(BufReader<R>),
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(reader) => reader.read(buffer),
            Self::AsItIs(reader) => reader.read(buffer),
        }
    }
}

impl<R: Read> Plain<R> {
    /// Whether the blob is gzip.
    pub(super) fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }
}

/// The plain bytes of a blob.
pub(super) fn plain<R: Read>(blob: R) -> io::Result<Plain<R>> {
    let mut blob = BufReader::with_capacity(READ_CHUNK, blob);
    let gzip = blob.fill_buf()?.starts_with(&GZIP);
    Ok(if gzip { Plain::Gzip(Box::new(GzDecoder::new(blob))) } else { Plain::AsItIs(blob) })
}

/// `length` plain bytes of a blob, beginning at `from`, in memory.
pub(super) fn stretch(blob: impl Read, from: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut plain = plain(blob)?;
    let skipped = io::copy(&mut (&mut plain).take(from), &mut io::sink())?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    plain.take(length).read_to_end(&mut bytes)?;
    if skipped == from && bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the older layer is shorter than it was"))
    }
}
