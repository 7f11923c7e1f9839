//! Which recipe made a blob: the candidates that its header leaves, most likely first, each tried on the blob itself.
//!
//! A try inflates the blob, encodes it again and compares as it goes; it ends at the first byte that differs, for a
//! wrong level within the first blocks. A recipe is only returned when every byte of the blob, header to trailer, was
//! made again by the code that will make it on site.

use std::io::{self, BufReader, Read, Write};

use flate2::read::DeflateDecoder;

use crate::encode::encode_with_borders;
use crate::error::{EncodeError, FindError};
use crate::gzip::GzipHeader;
use crate::recipe::{EncoderId, Recipe, Writes};

/// Plain bytes between two borders.
const SPACING: u64 = 4 << 20;
const BUFFER: usize = 64 * 1024;

/// The recipes that could have made a blob with this header, most likely first.
pub fn candidates(header: &GzipHeader) -> Vec<Recipe> {
    // Go names level 9 and level 1 in the header and no other. zlib does the same, and calls itself Unix.
    let levels: &[i8] = match header.effort_hint() {
        2 => &[9],
        4 => &[1],
        0 => &[6, 5, 7, 4, 8, 3, 2, -2, 0],
        _ => &[],
    };
    let recipe =
        |encoder, level, writes| Recipe { encoder, level, writes, header: header.clone(), borders: Vec::new() };
    let mut candidates = Vec::new();
    for &level in levels {
        // How writes were cut shows in levels 2 to 9 only.
        let cuts: &[Writes] = if level >= 2 { &[Writes::TarEntries, Writes::Aligned] } else { &[Writes::Aligned] };
        candidates.extend(cuts.iter().map(|writes| recipe(EncoderId::GoFlateClassicV1, level, *writes)));
    }
    if header.effort_hint() == 0 {
        // Before the less likely levels of Go; before all of them where the time gives pgzip away.
        let pgzip = recipe(EncoderId::KlauspostPgzipV1, 5, Writes::Aligned);
        candidates.insert(if header.is_of_pgzip() { 0 } else { 2 }, pgzip);
        candidates.insert(3, recipe(EncoderId::KlauspostGzipV1, 5, Writes::Aligned));
    }
    candidates
}

/// The recipe that makes this blob, or `None` where no encoder here does; such a blob is stored as it is.
///
/// `open` opens the blob from its beginning, twice for each try. Memory is bounded by the encoder's.
pub fn find_recipe<R: Read>(mut open: impl FnMut() -> io::Result<R>) -> Result<Option<Recipe>, FindError> {
    let blob = open().map_err(FindError::Open)?;
    let header = GzipHeader::read(BufReader::new(blob)).map_err(|source| FindError::Read { at: 0, source })?;
    let Some(header) = header else { return Ok(None) };
    for mut recipe in candidates(&header) {
        let original = open().map_err(FindError::Open)?;
        let mut to_inflate = open().map_err(FindError::Open)?;
        let mut skipped = vec![0; header.bytes().len()];
        to_inflate.read_exact(&mut skipped).map_err(|source| FindError::Read { at: 0, source })?;
        if rebuilds(&mut recipe, to_inflate, original)? {
            return Ok(Some(recipe));
        }
    }
    Ok(None)
}

/// Whether encoding what `deflated` inflates to gives `original`, all of it.
fn rebuilds(recipe: &mut Recipe, deflated: impl Read, original: impl Read) -> Result<bool, FindError> {
    let mut compared = Compared { original: BufReader::with_capacity(BUFFER, original), at: 0, verdict: Verdict::Same };
    let source = Watched { reader: BufReader::with_capacity(BUFFER, deflated), failed: None };
    let mut plain = DeflateDecoder::new(source);
    let mut borders = Vec::new();
    let encoded = encode_with_borders(recipe, &mut plain, &mut compared, SPACING, |border| borders.push(border));
    recipe.borders = borders;
    if let Some(source) = plain.into_inner().failed {
        return Err(FindError::Read { at: compared.at, source });
    }
    match (encoded, compared.verdict) {
        (_, Verdict::Failed(source)) => Err(FindError::Read { at: compared.at, source }),
        (Ok(_), Verdict::Same) => {
            let at = compared.at;
            let more = compared.original.read(&mut [0]).map_err(|source| FindError::Read { at, source })?;
            Ok(more == 0)
        }
        // A difference, a damaged stream or a level this encoder lacks: not this recipe.
        (Ok(_), Verdict::Differs)
        | (Err(EncodeError::Read { .. } | EncodeError::Write { .. } | EncodeError::Recipe(_)), _) => Ok(false),
    }
}

enum Verdict {
    Same,
    Differs,
    Failed(io::Error),
}

/// A writer that compares with the original.
struct Compared<R> {
    original: BufReader<R>,
    at: u64,
    verdict: Verdict,
}

impl<R: Read> Write for Compared<R> {
    fn write(&mut self, made: &[u8]) -> io::Result<usize> {
        let mut expected = [0; 4096];
        let length = made.len().min(expected.len());
        let expected = &mut expected[..length];
        match self.original.read_exact(expected) {
            Ok(()) if *expected == made[..length] => {
                self.at += length as u64;
                return Ok(length);
            }
            Ok(()) => self.verdict = Verdict::Differs,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.verdict = Verdict::Differs,
            Err(error) => self.verdict = Verdict::Failed(error),
        }
        Err(io::Error::other("the blob differs here"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that remembers that it failed, so that a failing disk is not taken for a damaged stream.
struct Watched<R> {
    reader: R,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer).map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failed = Some(error);
            told
        })
    }
}
