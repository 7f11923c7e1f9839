//! The plain bytes that levels 1 to 6 look back into, and the tokens of the block under work.
//!
//! Blocks are appended to a history that is cut back to 32 KiB when it is full; how far a match grows backwards depends
//! on that. Places are counted from the beginning of the stream, and tables hold such numbers; 0 is out of reach.

use crate::deflate::alphabet::Token;
use crate::deflate::compare::{common, table, word32, word64};

/// How many plain bytes are searched at a time.
pub(crate) const BLOCK: usize = 65535;
/// Most matches lie nearer than this.
pub(crate) const FARTHEST: u32 = 32768;
/// Nothing is looked up in the last bytes of a block.
pub(crate) const MARGIN: usize = 11;
/// The longest match that is measured at first.
pub(crate) const LONGEST: usize = 258;
const HISTORY: usize = 5 * BLOCK;
const KEPT: usize = 32768;
const SLACK: usize = 16;
/// Beyond this, places are counted anew.
const RECOUNT: u32 = 1 << 30;

/// The last two places with the same bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Two {
    pub(crate) newest: u32,
    pub(crate) older: u32,
}

impl Two {
    /// Enters a place and tells the two that were there.
    #[inline]
    pub(crate) fn enter(&mut self, newest: u32) -> Self {
        std::mem::replace(self, Self { newest, older: self.newest })
    }

    pub(crate) fn lower(&mut self, shift: u32) {
        self.newest = self.newest.saturating_sub(shift);
        self.older = self.older.saturating_sub(shift);
    }
}

/// A place to match, its match, and the length as far as it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) at: usize,
    pub(crate) source: usize,
    pub(crate) length: Option<usize>,
}

/// The history.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) bytes: Box<[u8; HISTORY + SLACK]>,
    pub(crate) filled: usize,
    /// The number of the place at the beginning of the history; an empty entry (0) is out of reach.
    base: u32,
    pub(crate) tokens: Vec<Token>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { bytes: table(), filled: 0, base: FARTHEST, tokens: Vec::with_capacity(BLOCK + 1) }
    }

    /// A new stream: all places so far are out of reach.
    pub(crate) fn reset(&mut self) {
        self.base = self.number(self.filled) + FARTHEST;
        self.filled = 0;
        self.tokens.clear();
    }

    /// Appends a block; by how much lower all numbers are from now on.
    pub(crate) fn append(&mut self, plain: &[u8]) -> Option<u32> {
        if self.filled + plain.len() > HISTORY {
            let dropped = self.filled - KEPT;
            self.bytes.copy_within(dropped..self.filled, 0);
            self.base = self.number(dropped);
            self.filled = KEPT;
        }
        let shift = (self.base >= RECOUNT).then(|| self.base - FARTHEST);
        if shift.is_some() {
            self.base = FARTHEST;
        }
        self.bytes[self.filled..self.filled + plain.len()].copy_from_slice(plain);
        self.filled += plain.len();
        shift
    }

    /// The number of a place in the history.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the history is small")]
    pub(crate) fn number(&self, at: usize) -> u32 {
        self.base + at as u32
    }

    /// The eight bytes at a place.
    #[inline]
    pub(crate) fn word(&self, at: usize) -> u64 {
        word64(&self.bytes[..], at)
    }

    /// How far the place with this number lies before `at`.
    #[inline]
    pub(crate) fn distance(&self, place: u32, at: usize) -> u32 {
        self.number(at).wrapping_sub(place)
    }

    /// The place in the history, if it is nearer than `farthest` and has the same four bytes.
    #[inline]
    pub(crate) fn same(&self, place: u32, at: usize, word: u64, farthest: u32) -> Option<usize> {
        let distance = self.distance(place, at);
        if distance >= farthest {
            return None;
        }
        let source = at.checked_sub(distance as usize)?;
        (u64::from(word32(&self.bytes[..], source)) == word & 0xffff_ffff).then_some(source)
    }

    /// The length of a match whose four bytes are known, 258 at most.
    #[inline]
    pub(crate) fn measure(&self, at: usize, source: usize) -> usize {
        4 + common(&self.bytes[..], source + 4, at + 4, (self.filled - at).min(LONGEST) - 4)
    }

    /// The same, up to the end of the block.
    #[inline]
    pub(crate) fn measure_all(&self, at: usize, source: usize) -> usize {
        4 + common(&self.bytes[..], source + 4, at + 4, self.filled - at - 4)
    }

    /// What is not known yet of the length of a match.
    pub(crate) fn complete(&self, found: Match) -> usize {
        match found.length {
            None => self.measure_all(found.at, found.source),
            Some(LONGEST) => {
                let behind = found.at + LONGEST;
                LONGEST + common(&self.bytes[..], found.source + LONGEST, behind, self.filled - behind)
            }
            Some(length) => length,
        }
    }

    /// Writes a match, grown backwards as far as `written`, and the literals before it. What was written ends behind
    /// it; how long the match is in the end, and where its origin begins.
    pub(crate) fn push(&mut self, mut found: Match, mut length: usize, written: &mut usize) -> (usize, usize) {
        while found.source > 0 && found.at > *written && self.bytes[found.source - 1] == self.bytes[found.at - 1] {
            found.at -= 1;
            found.source -= 1;
            length += 1;
        }
        self.push_literals(*written, found.at);
        self.push_pieces(length, found.at - found.source);
        *written = found.at + length;
        (length, found.source)
    }

    pub(crate) fn push_literals(&mut self, from: usize, to: usize) {
        self.tokens.extend(self.bytes[from..to].iter().map(|byte| Token::literal(*byte)));
    }

    /// A match of any length, in pieces of 258; the last two share what is left so that neither is too short.
    #[expect(clippy::cast_possible_truncation, reason = "a piece is at most 258, a distance at most 32768")]
    fn push_pieces(&mut self, mut length: usize, distance: usize) {
        while length > 0 {
            let piece = match length {
                ..=258 => length,
                259..=261 => 255,
                _ => 258,
            };
            self.tokens.push(Token::copy(piece as u32, distance as u32));
            length -= piece;
        }
    }
}

/// Where the search goes on behind a match: where it ends, but behind the place that was to be looked at next.
pub(crate) fn resume(written: usize, next: usize) -> usize {
    written.max(next + usize::from(next >= written))
}

/// A hash of the low five bytes.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a table has 2^17 places at most")]
pub(crate) fn hash_of_five(word: u64, bits: u32) -> usize {
    ((word << 24).wrapping_mul(889_523_592_379) >> (64 - bits)) as usize
}

/// A hash of the low four bytes.
#[inline]
pub(crate) fn hash_of_four(word: u64, bits: u32) -> usize {
    ((((word & 0xffff_ffff) * 2_654_435_761) & 0xffff_ffff) >> (32 - bits)) as usize
}

/// A hash of the low seven bytes.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a table has 2^17 places at most")]
pub(crate) fn hash_of_seven(word: u64, bits: u32) -> usize {
    ((word << 8).wrapping_mul(58_295_818_150_454_627) >> (64 - bits)) as usize
}
