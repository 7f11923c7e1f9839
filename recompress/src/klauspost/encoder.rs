//! The klauspost encoder as a whole, and pgzip around it.
//!
//! pgzip cuts the plain bytes into pieces of 1 MiB that are encoded apart, each knowing the last 16 KiB of the one
//! before and each ended by a flush; even an empty last piece is written. How a producer cut its writes shows in neither.

use super::block::SharedBlocks;
use super::fast::Fast;
use super::flavour::Flavour;
use super::history::BLOCK;
use super::patient::Patient;

/// At the end of a stream, a remainder shorter than this is not searched, and one of 32 bytes at most not coded.
const SEARCHED: usize = 128;
const CODED: usize = 33;
/// pgzip: the pieces, and what a piece knows of the one before.
pub(crate) const PIECE: usize = 1 << 20;
pub(crate) const KNOWN: usize = 16 * 1024;
/// Blocks of literals only.
const LITERALS_BLOCK: usize = 32768;

/// A stream under work.
#[derive(Debug)]
pub(crate) struct KlauspostEncoder {
    /// What will be searched once it is a block; levels 7 to 9 keep it themselves.
    waiting: Vec<u8>,
    block: usize,
    search: Search,
    blocks: SharedBlocks,
    pieces: Option<Pieces>,
}

#[derive(Debug)]
enum Search {
    Stored,
    Literals,
    Fast(Fast),
    Patient(Box<Patient>),
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
    /// An encoder of this level (-2 to 9, not -1), alone or within pgzip; `None` for any other level.
    pub(crate) fn new(flavour: Flavour, level: i8, in_pieces: bool) -> Option<Self> {
        // Literals, levels up to 6, and the levels above: the longer the search, the sooner new codes.
        let (search, penalty) = match level {
            -2 => (Search::Literals, 10),
            0 => (Search::Stored, 7),
            1..=6 => (Search::Fast(Fast::new(flavour, level)?), 7),
            _ => (Search::Patient(Box::new(Patient::new(flavour, level)?)), 8),
        };
        let block = if level == -2 { LITERALS_BLOCK } else { BLOCK };
        let pieces = in_pieces.then(|| Pieces { filled: 0, tail: Vec::with_capacity(KNOWN) });
        let blocks = SharedBlocks::new(flavour, penalty);
        Some(Self { waiting: Vec::with_capacity(block), block, search, blocks, pieces })
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

    /// The compressed bytes of one piece, which knows `before`, the last bytes of the piece before it.
    pub(crate) fn into_piece(mut self, before: &[u8], plain: &[u8], last: bool) -> Vec<u8> {
        self.pieces = None;
        self.begin_piece(before);
        self.stream(plain);
        self.block(true);
        self.blocks.flush();
        if last {
            self.blocks.finish();
        }
        self.blocks.bits.bytes().to_vec()
    }

    fn begin_piece(&mut self, before: &[u8]) {
        match &mut self.search {
            Search::Stored | Search::Literals => {}
            Search::Fast(search) => {
                search.reset();
                search.search(before);
            }
            Search::Patient(search) => search.restart(before),
        }
    }

    fn next_piece(&mut self) {
        self.block(true);
        self.blocks.flush();
        if let Some(mut pieces) = self.pieces.take() {
            pieces.filled = 0;
            self.begin_piece(&pieces.tail);
            pieces.tail.clear();
            self.pieces = Some(pieces);
        }
    }

    /// A full block waits until more comes: whether it is the last one shows.
    fn stream(&mut self, mut plain: &[u8]) {
        if let Search::Patient(search) = &mut self.search {
            return search.write(plain, &mut self.blocks);
        }
        while !plain.is_empty() {
            if self.waiting.len() == self.block {
                self.block(false);
            }
            let (part, rest) = plain.split_at(plain.len().min(self.block - self.waiting.len()));
            self.waiting.extend_from_slice(part);
            plain = rest;
        }
    }

    fn block(&mut self, last: bool) {
        let plain = &self.waiting[..];
        match &mut self.search {
            Search::Patient(search) => return search.finish(&mut self.blocks),
            _ if plain.is_empty() => return,
            Search::Stored => self.blocks.stored(plain),
            Search::Literals => self.blocks.literals(plain, last),
            Search::Fast(search) => match plain.len() {
                1..CODED => self.blocks.stored(plain),
                CODED..SEARCHED => self.blocks.literals(plain, true),
                length => {
                    search.search(plain);
                    let tokens = search.tokens();
                    match tokens.len() {
                        0 => self.blocks.stored(plain),
                        count if count > length - length / 16 => self.blocks.literals(plain, last),
                        _ => self.blocks.tokens(tokens, Some(plain), last),
                    }
                }
            },
        }
        self.waiting.clear();
    }
}
