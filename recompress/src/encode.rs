//! Plain bytes and a recipe in, the gzip blob out.
//!
//! Memory is bounded: one read buffer, the encoder's state (below 2 MiB) and the output of one block. Buffers are
//! filled before they are used, so that where they end (multiples of 64 KiB) can't show in the result.

use std::io::{Read, Write};

use crate::error::{EncodeError, RecipeError};
use crate::go::border::Border;
use crate::go::encoder::GoEncoder;
use crate::gzip::{Crc, trailer};
use crate::klauspost::encoder::KlauspostEncoder;
use crate::klauspost::flavour::Flavour;
use crate::recipe::{EncoderId, Recipe};
use crate::writes::Cutter;
use crate::zlib::dialect::Dialect;
use crate::zlib::encoder::ZlibEncoder;

const BUFFER: usize = 64 * 1024;

/// What a blob measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded {
    /// Plain bytes read.
    pub plain: u64,
    /// Gzip bytes written.
    pub gzip: u64,
}

/// Writes the gzip blob that `recipe` makes of `plain`.
pub fn encode(recipe: &Recipe, plain: impl Read, out: impl Write) -> Result<Encoded, EncodeError> {
    encode_with_borders(recipe, plain, out, u64::MAX, |_| {})
}

/// As [`encode`]; hands on a border after every `spacing` plain bytes, where the encoder has such.
pub(crate) fn encode_with_borders(
    recipe: &Recipe,
    mut plain: impl Read,
    out: impl Write,
    spacing: u64,
    mut keep: impl FnMut(Border),
) -> Result<Encoded, EncodeError> {
    recipe.check()?;
    let mut encoder = Encoder::new(recipe)?;
    let mut out = Counted { out, written: 0 };
    let mut cutter = Cutter::new(recipe.writes);
    let mut checksum = Crc::new();
    let mut buffer = vec![0; BUFFER];
    let mut read = 0;
    out.write(recipe.header.bytes())?;
    loop {
        let filled = fill(&mut plain, &mut buffer).map_err(|source| EncodeError::Read { at: read, source })?;
        let mut rest = &buffer[..filled];
        checksum.update(rest);
        while !rest.is_empty() {
            let (one, others) = rest.split_at(cutter.cut(rest));
            encoder.write(one);
            rest = others;
        }
        if let Encoder::Go(encoder) = &mut encoder {
            if let Some(border) = encoder.take_border() {
                keep(border);
            }
            if read / spacing != (read + filled as u64) / spacing {
                encoder.want_border();
            }
        }
        read += filled as u64;
        let last = filled < buffer.len();
        if last {
            encoder.finish();
        }
        out.write(encoder.ready())?;
        encoder.taken();
        if last {
            break;
        }
    }
    out.write(&trailer(&checksum))?;
    Ok(Encoded { plain: read, gzip: out.written })
}

/// The encoder of a recipe.
enum Encoder {
    Go(Box<GoEncoder>),
    Klauspost(Box<KlauspostEncoder>),
    Zlib(Box<ZlibEncoder>),
}

impl Encoder {
    fn new(recipe: &Recipe) -> Result<Self, RecipeError> {
        let (id, level) = (recipe.encoder, recipe.level);
        let zlib = |dialect| ZlibEncoder::new(dialect, level).map(|encoder| Self::Zlib(Box::new(encoder)));
        let encoder = match id {
            EncoderId::GoFlateClassicV1 => GoEncoder::new(level).map(|encoder| Self::Go(Box::new(encoder))),
            EncoderId::ZlibV1 => zlib(Dialect::Zlib),
            EncoderId::GnuGzipV1 => zlib(Dialect::GnuGzip),
            _ => flavour_and_pieces(id).and_then(|(flavour, in_pieces)| {
                let encoder = KlauspostEncoder::new(flavour, level, in_pieces)?;
                Some(Self::Klauspost(Box::new(encoder)))
            }),
        };
        encoder.ok_or(RecipeError::Level { encoder: id.name(), level })
    }

    /// One write of the producer.
    fn write(&mut self, plain: &[u8]) {
        match self {
            Self::Go(encoder) => encoder.write(plain),
            Self::Klauspost(encoder) => encoder.write(plain),
            Self::Zlib(encoder) => encoder.write(plain),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Go(encoder) => encoder.finish(),
            Self::Klauspost(encoder) => encoder.finish(),
            Self::Zlib(encoder) => encoder.finish(),
        }
    }

    /// The compressed bytes that are complete.
    fn ready(&self) -> &[u8] {
        match self {
            Self::Go(encoder) => encoder.ready(),
            Self::Klauspost(encoder) => encoder.ready(),
            Self::Zlib(encoder) => encoder.ready(),
        }
    }

    /// What was [`Self::ready`] has been written elsewhere.
    fn taken(&mut self) {
        match self {
            Self::Go(encoder) => encoder.taken(),
            Self::Klauspost(encoder) => encoder.taken(),
            Self::Zlib(encoder) => encoder.taken(),
        }
    }
}

/// Which of the encoders that klauspost/compress began it is, and whether it cuts the plain bytes into pieces.
pub(crate) fn flavour_and_pieces(id: EncoderId) -> Option<(Flavour, bool)> {
    match id {
        EncoderId::KlauspostPgzipV1 => Some((Flavour::Early, true)),
        EncoderId::KlauspostGzipV1 => Some((Flavour::Early, false)),
        EncoderId::KlauspostPgzipV2 => Some((Flavour::Late, true)),
        EncoderId::KlauspostGzipV2 => Some((Flavour::Late, false)),
        EncoderId::GoFlate127V1 => Some((Flavour::Go, false)),
        EncoderId::GoFlateClassicV1 | EncoderId::ZlibV1 | EncoderId::GnuGzipV1 => None,
    }
}

pub(crate) struct Counted<W> {
    pub(crate) out: W,
    pub(crate) written: u64,
}

impl<W: Write> Counted<W> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.out.write_all(bytes).map_err(|source| EncodeError::Write { at: self.written, source })?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Reads until the buffer is full or the reader has ended; how much was read.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
