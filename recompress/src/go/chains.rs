//! Levels 2 to 9 of the classic Go encoder: matches found along chains of places with the same hash.
//!
//! The window is two halves of 32 KiB. When less than a longest match is left in it, the upper half moves down; places
//! that fall out are no longer found. *When* it moves depends on how the producer cut its writes (a write that ends
//! within the last 262 bytes of the window moves it early), and the places lost near the far end can change a match.
//! That is why [`Chains::write`] means one write of the producer, and why a recipe says how the writes were cut.
//!
//! Levels 2 and 3 take the first match (greedy), 4 to 9 look one byte further before they take one (lazy). Only a
//! match longer than the one held at the place before is then of use, so the search begins there.

use super::block::BlockWriter;
use super::border::{Border, Pending};
use super::places::{HALF, Places, SHORTEST, Search};
use crate::deflate::alphabet::{LONGEST, Token};
use crate::deflate::compare::table;

const WINDOW: usize = 2 * HALF;
/// Room behind the window so that words can be loaded at its end.
const SLACK: usize = 16;
/// With less than this ahead, the encoder waits for more.
const ENOUGH: usize = SHORTEST + LONGEST as usize;
/// A block ends with this many tokens.
const BLOCK_TOKENS: usize = 1 << 14;
/// From so many tries on, the short chains pay for being kept.
const WORTH_SHORT_CHAINS: usize = 32;

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
    places: Places,
    tokens: Vec<Token>,
    pending: Pending,
    /// Where the window begins in the plain bytes.
    base: u64,
    /// The end of the next block is to be kept as a border.
    border_wanted: bool,
    border: Option<Border>,
}

impl Chains {
    pub(crate) fn new(effort: Effort) -> Self {
        Self {
            effort,
            window: table(),
            filled: 0,
            at: 0,
            block_start: Some(0),
            places: Places::new(),
            tokens: Vec::with_capacity(BLOCK_TOKENS + 1),
            pending: Pending::NONE,
            base: 0,
            border_wanted: false,
            border: None,
        }
    }

    /// Asks for a border at the end of the next block. Only lazy levels have one: what a greedy one entered into its
    /// chains can't be told from the window.
    pub(crate) fn want_border(&mut self) {
        self.border_wanted = self.effort.lazy != 0;
    }

    /// The border that was asked for, once its block has ended.
    pub(crate) fn take_border(&mut self) -> Option<Border> {
        self.border.take()
    }

    /// Goes on at a border, `plain` being what the window held there. `None` if the border can't be one.
    pub(crate) fn resume(effort: Effort, border: &Border, plain: &[u8], blocks: &mut BlockWriter) -> Option<Self> {
        let (at, pending) = (usize::from(border.at), border.pending);
        let (length, distance) = (usize::from(pending.length), usize::from(pending.distance));
        let fits = plain.len() == border.held() && at >= 2 && at + length.max(SHORTEST) <= plain.len();
        let match_fits = length < SHORTEST || (length <= LONGEST as usize && (1..at).contains(&distance));
        if !fits || !match_fits || effort.lazy == 0 {
            return None;
        }
        let mut chains = Self::new(effort);
        chains.window[..plain.len()].copy_from_slice(plain);
        (chains.filled, chains.at, chains.base) = (plain.len(), at, border.base);
        chains.block_start = Some(at - usize::from(pending.literal));
        chains.pending = pending;
        for place in 0..at {
            chains.places.enter::<true>(&chains.window[..], place);
        }
        chains.search(blocks, false);
        Some(chains)
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
        self.border_wanted = false;
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
        self.base += HALF as u64;
        self.block_start = self.block_start.and_then(|start| start.checked_sub(HALF));
        self.places.slide();
    }

    fn search(&mut self, blocks: &mut BlockWriter, to_the_end: bool) {
        let stop = if to_the_end { self.filled } else { (self.filled + 1).saturating_sub(ENOUGH) };
        match self.effort {
            Effort { lazy: 0, .. } => self.greedy(stop, blocks),
            Effort { tries: ..WORTH_SHORT_CHAINS, .. } => self.lazy::<false>(stop, blocks),
            _ => self.lazy::<true>(stop, blocks),
        }
    }

    fn greedy(&mut self, stop: usize, blocks: &mut BlockWriter) {
        let enter_end = self.filled.saturating_sub(SHORTEST - 1);
        while self.at < stop {
            let older = if self.at < enter_end { self.places.enter::<false>(&self.window[..], self.at) } else { 0 };
            let found = self.longest::<false>(older, SHORTEST - 1);
            if let Some((length, distance)) = found {
                self.push(length, distance);
                if length <= self.effort.enter_within {
                    for place in (self.at + 1..self.at + length).take_while(|place| *place < enter_end) {
                        self.places.enter::<false>(&self.window[..], place);
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

    fn lazy<const FAST: bool>(&mut self, stop: usize, blocks: &mut BlockWriter) {
        let enter_end = self.filled.saturating_sub(SHORTEST - 1);
        while self.at < stop {
            let older = if self.at < enter_end { self.places.enter::<FAST>(&self.window[..], self.at) } else { 0 };
            let held = self.pending;
            let held_length = usize::from(held.length);
            let look = held_length < self.effort.lazy && self.filled - self.at > held_length;
            let found = if look { self.longest::<FAST>(older, held_length) } else { None };
            let (length, distance) = found.unwrap_or((SHORTEST - 1, 0));
            if held_length >= SHORTEST && length <= held_length {
                // The match at the place before stands; this place was its second byte.
                self.push(held_length, usize::from(held.distance));
                let end = self.at + held_length - 1;
                for place in self.at + 1..end.min(enter_end) {
                    self.places.enter::<FAST>(&self.window[..], place);
                }
                self.at = end;
                self.pending = Pending::NONE;
                if self.tokens.len() == BLOCK_TOKENS {
                    self.end_block(self.at, blocks);
                }
            } else {
                self.pending = Pending::new(length, distance);
                self.at += 1;
                if held.literal {
                    self.tokens.push(Token::literal(self.window[self.at - 2]));
                    if self.tokens.len() == BLOCK_TOKENS {
                        self.end_block(self.at - 1, blocks);
                    }
                }
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    fn push(&mut self, length: usize, distance: usize) {
        self.tokens.push(Token::copy(length as u32, distance as u32));
    }

    /// The longest match for the current place that is longer than `floor`: (length, distance).
    #[inline]
    fn longest<const FAST: bool>(&self, older: u16, floor: usize) -> Option<(usize, usize)> {
        let limit = (self.filled - self.at).min(LONGEST as usize);
        let Effort { nice, tries, .. } = self.effort;
        self.places.longest::<FAST>(
            &self.window[..],
            Search { at: self.at, older, limit, nice: nice.min(limit), tries, floor },
        )
    }

    fn end_block(&mut self, end: usize, blocks: &mut BlockWriter) {
        let plain = self.block_start.filter(|start| *start <= end).map(|start| &self.window[start..end]);
        blocks.smallest(&self.tokens, plain);
        self.block_start = Some(end);
        self.tokens.clear();
        if std::mem::take(&mut self.border_wanted) {
            let phase = blocks.bits.settle();
            let (base, gzip) = (self.base, blocks.bits.total());
            self.border = Border::new(base, self.filled, self.at, self.pending, gzip, phase);
        }
    }
}
