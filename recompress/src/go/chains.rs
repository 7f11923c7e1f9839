//! Levels 2 to 9 of the classic Go encoder: matches found along chains of places with the same hash.
//!
//! The window is two halves of 32 KiB. When less than a longest match is left in it, the upper half moves down; places
//! that fall out are no longer found. *When* it moves depends on how the producer cut its writes (a write that ends
//! within the last 262 bytes of the window moves it early), and the places lost near the far end can change a match.
//! That is why [`Chains::write`] means one write of the producer, and why a recipe says how the writes were cut.
//!
//! Levels 2 and 3 take the first match (greedy), 4 to 9 look one byte further before they take one (lazy). Places are
//! kept as 16-bit numbers, one more than the place, 0 for none: half the memory of the original, and the cache shows it.

use super::block::BlockWriter;
use crate::deflate::alphabet::{LONGEST, Token};
use crate::deflate::compare::{common, word32};

/// How far back a match may lie, and half the window.
const HALF: usize = 32768;
const WINDOW: usize = 2 * HALF;
/// Room behind the window so that words can be loaded at its end.
const SLACK: usize = 16;
/// The shortest match that is taken.
const SHORTEST: usize = 4;
/// With less than this ahead, the encoder waits for more.
const ENOUGH: usize = SHORTEST + LONGEST as usize;
/// A match of the shortest length is only taken when it is this near.
const NEAR: usize = 4096;
/// A block ends with this many tokens.
const BLOCK_TOKENS: usize = 1 << 14;
const HASH_BITS: u32 = 17;

/// What a level looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// With a match of this length at the place before, no better one is looked for; 0: greedy.
    lazy: usize,
    /// A match of this length ends the search.
    nice: usize,
    /// How many places of a chain are tried.
    tries: usize,
    /// Greedy only: the places within a longer match are not entered into the chains.
    enter_within: usize,
}

impl Effort {
    /// The efforts of levels 2 to 9; `None` for any other.
    pub(crate) fn of_level(level: i8) -> Option<Self> {
        let greedy = |nice, tries, enter_within| Self { lazy: 0, nice, tries, enter_within };
        let lazy = |lazy, nice, tries| Self { lazy, nice, tries, enter_within: usize::MAX };
        Some(match level {
            2 => greedy(16, 8, 5),
            3 => greedy(32, 32, 6),
            4 => lazy(4, 16, 16),
            5 => lazy(16, 32, 32),
            6 => lazy(16, 128, 128),
            7 => lazy(32, 128, 256),
            8 => lazy(128, 258, 1024),
            9 => lazy(258, 258, 4096),
            _ => return None,
        })
    }
}

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Chains {
    effort: Effort,
    window: Box<[u8; WINDOW + SLACK]>,
    filled: usize,
    /// The place looked at next; all before it are in the chains (but those that greedy levels leave out).
    at: usize,
    /// Where the plain bytes of the block under work begin; `None` once they have left the window.
    block_start: Option<usize>,
    /// For each hash the last place, plus one.
    newest: Box<[u16; 1 << HASH_BITS]>,
    /// For each place (in its half) the one before with the same hash, plus one.
    before: Box<[u16; HALF]>,
    tokens: Vec<Token>,
    pending: Pending,
}

/// What the lazy search carries from one place to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The match found at the place before, or a length of 3 for none.
    length: usize,
    distance: usize,
    /// Whether the byte at the place before has not been written yet.
    literal: bool,
}

impl Pending {
    const NONE: Self = Self { length: SHORTEST - 1, distance: 0, literal: false };
}

impl Chains {
    pub(crate) fn new(effort: Effort) -> Self {
        Self {
            effort,
            window: Box::new([0; WINDOW + SLACK]),
            filled: 0,
            at: 0,
            block_start: Some(0),
            newest: Box::new([0; 1 << HASH_BITS]),
            before: Box::new([0; HALF]),
            tokens: Vec::with_capacity(BLOCK_TOKENS + 1),
            pending: Pending::NONE,
        }
    }

    /// One write of the producer.
    pub(crate) fn write(&mut self, mut plain: &[u8], blocks: &mut BlockWriter) {
        while !plain.is_empty() {
            self.slide_if_needed();
            let taken = plain.len().min(WINDOW - self.filled);
            self.window[self.filled..self.filled + taken].copy_from_slice(&plain[..taken]);
            self.filled += taken;
            plain = &plain[taken..];
            self.search(blocks, false);
        }
    }

    /// The end of the plain bytes: everything left becomes tokens, and those a last block.
    pub(crate) fn finish(&mut self, blocks: &mut BlockWriter) {
        self.search(blocks, true);
        if std::mem::take(&mut self.pending.literal) {
            self.tokens.push(Token::literal(self.window[self.at - 1]));
        }
        if !self.tokens.is_empty() {
            self.end_block(self.at, blocks);
        }
    }

