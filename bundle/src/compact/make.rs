//! Making a blob compact, on the side that has time: find the recipe (a blob that is no gzip needs none), write the frames, and rebuild the whole blob with
//! the code that will do it on site. Whatever does not come out alike, or gains too little, stays as it is.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::sync::Arc;

use ferry_recompress::{FindError, find_recipe};

use super::blob::StoredBlob;
use super::frames::{SEGMENT, write_frame};
use super::rebuild::{RebuildError, Rebuilder};
use super::rebuilt::{Leans, Rebuilt, Segment};
use crate::archive::Region;
use crate::digest::{Digest, digest_reader};
use crate::index::Extent;

/// What must be gained for a blob to be stored compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// At least so many bytes.
    pub bytes: u64,
    /// At least this part of the blob, in percent.
    pub percent: u64,
}

impl Default for Limits {
    /// 64 KiB and 10 %: below, what is gained is not worth the time it takes on site.
    fn default() -> Self {
        Self { bytes: 64 << 10, percent: 10 }
    }
}

impl Limits {
    /// Whether storing `blob` bytes as `stored` gains enough.
    #[must_use]
    pub fn gained(&self, blob: u64, stored: u64) -> bool {
        stored + self.bytes <= blob && u128::from(stored) * 100 <= u128::from(blob) * u128::from(100 - self.percent)
    }
}

/// Why making a blob compact failed. That it can't be made compact is no failure.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// It can't be read.
    #[error("can't read blob {digest}")]
    Read {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// Looking for its recipe failed.
    #[error("can't look for the recipe of blob {digest}")]
    Find {
        /// The blob.
        digest: Digest,
        /// Why.
        source: FindError,
    },
    /// What was written can't be read back.
    #[error("can't write the frames of blob {digest}")]
    Write {
        /// The blob.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
}

/// An older blob that a newer one may lean on.
#[derive(Debug, Clone)]
pub struct Older {
    /// The older blob.
    pub blob: Extent,
    /// Its bytes.
    pub source: StoredBlob,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The frames, all of them.
    pub stored: Extent,
    /// How the blob is made from them.
    pub how: Rebuilt,
}

/// Writes the frames of `blob` to `out`, from its start. `None`: it is to stay as it is.
pub fn make(
    blob: Extent,
    source: &StoredBlob,
    older: Option<&Older>,
    limits: Limits,
    out: &File,
) -> Result<Option<Made>, MakeError> {
    let digest = blob.digest;
    let read = |source| MakeError::Read { digest, source };
    let write = |source| MakeError::Write { digest, source };
    let found = find_recipe(|| source.reader()).map_err(|source| MakeError::Find { digest, source })?;
    if found.is_none() && is_gzip(source).map_err(read)? {
        return Ok(None);
    }
    let leans_on = match older {
        // One step back and no further: an older blob is rebuilt from nothing else.
        Some(older) if !older.source.leans() => plain_extent(&older.source).ok().map(|plain| (older, plain)),
        _ => None,
    };
    // What hardly shrinks by itself (jars, models) may still be nearly the older blob: only trying it shows.
    if found.is_none() && leans_on.is_none() && !may_shrink(source, limits).map_err(read)? {
        return Ok(None);
    }
    let plain = plain_extent(source).map_err(read)?;
    out.set_len(0).map_err(write)?;
    let mut writer = BufWriter::with_capacity(1 << 20, Appending { file: out, at: 0 });
    let mut reader = source.reader().and_then(super::plain::plain).map_err(read)?;
    let mut segments = Vec::new();
    let mut at = 0;
    while at < plain.size {
        let length = SEGMENT.min(plain.size - at);
        let stretch = leans_on.as_ref().map(|(_, older)| beside(at, older.size));
        let older = match (&leans_on, stretch) {
            (Some((older, _)), Some((from, length))) => Some(older.source.plain_stretch(from, length).map_err(read)?),
            _ => None,
        };
        let stored = write_frame(&mut reader, length, older.as_deref(), &mut writer).map_err(write)?;
        let (from, of) = stretch.unzip();
        segments.push(Segment { stored, plain: length, from, length: of });
        at += length;
    }
    writer.flush().map_err(write)?;
    drop(writer);
    let size = segments.iter().map(|segment| segment.stored).sum();
    if !limits.gained(blob.size, size) {
        return Ok(None);
    }
    let leans_on = leans_on.map(|(older, plain)| (older, Leans { blob: older.blob, plain }));
    let how = Rebuilt {
        blob,
        plain,
        recipe: Rebuilt::recipe_text(found.as_ref()),
        segments,
        leans_on: leans_on.as_ref().map(|(_, leans)| *leans),
    };
    prove(how, leans_on.map(|(older, _)| older.source.clone()), out, size, digest)
}

/// Rebuilds the whole blob from what was written, with the code that does it on site.
fn prove(
    how: Rebuilt,
    older: Option<StoredBlob>,
    out: &File,
    size: u64,
    digest: Digest,
) -> Result<Option<Made>, MakeError> {
    let write = |source| MakeError::Write { digest, source };
    let stored = Region::new(Arc::new(out.try_clone().map_err(write)?), 0, size);
    let (stored_digest, _) = digest_reader(stored.reader()).map_err(write)?;
    let proven = Rebuilder::new(stored, how.clone(), older).and_then(|rebuilder| rebuilder.check(|_| {}));
    match proven {
        Ok(()) => Ok(Some(Made { stored: Extent { digest: stored_digest, size }, how })),
        Err(RebuildError::Plain(source)) => Err(write(source)),
        // It does not come out: then it is carried as it is.
        Err(_) => Ok(None),
    }
}

/// Where the older layer's stretch for a segment at `at` lies: at the same place, all of it where it is small.
fn beside(at: u64, older: u64) -> (u64, u64) {
    let length = older.min(SEGMENT);
    (at.min(older - length), length)
}

/// How much of a blob without a recipe is tried: enough to tell text and programs from what is compressed already.
const TRIED: u64 = 1 << 20;

/// Whether a blob is gzip: without a recipe it does not come out of its plain bytes.
fn is_gzip(source: &StoredBlob) -> io::Result<bool> {
    Ok(super::plain::plain(source.reader()?)?.is_gzip())
}

/// Whether a blob that is not gzip may gain something as it is.
fn may_shrink(source: &StoredBlob, limits: Limits) -> io::Result<bool> {
    let mut plain = super::plain::plain(source.reader()?)?;
    let length = TRIED.min(source.size());
    if length == 0 {
        return Ok(false);
    }
    let stored = write_frame(&mut plain, length, None, io::sink())?;
    Ok(Limits { bytes: 0, ..limits }.gained(length, stored))
}

fn plain_extent(source: &StoredBlob) -> io::Result<Extent> {
    let (digest, size) = digest_reader(super::plain::plain(source.reader()?)?)?;
    if size == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Extent { digest, size }) }
}

/// Writes at a place of its own, whatever the file's position is.
struct Appending<'a> {
    file: &'a File,
    at: u64,
}

impl io::Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = std::os::unix::fs::FileExt::write_at(self.file, bytes, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
