//! Levels 7 to 9: matches found along chains of places with the same four bytes, in a window of two halves.
//!
//! A match is held back while a better one begins at the next place (lazy), and tried again at its own end. Level 9
//! takes a longer match only if it saves more bits by a guess at what its bytes would cost as literals. Where nothing
//! matches for long, places are passed over.
//! Only a full window is searched, so how a producer cut its writes does not show.

use super::block::SharedBlocks;
use super::flavour::Flavour;
use super::history::hash_of_four;
use crate::deflate::alphabet::{DISTANCE_EXTRA, LENGTH_EXTRA, LENGTH_SYMBOL, LONGEST, Token, distance_symbol};
use crate::deflate::compare::{common, table, word32};
use crate::deflate::lengths::PackageMerge;

const HALF: usize = 32768;
const WINDOW: usize = 2 * HALF;
const SLACK: usize = 16;
const SHORTEST: usize = 4;
/// With less than this ahead, the encoder waits for more.
const ENOUGH: usize = SHORTEST + LONGEST as usize;
const HASH_BITS: u32 = 17;
/// A block ends with this many tokens.
const BLOCK_TOKENS: usize = 1 << 15;
/// So many bytes at the beginning of a match that is found by its end may differ at first.
const SKIPPED: usize = 2;
/// What a match is thought to cost besides its extra bits, and what the first one must save.
const MATCH_COST: i32 = 3;
const LEAST_GAIN: i32 = 4;
/// With this many tries, matches are weighed.
const WEIGHING: usize = 100;

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Patient {
    flavour: Flavour,
    /// With a match of this length held back, no better one is looked for.
    lazy: usize,
    /// A match of this length ends the search.
    nice: usize,
    /// How many places of a chain are tried.
    tries: usize,
    window: Box<[u8; WINDOW + SLACK]>,
    filled: usize,
    at: usize,
    /// Where the plain bytes of the block begin; `None` once they have left the window.
    block_start: Option<usize>,
    /// Places plus one, 0 for none.
    newest: Box<[u16; 1 << HASH_BITS]>,
    older: Box<[u16; HALF]>,
    tokens: Vec<Token>,
    /// The match that is held back, or a length of 3, and whether its first byte has not been written yet.
    length: usize,
    distance: usize,
    literal: bool,
    /// Literals in a row; runs over.
    literals: u16,
    /// What each byte is thought to cost as a literal.
    weights: [u8; 256],
    room: PackageMerge,
}

impl Patient {
    /// The search of levels 7 to 9; `None` for any other.
    pub(crate) fn new(flavour: Flavour, level: i8) -> Option<Self> {
        let (lazy, nice, tries) = match level {
            7 => (12, 16, 24),
            8 => (30, 40, 64),
            9 => (258, 258, 1024),
            _ => return None,
        };
        Some(Self {
            flavour,
            lazy,
            nice,
            tries,
            window: table(),
            filled: 0,
            at: 0,
            block_start: Some(0),
            newest: table(),
            older: table(),
            tokens: Vec::with_capacity(BLOCK_TOKENS),
            length: SHORTEST - 1,
            distance: 0,
            literal: false,
            literals: 0,
            weights: [0; 256],
            room: PackageMerge::default(),
        })
    }

    /// A new stream that knows `before`, at most half a window. What is known counts as part of the first block where
    /// storing that block is considered.
    pub(crate) fn restart(&mut self, before: &[u8]) {
        self.newest.fill(0);
        self.older.fill(0);
        self.tokens.clear();
        (self.length, self.distance, self.literal, self.literals) = (SHORTEST - 1, 0, false, 0);
        self.block_start = Some(0);
        self.window[..before.len()].copy_from_slice(before);
        (self.filled, self.at) = (before.len(), before.len());
        for place in 0..(before.len() + 1).saturating_sub(SHORTEST) {
            self.enter(place);
        }
    }

    /// More plain bytes.
    pub(crate) fn write(&mut self, mut plain: &[u8], blocks: &mut SharedBlocks) {
        while !plain.is_empty() {
            if self.filled == WINDOW {
                self.search(false, blocks);
            }
            if self.at >= WINDOW - ENOUGH {
                self.slide();
            }
            let taken = plain.len().min(WINDOW - self.filled);
            self.window[self.filled..self.filled + taken].copy_from_slice(&plain[..taken]);
            self.filled += taken;
            plain = &plain[taken..];
        }
    }

