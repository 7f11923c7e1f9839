//! The klauspost encoder as a whole, and pgzip around it.
//!
//! pgzip cuts the plain bytes into pieces of 1 MiB that are encoded apart, each knowing the last 16 KiB of the one
//! before and each ended by a flush; even an empty last piece is written. How a producer cut its writes shows in neither.

use super::block::SharedBlocks;
use super::search::{BLOCK, TwoTables};

/// At the end of a stream, a remainder shorter than this is not searched, and one of 32 bytes at most not coded.
const SEARCHED: usize = 128;
const CODED: usize = 33;
/// pgzip: the pieces, and what a piece knows of the one before.
const PIECE: usize = 1 << 20;
const KNOWN: usize = 16 * 1024;

/// A stream under work.
#[derive(Debug)]
pub(crate) struct KlauspostEncoder {
    waiting: Vec<u8>,
    search: TwoTables,
    blocks: SharedBlocks,
    pieces: Option<Pieces>,
}

/// Where pgzip stands.
#[derive(Debug)]
struct Pieces {
    /// Bytes of the piece under work.
    filled: usize,
    /// The last bytes of the piece under work, 16 KiB at most.
    tail: Vec<u8>,
}

impl KlauspostEncoder {
    /// Without pgzip.
    pub(crate) fn plain() -> Self {
        Self { waiting: Vec::with_capacity(BLOCK), search: TwoTables::new(), blocks: SharedBlocks::new(), pieces: None }
    }

    /// Within pgzip.
    pub(crate) fn pgzip() -> Self {
        Self { pieces: Some(Pieces { filled: 0, tail: Vec::with_capacity(KNOWN) }), ..Self::plain() }
    }

    /// More plain bytes.
    pub(crate) fn write(&mut self, mut plain: &[u8]) {
        while !plain.is_empty() {
            let Some(pieces) = &mut self.pieces else { return self.stream(plain) };
            // A piece is taken up to where its tail begins, then to its end.
            let border = if pieces.filled < PIECE - KNOWN { PIECE - KNOWN } else { PIECE };
            let (part, rest) = plain.split_at(plain.len().min(border - pieces.filled));
            if pieces.filled >= PIECE - KNOWN {
                pieces.tail.extend_from_slice(part);
            }
            pieces.filled += part.len();
            let full = pieces.filled == PIECE;
            self.stream(part);
            if full {
                self.next_piece();
            }
            plain = rest;
        }
    }

    /// The end of the stream.
    pub(crate) fn finish(&mut self) {
        self.block(true);
        if self.pieces.is_some() {
            self.blocks.flush();
        }
        self.blocks.finish();
    }

    /// The compressed bytes that are complete; [`Self::taken`] forgets them.
    pub(crate) fn ready(&self) -> &[u8] {
        self.blocks.bits.bytes()
    }

    /// What was [`Self::ready`] has been written elsewhere.
    pub(crate) fn taken(&mut self) {
        self.blocks.bits.clear();
    }

    fn next_piece(&mut self) {
        self.block(true);
        self.blocks.flush();
        self.search.reset();
        if let Some(pieces) = &mut self.pieces {
            pieces.filled = 0;
            self.search.search(&pieces.tail);
            pieces.tail.clear();
        }
    }

    /// A full block waits until more comes: whether it is the last one shows.
    fn stream(&mut self, mut plain: &[u8]) {
        while !plain.is_empty() {
            if self.waiting.len() == BLOCK {
                self.block(false);
            }
            let (part, rest) = plain.split_at(plain.len().min(BLOCK - self.waiting.len()));
            self.waiting.extend_from_slice(part);
            plain = rest;
        }
    }

    fn block(&mut self, last: bool) {
        let plain = &self.waiting[..];
        match plain.len() {
            0 => return,
            1..CODED => self.blocks.stored(plain),
            CODED..SEARCHED => self.blocks.literals(plain, true),
            length => {
                self.search.search(plain);
                let tokens = &self.search.tokens[..];
                match tokens.len() {
                    0 => self.blocks.stored(plain),
                    count if count > length - length / 16 => self.blocks.literals(plain, last),
                    _ => self.blocks.tokens(tokens, plain, last),
                }
            }
        }
        self.waiting.clear();
    }
}
