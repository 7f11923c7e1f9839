//! From stored frames back to the blob: unpacked on one thread, encoded by the producer's encoder on others, hashed, and
//! never handed out to its end unless the digest is right.
//!
//! What is written about a blob may be a lie, signed or not: each frame gives exactly the bytes it was said to give,
//! the blob stops at its size, and a recipe whose borders would take much memory is followed on one thread.

use std::io::{self, Read, Write};
use std::sync::Arc;

use ferry_recompress::{EncodeError, Recipe, encode, encode_parallel};

use super::blob::StoredBlob;
use super::frames::Frame;
use super::pipe::{Giver, pipe};
use super::rebuilt::{Rebuilt, Segment};
use crate::archive::{Region, RegionReader};
use crate::digest::{Digest, Hasher, READ_CHUNK};

/// The most plain bytes between two borders of a recipe that are worked on at once, in memory: ferry writes borders some
/// 4 MiB apart.
const MAX_BETWEEN_BORDERS: u64 = 32 << 20;

/// The most threads for one blob: its memory grows by about 12 MiB with each.
const MAX_WORKERS: usize = 4;

/// Why a blob can't be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// What the index says about it is impossible.
    #[error("{0}")]
    Impossible(String),
    /// The older blob that it leans on is not at hand.
    #[error("the older blob {0} is needed for it and is not here")]
    Older(Digest),
    /// Its frames can't be read or unpacked.
    #[error("its frames can't be unpacked")]
    Plain(#[source] io::Error),
    /// Its plain bytes are not what the index says.
    #[error("its plain bytes should be {expected} and are {actual}")]
    PlainDigest {
        /// By the index.
        expected: Digest,
        /// As unpacked.
        actual: Digest,
    },
    /// The recipe can't be followed.
    #[error("its recipe can't be followed")]
    Encode(#[source] EncodeError),
    /// Something else came out.
    #[error("what comes out should be {expected} with {size} bytes, and is {actual} with {length}")]
    Blob {
        /// By the index.
        expected: Digest,
        /// By the index.
        size: u64,
        /// As made.
        actual: Digest,
        /// As made.
        length: u64,
    },
    /// More came out than the index says.
    #[error("more comes out than the {0} bytes that the index says")]
    TooLong(u64),
    /// Whoever takes the bytes does not want any more.
    #[error("the bytes can't be handed on")]
    HandedOn(#[source] io::Error),
}

impl From<RebuildError> for io::Error {
    fn from(error: RebuildError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// A blob that is made from stored frames whenever it is read.
#[derive(Debug)]
pub struct Rebuilder {
    stored: Region,
    how: Rebuilt,
    recipe: Option<Recipe>,
    older: Option<StoredBlob>,
    in_parallel: bool,
}

impl Rebuilder {
    /// The blob that `how` makes of the frames in `stored`; `older` is the blob that it leans on.
    pub fn new(stored: Region, how: Rebuilt, older: Option<StoredBlob>) -> Result<Self, RebuildError> {
        how.check(stored.length()).map_err(RebuildError::Impossible)?;
        let recipe = how.recipe().map_err(RebuildError::Impossible)?;
        if let Some(leans) = &how.leans_on
            && older.is_none()
        {
            return Err(RebuildError::Older(leans.blob.digest));
        }
        let mut at = 0;
        let borders = recipe.iter().flat_map(|recipe| &recipe.borders);
        let ends = borders.map(ferry_recompress::Border::plain_end).chain([how.plain.size]);
        let in_parallel = ends.into_iter().all(|end| {
            let near = end >= at && end - at <= MAX_BETWEEN_BORDERS;
            at = end;
            near
        });
        Ok(Self { stored, how, recipe, older, in_parallel })
    }

    /// What the index says about it.
    #[must_use]
    pub fn how(&self) -> &Rebuilt {
        &self.how
    }

    /// Makes the blob, to see whether it can be made. `read` hears how many bytes of it have come.
    pub fn check(&self, read: impl FnMut(u64)) -> Result<(), RebuildError> {
        self.write(&mut Heard { out: io::sink(), read })
    }

    /// Writes the blob. The last piece is only handed on when the digest of all is right.
    pub fn write(&self, out: &mut impl Write) -> Result<(), RebuildError> {
        let blob = self.how.blob;
        let mut sealed = Sealed { out, held: Vec::new(), hasher: Hasher::new(), size: blob.size, stopped: None };
        let (encoded, unpacked) = std::thread::scope(|scope| {
            let (giver, taker) = pipe();
            let unpacking = scope.spawn(move || self.unpack(giver));
            let workers = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, MAX_WORKERS));
            let encoded = match &self.recipe {
                Some(recipe) if self.in_parallel => encode_parallel(recipe, taker, &mut sealed, workers).map(drop),
                Some(recipe) => encode(recipe, taker, &mut sealed).map(drop),
                None => copy(taker, &mut sealed),
            };
            (encoded, unpacking.join())
        });
        let Sealed { out, held, hasher, stopped, .. } = sealed;
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        // What went wrong first is what to tell: a recipe can't be followed on bytes that did not come.
        match unpacked {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        encoded.map_err(RebuildError::Encode)?;
        let length = hasher.length();
        let actual = hasher.finish();
        if actual != blob.digest || length != blob.size {
            return Err(RebuildError::Blob { expected: blob.digest, size: blob.size, actual, length });
        }
        out.write_all(&held).and_then(|()| out.flush()).map_err(RebuildError::HandedOn)
    }

    /// Gives the plain bytes to the encoder. It may stop listening, which is its own affair.
    fn unpack(&self, mut giver: Giver) -> Result<(), RebuildError> {
        let mut hasher = Hasher::new();
        let mut unread = false;
        let result = self.each_plain(&mut |bytes| {
            hasher.update(bytes);
            giver.write_all(bytes).inspect_err(|_| unread = true)
        });
        if unread {
            return Ok(());
        }
        let result = result.map_err(RebuildError::Plain).and_then(|()| {
            let (expected, actual) = (self.how.plain.digest, hasher.finish());
            if actual == expected { Ok(()) } else { Err(RebuildError::PlainDigest { expected, actual }) }
        });
        giver.end(match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(io::Error::other(error.to_string())),
        });
        result
    }

    /// Hands all plain bytes to `take`, in order.
    fn each_plain(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut reader = self.stored.reader();
        for segment in &self.how.segments {
            self.each_of(segment, &mut reader, take)?;
        }
        Ok(())
    }

    fn each_of(
        &self,
        segment: &Segment,
        stored: &mut RegionReader,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let older = match (&self.older, segment.stretch()) {
            (Some(older), Some((from, length))) => Some(older.plain_stretch(from, length)?),
            _ => None,
        };
        let mut frame = Frame::open(stored, segment.stored, segment.plain, older.as_deref())?;
        let mut buffer = vec![0; READ_CHUNK];
        loop {
            match frame.read(&mut buffer)? {
                0 => return Ok(()),
                n => take(&buffer[..n])?,
            }
        }
    }

    /// `length` of the plain bytes, beginning at `from`, in memory. For a blob that a newer one leans on.
    pub(super) fn plain_stretch(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        let (end, mut at) = (from + length, 0_u64);
        let enough = || io::Error::from(io::ErrorKind::WriteZero);
        let read = self.each_plain(&mut |chunk| {
            let (first, last) = (at, at + chunk.len() as u64);
            at = last;
            let cut = |place: u64| usize::try_from(place.clamp(first, last) - first).unwrap_or(chunk.len());
            bytes.extend_from_slice(&chunk[cut(from)..cut(end)]);
            if last >= end { Err(enough()) } else { Ok(()) }
        });
        match read {
            _ if bytes.len() as u64 == length => Ok(bytes),
            Err(error) => Err(error),
            Ok(()) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the older layer is shorter than it was")),
        }
    }
}

/// Where the plain bytes are the blob.
fn copy(mut plain: impl Read, out: &mut impl Write) -> Result<(), EncodeError> {
    let copied = io::copy(&mut plain, out);
    copied.map(drop).map_err(|source| EncodeError::Read { at: 0, source })
}

/// Hashes what passes, stops at the size, and holds the newest piece back.
struct Sealed<'a, W> {
    out: &'a mut W,
    held: Vec<u8>,
    hasher: Hasher,
    size: u64,
    stopped: Option<RebuildError>,
}

impl<W: Write> Write for Sealed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stop = |sealed: &mut Self, error| {
            sealed.stopped = Some(error);
            Err(io::Error::other("the blob is not what it should be"))
        };
        if self.hasher.length() + bytes.len() as u64 > self.size {
            return stop(self, RebuildError::TooLong(self.size));
        }
        if !bytes.is_empty() {
            let held = std::mem::take(&mut self.held);
            if let Err(error) = self.out.write_all(&held) {
                return stop(self, RebuildError::HandedOn(error));
            }
            self.hasher.update(bytes);
            self.held = held;
            self.held.clear();
            self.held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Heard<W, F> {
    out: W,
    read: F,
}

impl<W: Write, F: FnMut(u64)> Write for Heard<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        (self.read)(n as u64);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The blob, from a thread that makes it while it is read.
pub(super) fn reader(rebuilder: Arc<Rebuilder>) -> io::Result<Box<dyn Read + Send>> {
    let (mut giver, taker) = pipe();
    let making = std::thread::Builder::new().name("rebuild".into());
    making.spawn(move || {
        let result = rebuilder.write(&mut giver).map_err(io::Error::from);
        giver.end(result);
    })?;
    Ok(Box::new(taker))
}