    /// The end of the plain bytes, or a flush.
    pub(crate) fn finish(&mut self, blocks: &mut SharedBlocks) {
        self.search(true, blocks);
    }

    fn slide(&mut self) {
        self.window.copy_within(HALF..WINDOW, 0);
        self.at -= HALF;
        self.filled -= HALF;
        self.block_start = self.block_start.and_then(|start| start.checked_sub(HALF));
        self.newest.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
        self.older.iter_mut().for_each(|place| *place = place.saturating_sub(1 << 15));
    }

    /// Places from this one on are not entered.
    fn enter_end(&self) -> usize {
        self.filled.saturating_sub(SHORTEST - 1)
    }

    /// Enters a place and tells the one that was the newest with the same four bytes, plus one.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a place that is entered is below 65533")]
    fn enter(&mut self, place: usize) -> usize {
        let hash = hash_of_four(u64::from(word32(&self.window[..], place)), HASH_BITS);
        let before = std::mem::replace(&mut self.newest[hash], place as u16 + 1);
        self.older[place % HALF] = before;
        usize::from(before)
    }

    fn search(&mut self, last: bool, blocks: &mut SharedBlocks) {
        if self.filled - self.at < ENOUGH && !last {
            return;
        }
        self.weigh_literals();
        loop {
            let ahead = self.filled - self.at;
            if ahead == 0 || ahead < ENOUGH && !last {
                break;
            }
            let newest = if self.at < self.enter_end() { self.enter(self.at) } else { 0 };
            let (held, held_distance) = (self.length, self.distance);
            let look = newest != 0 && newest > self.at.saturating_sub(HALF) && ahead > held && held < self.lazy;
            let found = if look { self.longest(newest - 1, ahead) } else { None };
            (self.length, self.distance) = found.unwrap_or((SHORTEST - 1, 0));
            if held >= SHORTEST && self.length <= held {
                self.take(held, held_distance, last, blocks);
                continue;
            }
            if self.length >= SHORTEST {
                self.literals = 0;
            }
            if self.literal {
                self.literals = self.literals.wrapping_add(1);
                self.push(Token::literal(self.window[self.at - 1]), last, blocks);
                self.at += 1;
                self.pass_over(last, blocks);
            } else {
                self.at += 1;
                self.literal = true;
            }
        }
        if last {
            if std::mem::take(&mut self.literal) {
                self.tokens.push(Token::literal(self.window[self.at - 1]));
            }
            if !self.tokens.is_empty() {
                self.end_block(last, blocks);
            }
        }
    }

    /// The match at the place before stands.
    #[expect(clippy::cast_possible_truncation, reason = "a length is at most 258, a distance at most 32768")]
    fn take(&mut self, length: usize, distance: usize, last: bool, blocks: &mut SharedBlocks) {
        let (length, distance) = self.by_its_end(length, distance, last, blocks);
        self.tokens.push(Token::copy(length as u32, distance as u32));
        let end = self.at + length - 1;
        for place in self.at + 1..end.min(self.enter_end()) {
            self.enter(place);
        }
        self.at = end;
        self.literal = false;
        self.length = SHORTEST - 1;
        if self.tokens.len() == BLOCK_TOKENS {
            self.end_block(last, blocks);
        }
        self.literals = 0;
    }

    /// A place with the same four bytes behind the match, and the match that leads there, if it is longer. Where its
    /// first bytes differ they become literals.
    fn by_its_end(&mut self, held: usize, distance: usize, last: bool, blocks: &mut SharedBlocks) -> (usize, usize) {
        let unchanged = (held, distance);
        let start = self.at - 1;
        if held >= LONGEST as usize - SKIPPED || start + held >= self.enter_end() {
            return unchanged;
        }
        let end = (self.filled - self.at).min(LONGEST as usize + SKIPPED) + start;
        let hash = hash_of_four(u64::from(word32(&self.window[..], start + held)), HASH_BITS);
        let Some(origin) = usize::from(self.newest[hash]).checked_sub(1 + held) else { return unchanged };
        if start - origin == distance || origin <= self.at.saturating_sub(HALF) + SKIPPED {
            return unchanged;
        }
        let limit = end - start - SKIPPED;
        let mut length = common(&self.window[..], origin + SKIPPED, start + SKIPPED, limit);
        if length <= held {
            return unchanged;
        }
        for differs in (0..SKIPPED).rev() {
            if length >= LONGEST as usize || self.window[start + differs] != self.window[origin + differs] {
                for place in start..=start + differs {
                    self.push(Token::literal(self.window[place]), last, blocks);
                    self.at += 1;
                    if self.at < self.enter_end() {
                        self.enter(self.at);
                    }
                }
                break;
            }
            length += 1;
        }
        (length, start - origin)
    }

