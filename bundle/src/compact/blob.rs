//! The one way to read a blob of a bundle, however it is stored: as it is, or made again while it is read.
//!
//! A blob that stands in the file as it is can be read from any place, and whoever reads all of it compares the digest,
//! or the receiver does. One that is made again has been compared when its last bytes come out.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::plain;
use super::rebuild::{self, RebuildError, Rebuilder};
use crate::archive::Region;
use crate::digest::{Digest, digest_reader};

/// A blob that can be read, more than once and by several at a time.
#[derive(Debug, Clone)]
pub struct StoredBlob(How);

#[derive(Debug, Clone)]
enum How {
    Verbatim(Region),
    Rebuilt(Arc<Rebuilder>),
}

impl From<Region> for StoredBlob {
    fn from(region: Region) -> Self {
        Self(How::Verbatim(region))
    }
}

impl From<Rebuilder> for StoredBlob {
    fn from(rebuilder: Rebuilder) -> Self {
        Self(How::Rebuilt(Arc::new(rebuilder)))
    }
}

impl StoredBlob {
    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.0 {
            How::Verbatim(region) => region.length(),
            How::Rebuilt(rebuilder) => rebuilder.how().blob.size,
        }
    }

    /// Its place in the file, if it stands there as it is.
    #[must_use]
    pub fn region(&self) -> Option<&Region> {
        match &self.0 {
            How::Verbatim(region) => Some(region),
            How::Rebuilt(_) => None,
        }
    }

    /// A reader from its beginning.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        match &self.0 {
            How::Verbatim(region) => Ok(Box::new(region.reader())),
            How::Rebuilt(rebuilder) => rebuild::reader(rebuilder.clone()),
        }
    }

    /// A reader from `offset`. What is made again is made from its beginning: this costs time, not space.
    pub fn reader_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        if let How::Verbatim(region) = &self.0 {
            return Ok(Box::new(region.reader_at(offset)));
        }
        let mut reader = self.reader()?;
        io::copy(&mut (&mut reader).take(offset), &mut io::sink())?;
        Ok(reader)
    }

    /// All of it in memory. For what is known to be small.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Makes a blob that is stored compact, to see whether it can be made. `read` hears how many bytes of it have come.
    pub fn check(&self, read: impl FnMut(u64)) -> Result<(), RebuildError> {
        match &self.0 {
            How::Verbatim(_) => Ok(()),
            How::Rebuilt(rebuilder) => rebuilder.check(read),
        }
    }

    /// Its digest, by reading all of it. What is made again is compared with the index too.
    pub fn digest(&self) -> Result<Digest, RebuildError> {
        match &self.0 {
            How::Verbatim(region) => {
                digest_reader(region.reader()).map(|(digest, _)| digest).map_err(RebuildError::HandedOn)
            }
            How::Rebuilt(rebuilder) => rebuilder.check(|_| {}).map(|()| rebuilder.how().blob.digest),
        }
    }

    /// `length` of its plain bytes, beginning at `from`, in memory.
    pub(super) fn plain_stretch(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        match &self.0 {
            How::Verbatim(region) => plain::stretch(region.reader(), from, length),
            How::Rebuilt(rebuilder) => rebuilder.plain_stretch(from, length),
        }
    }

    /// Whether it needs an older blob.
    pub(super) fn leans(&self) -> bool {
        matches!(&self.0, How::Rebuilt(rebuilder) if rebuilder.how().leans_on.is_some())
    }
}

/// Reads a blob at any place, cheaply as long as the places follow each other.
pub struct BlobCursor {
    blob: StoredBlob,
    running: Mutex<Option<(u64, Box<dyn Read + Send>)>>,
}

impl BlobCursor {
    /// Over this blob.
    #[must_use]
    pub fn new(blob: StoredBlob) -> Self {
        Self { blob, running: Mutex::new(None) }
    }

    /// The blob.
    #[must_use]
    pub fn blob(&self) -> &StoredBlob {
        &self.blob
    }

    /// Whether the blob is being made for it.
    pub(super) fn is_running(&self) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Stops making the blob, unless somebody reads from it at this moment; whether nobody did.
    pub(super) fn set_aside(&self) -> bool {
        self.running.try_lock().map(|mut running| *running = None).is_ok()
    }

    /// Reads at `offset`; 0 only at the end or into an empty buffer.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.blob.size() || buffer.is_empty() {
            return Ok(0);
        }
        if let Some(region) = self.blob.region() {
            return region.read_at(offset, buffer);
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reader = match running.take() {
            Some((at, reader)) if at == offset => reader,
            _ => self.blob.reader_at(offset)?,
        };
        let n = reader.read(buffer)?;
        // The last byte has been handed out only after the digest was compared; the thread behind it is done.
        if n > 0 && offset + (n as u64) < self.blob.size() {
            *running = Some((offset + n as u64, reader));
        }
        Ok(n)
    }
}
