//! One blob on several processors: segments between the borders of a recipe, each on a thread of its own.
//!
//! A segment needs what the window held at its border and the plain bytes up to where the window ends at the next one.
//! It then runs a little beyond that border, and what it made there is cut off. Memory: for each worker the plain and
//! gzip bytes of two segments (some 4 MiB each) and the encoder's state.

use std::io::{Read, Write};

use crate::encode::{Counted, Encoded, encode, fill, flavour_and_pieces};
use crate::error::{EncodeError, RecipeError};
use crate::go::border::Border;
use crate::go::encoder::GoEncoder;
use crate::gzip::{Crc, trailer};
use crate::pieces::encode_pieces;
use crate::recipe::Recipe;
use crate::workers::in_order;
use crate::writes::Cutter;

const BUFFER: usize = 64 * 1024;

/// As [`encode`], with up to `workers` threads where the recipe has borders or the encoder makes independent pieces.
pub fn encode_parallel(
    recipe: &Recipe,
    mut plain: impl Read,
    out: impl Write,
    workers: usize,
) -> Result<Encoded, EncodeError> {
    recipe.check()?;
    if let Some((flavour, true)) = flavour_and_pieces(recipe.encoder).filter(|_| workers >= 2) {
        return encode_pieces(recipe, flavour, plain, out, workers);
    }
    if workers < 2 || recipe.borders.is_empty() {
        return encode(recipe, plain, out);
    }
    let mut out = Joined { out: Counted { out, written: 0 }, partial: 0 };
    out.out.write(recipe.header.bytes())?;
    let mut checksum = Crc::new();
    let mut read = 0;
    let mut feed = Feed { bytes: Vec::new(), base: 0, cuts: Vec::new(), cutter: Cutter::new(recipe.writes) };
    let mut buffer = vec![0; BUFFER];
    let mut indices = 0..=recipe.borders.len();
    let next = || {
        let Some(index) = indices.next() else { return Ok(None) };
        let (from, to) = (index.checked_sub(1).map(|before| &recipe.borders[before]), recipe.borders.get(index));
        let end = to.map_or(u64::MAX, Border::plain_end);
        while read < end {
            let filled = fill(&mut plain, &mut buffer).map_err(|source| EncodeError::Read { at: read, source })?;
            checksum.update(&buffer[..filled]);
            feed.take(&buffer[..filled]);
            read += filled as u64;
            if filled < buffer.len() {
                break;
            }
        }
        let segment = feed.segment(recipe.level, from, to).ok_or(RecipeError::Borders)?;
        Ok::<_, EncodeError>(Some(segment))
    };
    in_order(workers, |segment: Segment| segment.make(), next, |made| out.join(made))?;
    out.out.write(&trailer(&checksum))?;
    Ok(Encoded { plain: read, gzip: out.out.written })
}

/// Plain bytes that segments still need, and where writes ended in them.
struct Feed {
    bytes: Vec<u8>,
    base: u64,
    cuts: Vec<u64>,
    cutter: Cutter,
}

impl Feed {
    fn take(&mut self, plain: &[u8]) {
        let mut rest = plain;
        while !rest.is_empty() {
            let (one, others) = rest.split_at(self.cutter.cut(rest));
            self.bytes.extend_from_slice(one);
            self.cuts.push(self.base + self.bytes.len() as u64);
            rest = others;
        }
    }

    /// The segment between two borders; `None` if the plain bytes end before. What comes before the next one is let go.
    fn segment<'a>(&mut self, level: i8, from: Option<&'a Border>, to: Option<&'a Border>) -> Option<Segment<'a>> {
        let end = to.map_or(self.base + self.bytes.len() as u64, Border::plain_end);
        let length = usize::try_from(end.checked_sub(self.base)?).ok()?;
        let plain = self.bytes.get(..length)?.to_vec();
        let held = from.map_or(0, Border::held);
        let base = self.base;
        let within = |cut: &u64| {
            let cut = usize::try_from(cut.checked_sub(base)?).ok()?;
            (held < cut && cut < length).then_some(cut)
        };
        let mut cuts: Vec<usize> = self.cuts.iter().filter_map(within).collect();
        cuts.push(length);
        if let Some(to) = to {
            let dropped = usize::try_from(to.base.checked_sub(self.base)?).ok()?;
            self.bytes.drain(..dropped.min(self.bytes.len()));
            self.base = to.base;
            self.cuts.retain(|cut| *cut > to.base);
        }
        Some(Segment { level, from, to, plain, cuts })
    }
}

/// What a thread works on.
struct Segment<'a> {
    level: i8,
    from: Option<&'a Border>,
    to: Option<&'a Border>,
    plain: Vec<u8>,
    /// Ends of writes in `plain`, behind what the window holds already.
    cuts: Vec<usize>,
}

/// The gzip bytes of a segment, and the first bits of the byte that it shares with the next one.
struct Made {
    bytes: Vec<u8>,
    partial: u8,
}

impl Segment<'_> {
    /// `None` if the borders do not fit the plain bytes.
    fn make(&self) -> Option<Made> {
        let held = self.from.map_or(0, Border::held);
        let mut encoder = match self.from {
            Some(border) => GoEncoder::resume(self.level, border, self.plain.get(..held)?)?,
            None => GoEncoder::new(self.level)?,
        };
        let mut start = held;
        for &end in &self.cuts {
            encoder.write(self.plain.get(start..end)?);
            start = end;
        }
        let Some(to) = self.to else {
            encoder.finish();
            let (bytes, partial) = encoder.into_bytes_and_partial();
            return Some(Made { bytes, partial });
        };
        let (mut bytes, partial) = encoder.into_bytes_and_partial();
        let length = usize::try_from(to.gzip.checked_sub(self.from.map_or(0, |from| from.gzip))?).ok()?;
        let shared = *bytes.get(length).or((bytes.len() == length).then_some(&partial))?;
        bytes.truncate(length);
        Some(Made { bytes, partial: shared & ((1u8 << to.phase) - 1) })
    }
}

/// The output, with the first bits of the next byte.
struct Joined<W> {
    out: Counted<W>,
    partial: u8,
}

impl<W: Write> Joined<W> {
    /// Appends a segment, which shares its first byte with the one before.
    fn join(&mut self, made: Option<Made>) -> Result<(), EncodeError> {
        let Made { mut bytes, partial } = made.ok_or(RecipeError::Borders)?;
        if let Some(first) = bytes.first_mut() {
            *first |= self.partial;
            self.partial = partial;
        }
        self.out.write(&bytes)
    }
}