    /// After many literals in a row, some more without looking.
    fn pass_over(&mut self, last: bool, blocks: &mut SharedBlocks) {
        let beyond = usize::from(self.literals).saturating_sub(self.tries);
        if beyond == 0 {
            return;
        }
        for _ in 0..=beyond / 64 {
            if self.at + 1 >= self.filled {
                break;
            }
            self.push(Token::literal(self.window[self.at - 1]), last, blocks);
            if self.at < self.enter_end() {
                self.enter(self.at);
            }
            self.at += 1;
        }
        self.push(Token::literal(self.window[self.at - 1]), last, blocks);
        self.literal = false;
    }

    /// The longest match (or the one that saves most) from this place of the chain on: (length, distance).
    fn longest(&self, newest: usize, ahead: usize) -> Option<(usize, usize)> {
        let (at, window) = (self.at, &self.window[..]);
        let limit = ahead.min(LONGEST as usize);
        let nice = self.nice.min(limit);
        let farthest = at.saturating_sub(HALF);
        let (mut best, mut distance, mut gain) = (SHORTEST - 1, 0, LEAST_GAIN);
        let mut place = newest;
        let mut wanted = window[at + best];
        for _ in 0..self.tries {
            if window[place + best] == wanted {
                let length = common(window, place, at, limit);
                if length > best && (self.tries < WEIGHING || self.gains(length, at - place, &mut gain)) {
                    (best, distance) = (length, at - place);
                    if length >= nice {
                        break;
                    }
                    wanted = window[at + best];
                }
            }
            if place <= farthest {
                break;
            }
            match usize::from(self.older[place % HALF]).checked_sub(1) {
                Some(older) if older >= farthest => place = older,
                _ => break,
            }
        }
        (distance != 0).then_some((best, distance))
    }

    /// Whether the match saves more than the best so far, whose gain is told.
    fn gains(&self, length: usize, distance: usize, best: &mut i32) -> bool {
        let literals: i32 =
            self.window[self.at..self.at + length].iter().map(|byte| i32::from(self.weights[usize::from(*byte)])).sum();
        // The extra bits are those of the next greater distance; half a window counts as the lower half's end.
        let symbol = match distance {
            HALF => 14,
            _ => distance_symbol(u32::try_from(distance).unwrap_or(0)),
        };
        let extra = i32::from(DISTANCE_EXTRA[symbol]);
        let of_length = i32::from(LENGTH_EXTRA[usize::from(LENGTH_SYMBOL[(length - 3) & 255])]);
        let gain = literals - extra - MATCH_COST - of_length;
        let more = gain > *best;
        if more {
            *best = gain;
        }
        more
    }

    /// Guesses what literals will cost, from the bytes ahead.
    fn weigh_literals(&mut self) {
        if self.tries < WEIGHING || self.filled == self.at {
            return;
        }
        let end = if self.flavour.weighs_half() { self.filled.min(self.at + HALF) } else { self.filled };
        let mut counts = [0u16; 256];
        for &byte in &self.window[self.at..end] {
            let count = &mut counts[usize::from(byte)];
            *count = count.wrapping_add(1);
        }
        self.room.lengths(&counts.map(u32::from), 15, &mut self.weights);
        let least = self.flavour.least_weight();
        self.weights.iter_mut().for_each(|weight| *weight = (*weight).max(least));
    }

    fn push(&mut self, token: Token, last: bool, blocks: &mut SharedBlocks) {
        self.tokens.push(token);
        if self.tokens.len() == BLOCK_TOKENS {
            self.end_block(last, blocks);
        }
    }

    /// Writes the tokens as a block of the plain bytes up to the current place.
    fn end_block(&mut self, last: bool, blocks: &mut SharedBlocks) {
        let plain = self.block_start.filter(|start| *start <= self.at).map(|start| &self.window[start..self.at]);
        blocks.tokens(&self.tokens, plain, last);
        self.block_start = Some(self.at);
        self.tokens.clear();
    }
}
