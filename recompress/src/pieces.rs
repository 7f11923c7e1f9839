//! A blob of pgzip on several processors: its pieces of 1 MiB are independent of each other, as pgzip itself makes them.
//!
//! Memory: for each worker two pieces, their gzip bytes and the encoder's state.

use std::io::{Read, Write};

use crate::encode::{Counted, Encoded, fill};
use crate::error::{EncodeError, RecipeError};
use crate::gzip::{Crc, trailer};
use crate::klauspost::encoder::{KNOWN, KlauspostEncoder, PIECE};
use crate::klauspost::flavour::Flavour;
use crate::recipe::Recipe;
use crate::workers::in_order;

/// A piece, and the end of the one before.
struct Piece {
    before: Vec<u8>,
    plain: Vec<u8>,
    last: bool,
}

/// Writes the blob that pgzip makes of `plain`, with `workers` threads.
pub(crate) fn encode_pieces(
    recipe: &Recipe,
    flavour: Flavour,
    mut plain: impl Read,
    out: impl Write,
    workers: usize,
) -> Result<Encoded, EncodeError> {
    let level = recipe.level;
    let mut out = Counted { out, written: 0 };
    out.write(recipe.header.bytes())?;
    let mut checksum = Crc::new();
    let mut read = 0;
    let mut before = Some(Vec::new());
    let next = || {
        let Some(known) = before.take() else { return Ok(None) };
        let mut piece = vec![0; PIECE];
        let filled = fill(&mut plain, &mut piece).map_err(|source| EncodeError::Read { at: read, source })?;
        piece.truncate(filled);
        checksum.update(&piece);
        read += filled as u64;
        // Even an empty last piece is written.
        let last = filled < PIECE;
        before = (!last).then(|| piece[PIECE - KNOWN..].to_vec());
        Ok::<_, EncodeError>(Some(Piece { before: known, plain: piece, last }))
    };
    let work = |piece: Piece| {
        let encoder = KlauspostEncoder::new(flavour, level, false)?;
        Some(encoder.into_piece(&piece.before, &piece.plain, piece.last))
    };
    let unknown = || RecipeError::Level { encoder: recipe.encoder.name(), level };
    in_order(workers, work, next, |made| out.write(&made.ok_or_else(unknown)?))?;
    out.write(&trailer(&checksum))?;
    Ok(Encoded { plain: read, gzip: out.written })
}
