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
/// The system that zlib and gzip name, unless Python or Java write the header for zlib. Go's encoders name none.
const UNIX: u8 = 3;

/// The recipes that could have made a blob with this header, most likely first.
pub fn candidates(header: &GzipHeader) -> Vec<Recipe> {
    use EncoderId::{
        GnuGzipV1, GoFlate127V1, GoFlateClassicV1, KlauspostGzipV1, KlauspostGzipV2, KlauspostPgzipV1,
        KlauspostPgzipV2, ZlibV1,
    };
    // Level 9 and level 1 are named in the header and no other; by whom the header is written for zlib, sometimes not.
    let (own, levels, of_c): (_, &[i8], &[i8]) = match header.effort_hint() {
        2 => ((9, 9), &[9], &[9]),
        4 => ((1, 1), &[1], &[1]),
        0 => ((6, 5), &[6, 5, 7, 4, 8, 3, 2, -2, 0], &[6, 5, 7, 4, 8, 3, 2, 9, 1]),
        _ => return Vec::new(),
    };
    let with = |encoder: EncoderId, level| (encoder, level);
    let c: Vec<_> = of_c.iter().flat_map(|level| [with(ZlibV1, *level), with(GnuGzipV1, *level)]).collect();
    let pgzip = [with(KlauspostPgzipV1, own.1), with(KlauspostPgzipV2, own.1)];
    let go = [with(GoFlateClassicV1, own.0), with(GoFlate127V1, own.0)];
    let klauspost = [with(KlauspostGzipV1, own.1), with(KlauspostGzipV2, own.1)];
    // First what each does by itself: pgzip where the time gives it away, then Go, otherwise the other way round.
    let mut likely = if header.system() == UNIX { c.clone() } else { Vec::new() };
    if header.is_of_pgzip() {
        likely.extend(pgzip);
    }
    likely.extend(go.into_iter().chain(pgzip).chain(klauspost));
    for encoder in [GoFlateClassicV1, GoFlate127V1] {
        likely.extend(levels.iter().map(|level| with(encoder, *level)));
    }
    likely.extend(c);
    for encoder in [KlauspostPgzipV1, KlauspostPgzipV2, KlauspostGzipV1, KlauspostGzipV2] {
        likely.extend(levels.iter().map(|level| with(encoder, *level)));
    }
    let mut candidates = Vec::new();
    for (at, (encoder, level)) in likely.iter().enumerate() {
        if likely[..at].contains(&(*encoder, *level)) {
            continue;
        }
        // How writes were cut shows in levels 2 to 9 of the classic encoder only.
        let shows = *encoder == GoFlateClassicV1 && *level >= 2;
        let cuts: &[Writes] = if shows { &[Writes::TarEntries, Writes::Aligned] } else { &[Writes::Aligned] };
        candidates.extend(cuts.iter().map(|writes| Recipe {
            encoder: *encoder,
            level: *level,
            writes: *writes,
            header: header.clone(),
            borders: Vec::new(),
        }));
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
