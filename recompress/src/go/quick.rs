//! Level 1 of the classic Go encoder: one table of places, blocks of 65535 bytes, and strides that grow where nothing
//! matches.
//!
//! A match may reach into the block before. Whole blocks of plain bytes decide, so how a producer cut its writes does
//! not matter here.

use super::block::{BlockWriter, MOST_STORED};
use crate::deflate::alphabet::{LONGEST, Token};
use crate::deflate::compare::{common, table, word32, word64};

const SLACK: usize = 16;
/// Nothing is looked up in the last bytes of a block.
const MARGIN: usize = 15;
const FARTHEST: u32 = 32768;
const TABLE_BITS: u32 = 14;
/// Places are counted from the beginning of the stream; beyond this they are counted anew.
const RECOUNT: u32 = 1 << 31;
/// At the end of the stream, a remainder shorter than this gets no search, and one of 16 bytes at most no code.
const SEARCHED: usize = 128;
const CODED: usize = 17;

/// A place and the four bytes there.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    word: u32,
    place: u32,
}

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Quick {
    /// The block before and the one under work.
    window: Box<[u8; 2 * MOST_STORED + SLACK]>,
    filled: usize,
    table: Box<[Entry; 1 << TABLE_BITS]>,
    /// The place of the first byte of the block under work. It starts beyond the reach of an empty entry.
    base: u32,
    tokens: Vec<Token>,
}

fn slot(word: u32) -> usize {
    (word.wrapping_mul(0x1e35_a7bd) >> (32 - TABLE_BITS)) as usize
}

impl Quick {
    pub(crate) fn new() -> Self {
        Self {
            window: table(),
            filled: 0,
            table: table(),
            base: FARTHEST + 1,
            tokens: Vec::with_capacity(MOST_STORED + 1),
        }
    }

    /// More plain bytes.
    pub(crate) fn write(&mut self, mut plain: &[u8], blocks: &mut BlockWriter) {
        while !plain.is_empty() {
            let taken = plain.len().min(MOST_STORED - self.filled);
            let from = MOST_STORED + self.filled;
            self.window[from..from + taken].copy_from_slice(&plain[..taken]);
            self.filled += taken;
            plain = &plain[taken..];
            if self.filled == MOST_STORED {
                self.block(blocks);
            }
        }
    }

    /// The end of the plain bytes.
    pub(crate) fn finish(&mut self, blocks: &mut BlockWriter) {
        let rest = &self.window[MOST_STORED..MOST_STORED + self.filled];
        match self.filled {
            0 => {}
            1..CODED => blocks.stored(rest),
            CODED..SEARCHED => blocks.literals_unless_poor(rest),
            _ => self.block(blocks),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a block has 65535 bytes at most")]
    fn block(&mut self, blocks: &mut BlockWriter) {
        self.tokens.clear();
        self.search();
        let plain = &self.window[MOST_STORED..MOST_STORED + self.filled];
        if self.tokens.len() > plain.len() - plain.len() / 16 {
            blocks.literals_unless_poor(plain);
        } else {
            blocks.dynamic_unless_poor(&self.tokens, plain);
        }
        self.window.copy_within(MOST_STORED..2 * MOST_STORED, 0);
        self.base += self.filled as u32;
        self.filled = 0;
        if self.base >= RECOUNT {
            let shift = self.base - (FARTHEST + 1);
            for entry in self.table.iter_mut() {
                entry.place = entry.place.saturating_sub(shift);
            }
            self.base -= shift;
        }
    }

    /// What the table holds for `word`, which stands at `at` of the window; `at` takes its place.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the window is small")]
    fn replace(&mut self, slot: usize, word: u32, at: usize) -> Option<usize> {
        let place = self.base + (at - MOST_STORED) as u32;
        let older = std::mem::replace(&mut self.table[slot & ((1 << TABLE_BITS) - 1)], Entry { word, place });
        let distance = place.wrapping_sub(older.place);
        (distance <= FARTHEST && older.word == word).then(|| at - distance as usize)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    fn search(&mut self) {
        let end = MOST_STORED + self.filled;
        let last = end - MARGIN;
        let mut written = MOST_STORED;
        let mut at = MOST_STORED;
        'block: loop {
            // 32 lookups at each stride, then the next longer one.
            let (mut next, mut scanned) = (at, 32);
            let mut word = word32(&self.window[..], at);
            let mut source = loop {
                at = next;
                let stride = scanned >> 5;
                next = at + stride;
                scanned += stride;
                if next > last {
                    break 'block;
                }
                let older = self.replace(slot(word), word, at);
                word = word32(&self.window[..], next);
                if let Some(older) = older {
                    break older;
                }
            };
            self.tokens.extend(self.window[written..at].iter().map(|byte| Token::literal(*byte)));
            loop {
                let limit = (end - at).min(LONGEST as usize) - 4;
                let length = 4 + common(&self.window[..], source + 4, at + 4, limit);
                self.tokens.push(Token::copy(length as u32, (at - source) as u32));
                at += length;
                written = at;
                if at >= last {
                    break 'block;
                }
                // The last byte of the match is entered, then the place behind it, which may match again at once.
                let around = word64(&self.window[..], at - 1);
                let word = (around & 0xffff_ffff) as u32;
                self.replace(slot(word), word, at - 1);
                let word = (around >> 8 & 0xffff_ffff) as u32;
                match self.replace(slot(word), word, at) {
                    Some(older) => source = older,
                    None => break,
                }
            }
            at += 1;
        }
        self.tokens.extend(self.window[written..end].iter().map(|byte| Token::literal(*byte)));
    }
}
