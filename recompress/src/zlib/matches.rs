//! The matches of zlib and GNU gzip: along chains of places with the same three bytes, in a window of two halves.
//!
//! Levels 1 to 3 take the first match (greedy), 4 to 9 look one byte further before they take one (lazy). A place is
//! its number in the window and 0 is none, so the very first byte is never found.
//! The window is filled to its end before it is searched, as a producer with much input does it. Producers that write
//! multiples of 512 bytes get the same: only a window that ends within its last 262 bytes would show.

use super::block::Blocks;
use super::dialect::{Dialect, Effort};
use crate::deflate::alphabet::{DISTANCE_EXTRA, LONGEST, Token, distance_symbol};
use crate::deflate::compare::{common, table, word32};

const HALF: usize = 32768;
const WINDOW: usize = 2 * HALF;
const SLACK: usize = 16;
const SHORTEST: usize = 3;
/// With less than this ahead, the encoder waits for more.
const ENOUGH: usize = LONGEST as usize + SHORTEST + 1;
const FARTHEST: usize = HALF - ENOUGH;
/// From this place on, the window moves when more is asked for.
const MOVES: usize = HALF + FARTHEST;
/// Lazy: a match of the shortest length is only taken when it is this near.
const NEAR: usize = 4096;
const HASH_BITS: u32 = 15;
/// gzip looks at a block that could end early each time it has so many tokens more.
const LOOKS_EVERY: usize = 0x1000;

/// What the lazy search carries from one place to the next.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// The match found at the place before, or a length of 2 for none.
    length: usize,
    distance: usize,
    /// Whether the byte at the place before has not been written yet.
    literal: bool,
}

const NOTHING: Held = Held { length: SHORTEST - 1, distance: 0, literal: false };

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Matches {
    dialect: Dialect,
    effort: Effort,
    window: Box<[u8; WINDOW + SLACK]>,
    filled: usize,
    at: usize,
    /// Where the plain bytes of the block begin; below zero once they have begun to leave the window.
    block_start: isize,
    newest: Box<[u16; 1 << HASH_BITS]>,
    older: Box<[u16; HALF]>,
    tokens: Vec<Token>,
    held: Held,
}

impl Matches {
    pub(crate) fn new(dialect: Dialect, effort: Effort) -> Self {
        Self {
            dialect,
            effort,
            window: table(),
            filled: 0,
            at: 0,
            block_start: 0,
            newest: table(),
            older: table(),
            tokens: Vec::with_capacity(dialect.block_tokens()),
            held: NOTHING,
        }
    }

    /// More plain bytes.
    pub(crate) fn write(&mut self, mut plain: &[u8], blocks: &mut Blocks) {
        while !plain.is_empty() {
            let taken = plain.len().min(WINDOW - self.filled);
            self.window[self.filled..self.filled + taken].copy_from_slice(&plain[..taken]);
            self.filled += taken;
            plain = &plain[taken..];
            if self.filled == WINDOW {
                self.search(WINDOW + 1 - ENOUGH, blocks);
                self.move_window();
            }
        }
    }

    /// The end of the plain bytes: the last block.
    pub(crate) fn finish(&mut self, blocks: &mut Blocks) {
        self.search((self.filled + 1).saturating_sub(ENOUGH), blocks);
        match self.dialect {
            // While it asks for more, it moves the window whenever it can.
            Dialect::Zlib => {
                while self.at < self.filled {
                    self.move_window();
                    let stop = if self.at < MOVES { self.filled.min(MOVES) } else { self.filled };
                    self.search(stop, blocks);
                }
            }
            // It asks once.
            Dialect::GnuGzip => {
                self.move_window();
                let end = self.filled;
                self.window[end..end + SHORTEST - 1].fill(0);
                self.search(end, blocks);
            }
        }
        if self.held.literal {
            self.tokens.push(Token::literal(self.window[self.at - 1]));
        }
        self.end_block(true, blocks);
    }

    fn move_window(&mut self) {
        if self.at < MOVES {
            return;
        }
        self.window.copy_within(HALF..WINDOW, 0);
        self.at -= HALF;
        self.filled -= HALF;
        self.block_start -= HALF.cast_signed();
        // What falls out of the window is none.
        self.newest.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
        self.older.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
    }

    fn search(&mut self, stop: usize, blocks: &mut Blocks) {
        if self.effort.greedy {
            self.greedy(stop, blocks);
        } else {
            self.lazy(stop, blocks);
        }
    }

    /// Enters a place and tells the one that was the newest with the same three bytes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a place in the window is below 65536")]
    fn enter(&mut self, place: usize) -> usize {
        let word = word32(&self.window[..], place);
        let hash = ((word & 0x1f) << 10 ^ (word >> 8 & 0xff) << 5 ^ word >> 16 & 0xff) as usize % (1 << HASH_BITS);
        let before = std::mem::replace(&mut self.newest[hash], place as u16);
        self.older[place % HALF] = before;
        usize::from(before)
    }

    /// Enters a place where there are three bytes (zlib) or always (gzip); 0 otherwise.
    #[inline]
    fn enter_if_whole(&mut self, place: usize) -> usize {
        if place + SHORTEST <= self.filled || self.dialect == Dialect::GnuGzip { self.enter(place) } else { 0 }
    }