    fn slide_if_needed(&mut self) {
        if self.at < WINDOW - ENOUGH {
            return;
        }
        self.window.copy_within(HALF..WINDOW, 0);
        self.at -= HALF;
        self.filled -= HALF;
        self.block_start = self.block_start.and_then(|start| start.checked_sub(HALF));
        for place in self.newest.iter_mut().chain(self.before.iter_mut()) {
            *place = place.saturating_sub(1 << 15);
        }
    }

    fn search(&mut self, blocks: &mut BlockWriter, to_the_end: bool) {
        let stop = if to_the_end { self.filled } else { (self.filled + 1).saturating_sub(ENOUGH) };
        if self.effort.lazy == 0 { self.greedy(stop, blocks) } else { self.lazy(stop, blocks) }
    }

    fn greedy(&mut self, stop: usize, blocks: &mut BlockWriter) {
        let enter_end = self.filled.saturating_sub(SHORTEST - 1);
        while self.at < stop {
            let older = if self.at < enter_end { self.enter(self.at) } else { 0 };
            let found = self.longest(older);
            if let Some((length, distance)) = found {
                self.push(length, distance);
                if length <= self.effort.enter_within {
                    for place in (self.at + 1..self.at + length).take_while(|place| *place < enter_end) {
                        self.enter(place);
                    }
                }
                self.at += length;
            } else {
                self.tokens.push(Token::literal(self.window[self.at]));
                self.at += 1;
            }
            if self.tokens.len() == BLOCK_TOKENS {
                self.end_block(self.at, blocks);
            }
        }
    }

    fn lazy(&mut self, stop: usize, blocks: &mut BlockWriter) {
        let enter_end = self.filled.saturating_sub(SHORTEST - 1);
        while self.at < stop {
            let older = if self.at < enter_end { self.enter(self.at) } else { 0 };
            let held = self.pending;
            let look = held.length < self.effort.lazy && self.filled - self.at > held.length;
            let found = if look { self.longest(older) } else { None };
            let (length, distance) = found.unwrap_or((SHORTEST - 1, 0));
            if held.length >= SHORTEST && length <= held.length {
                // The match at the place before stands; this place was its second byte.
                self.push(held.length, held.distance);
                let end = self.at + held.length - 1;
                for place in self.at + 1..end.min(enter_end) {
                    self.enter(place);
                }
                self.at = end;
                self.pending = Pending::NONE;
                if self.tokens.len() == BLOCK_TOKENS {
                    self.end_block(self.at, blocks);
                }
            } else {
                if held.literal {
                    self.tokens.push(Token::literal(self.window[self.at - 1]));
                    if self.tokens.len() == BLOCK_TOKENS {
                        self.end_block(self.at, blocks);
                    }
                }
                self.at += 1;
                self.pending = Pending { length, distance, literal: true };
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    fn push(&mut self, length: usize, distance: usize) {
        self.tokens.push(Token::copy(length as u32, distance as u32));
    }

    /// Enters a place into the chain of its four bytes; what was the newest one there, plus one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a place that is entered is below 65533")]
    fn enter(&mut self, place: usize) -> u16 {
        // The four bytes are taken highest first: the hash sees them in that order.
        let hash = word32(&self.window[..], place).swap_bytes().wrapping_mul(0x1e35_a7bd) >> (32 - HASH_BITS);
        let older = std::mem::replace(&mut self.newest[hash as usize], place as u16 + 1);
        self.before[place % HALF] = older;
        older
    }

    /// The longest match for the current place along the chain that begins at `older`: (length, distance).
    #[inline]
    fn longest(&self, older: u16) -> Option<(usize, usize)> {
        let (window, at) = (&self.window[..], self.at);
        let lowest = at.saturating_sub(HALF);
        let mut place = usize::from(older).wrapping_sub(1);
        if older == 0 || place < lowest {
            return None;
        }
        let limit = (self.filled - at).min(LONGEST as usize);
        let nice = self.effort.nice.min(limit);
        let (mut best, mut distance) = (SHORTEST - 1, 0);
        // A longer match must agree in the four bytes that end with the one behind the best so far.
        let mut wanted = word32(window, at);
        for _ in 0..self.effort.tries {
            if word32(window, place + best - 3) == wanted {
                let length = common(window, place, at, limit);
                if length > best && (length > SHORTEST || at - place <= NEAR) {
                    (best, distance) = (length, at - place);
                    if length >= nice {
                        break;
                    }
                    wanted = word32(window, at + best - 3);
                }
            }
            // The entry of the farthest place has just been taken by the current one.
            if place + HALF == at {
                break;
            }
            place = usize::from(self.before[place % HALF]).wrapping_sub(1);
            if place.wrapping_sub(lowest) >= WINDOW {
                break;
            }
        }
        (distance != 0).then_some((best, distance))
    }

    fn end_block(&mut self, end: usize, blocks: &mut BlockWriter) {
        let plain = self.block_start.filter(|start| *start <= end).map(|start| &self.window[start..end]);
        blocks.smallest(&self.tokens, plain);
        self.block_start = Some(end);
        self.tokens.clear();
    }
}