    /// Whether the place may be tried at all.
    fn reachable(&self, place: usize) -> bool {
        let searched = self.dialect == Dialect::Zlib || self.at <= WINDOW - ENOUGH;
        place != 0 && self.at - place <= FARTHEST && searched
    }

    fn greedy(&mut self, stop: usize, blocks: &mut Blocks) {
        while self.at < stop {
            let newest = self.enter_if_whole(self.at);
            let found = if self.reachable(newest) { self.longest(newest, SHORTEST - 1) } else { None };
            let full = if let Some((length, distance)) = found.filter(|(length, _)| *length >= SHORTEST) {
                let full = self.push_match(length, distance);
                let end = self.at + length;
                if length <= self.effort.lazy && (end + SHORTEST <= self.filled || self.dialect == Dialect::GnuGzip) {
                    (self.at + 1..end).for_each(|place| {
                        self.enter(place);
                    });
                }
                self.at = end;
                full
            } else {
                let full = self.push_literal(self.window[self.at]);
                self.at += 1;
                full
            };
            if full {
                self.end_block(false, blocks);
            }
        }
    }

    fn lazy(&mut self, stop: usize, blocks: &mut Blocks) {
        while self.at < stop {
            let newest = self.enter_if_whole(self.at);
            let held = self.held;
            let look = held.length < self.effort.lazy && self.reachable(newest);
            let found = if look { self.longest(newest, held.length) } else { None };
            let near = |(length, distance): &(usize, usize)| *length > SHORTEST || *distance <= NEAR;
            let (length, distance) = found.filter(near).unwrap_or((SHORTEST - 1, 0));
            if held.length >= SHORTEST && length <= held.length {
                // The match at the place before stands; this place was its second byte.
                let full = self.push_match(held.length, held.distance);
                let end = self.at + held.length - 1;
                for place in self.at + 1..end {
                    self.enter_if_whole(place);
                }
                self.at = end;
                self.held = NOTHING;
                if full {
                    self.end_block(false, blocks);
                }
            } else {
                self.held = Held { length, distance, literal: true };
                if held.literal && self.push_literal(self.window[self.at - 1]) {
                    self.end_block(false, blocks);
                }
                self.at += 1;
            }
        }
    }

    /// The longest match that is longer than `floor`, the nearest of them: (length, distance).
    fn longest(&self, newest: usize, floor: usize) -> Option<(usize, usize)> {
        let (at, window) = (self.at, &self.window[..]);
        let ahead = self.filled - at;
        let Effort { good, nice, tries, .. } = self.effort;
        // gzip measures on beyond the end, and what stands there can decide.
        let (limit, nice) = match self.dialect {
            Dialect::Zlib => (ahead.min(LONGEST as usize), nice.min(ahead)),
            Dialect::GnuGzip => (LONGEST as usize, nice),
        };
        let tries = if floor >= good { tries >> 2 } else { tries };
        let farthest = at.saturating_sub(FARTHEST);
        let (mut best, mut start) = (floor, None);
        let mut place = newest;
        // A longer match must agree in the byte behind the best so far and the one before.
        let pair = |place: usize| word32(window, place) & 0xffff;
        let mut wanted = pair(at + best - 1);
        for _ in 0..tries {
            if pair(place + best - 1) == wanted {
                let length = common(window, place, at, limit);
                if length > best {
                    (best, start) = (length, Some(place));
                    if length >= nice {
                        break;
                    }
                    wanted = pair(at + best - 1);
                }
            }
            place = usize::from(self.older[place % HALF]);
            if place <= farthest {
                break;
            }
        }
        start.map(|start| (best.min(ahead), at - start))
    }

    /// Whether the block ends with this token.
    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    fn push_match(&mut self, length: usize, distance: usize) -> bool {
        self.tokens.push(Token::copy(length as u32, distance as u32));
        self.block_is_full()
    }

    fn push_literal(&mut self, byte: u8) -> bool {
        self.tokens.push(Token::literal(byte));
        self.block_is_full()
    }

    fn block_is_full(&self) -> bool {
        let count = self.tokens.len();
        let looks = self.dialect == Dialect::GnuGzip && self.effort.level > 2 && count.is_multiple_of(LOOKS_EVERY);
        count == self.dialect.block_tokens() || looks && self.ends_well_here()
    }

    /// gzip: whether few of the tokens are matches and yet less than half of the bytes would be written.
    fn ends_well_here(&self) -> bool {
        let (mut matches, mut bits) = (0, 8 * self.tokens.len());
        for token in &self.tokens {
            if let Err((_, distance)) = token.parts() {
                matches += 1;
                bits += 5 + usize::from(DISTANCE_EXTRA[distance_symbol(distance)]);
            }
        }
        let plain = (self.at.cast_signed() - self.block_start).unsigned_abs();
        matches < self.tokens.len() / 2 && bits / 8 < plain / 2
    }

    fn end_block(&mut self, last: bool, blocks: &mut Blocks) {
        let plain = usize::try_from(self.block_start).ok().map(|start| &self.window[start..self.at]);
        blocks.write(&self.tokens, plain, last);
        self.block_start = self.at.cast_signed();
        self.tokens.clear();
    }
}
