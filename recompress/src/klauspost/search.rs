//! The matches of the klauspost encoder's level 5: the last place with the same four bytes, and the last two with the
//! same seven.
//!
//! A match is tried again one place further, at its own end (a longer one may end there), and backwards. Blocks are
//! appended to a history that is cut back to 32 KiB when it is full; how far a match grows backwards depends on that.

use crate::deflate::alphabet::Token;
use crate::deflate::compare::{common, table, word32, word64};

/// How many plain bytes are searched at a time.
pub(crate) const BLOCK: usize = 65535;
const HISTORY: usize = 5 * BLOCK;
const KEPT: usize = 32768;
/// A match lies nearer than this.
const FARTHEST: u32 = 32768;
const SLACK: usize = 16;
/// Nothing is looked up in the last bytes of a block, and shorter blocks are not searched.
const MARGIN: usize = 11;
const TABLE_BITS: u32 = 15;
/// The longest match that is measured at first.
const LONGEST: usize = 258;
/// Places are counted from the beginning of the stream; beyond this they are counted anew.
const RECOUNT: u32 = 1 << 30;

/// The last two places of seven bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Two {
    newest: u32,
    older: u32,
}

/// The state of the search.
#[derive(Debug)]
pub(crate) struct TwoTables {
    history: Box<[u8; HISTORY + SLACK]>,
    filled: usize,
    /// The number of the place at the beginning of the history; an empty entry (0) is out of reach.
    base: u32,
    short: Box<[u32; 1 << TABLE_BITS]>,
    long: Box<[Two; 1 << TABLE_BITS]>,
    pub(crate) tokens: Vec<Token>,
}

/// A place to match, its match, and the length as far as it is known.
#[derive(Debug, Clone, Copy)]
struct Match {
    at: usize,
    source: usize,
    length: Option<usize>,
}

fn short_slot(word: u64) -> usize {
    ((word & 0xffff_ffff).wrapping_mul(2_654_435_761) as u32 >> (32 - TABLE_BITS)) as usize
}

fn long_slot(word: u64) -> usize {
    ((word << 8).wrapping_mul(58_295_818_150_454_627) >> (64 - TABLE_BITS)) as usize
}

impl TwoTables {
    pub(crate) fn new() -> Self {
        Self {
            history: table(),
            filled: 0,
            base: FARTHEST,
            short: table(),
            long: table(),
            tokens: Vec::with_capacity(BLOCK + 1),
        }
    }

    /// A new stream: all places so far are out of reach.
    pub(crate) fn reset(&mut self) {
        self.base = self.number(self.filled) + FARTHEST;
        self.filled = 0;
        self.tokens.clear();
    }

    /// Appends a block and leaves its tokens; none when nothing matched.
    pub(crate) fn search(&mut self, plain: &[u8]) {
        self.tokens.clear();
        self.append(plain);
        let (start, end) = (self.filled - plain.len(), self.filled);
        if plain.len() < MARGIN + 2 {
            return;
        }
        let last = end - MARGIN;
        let (mut at, mut written) = (start, start);
        while let Some((mut found, next)) = self.scan(at, written, last, end) {
            let mut length = match found.length {
                None => 4 + common(&self.history[..], found.source + 4, found.at + 4, end - found.at - 4),
                Some(LONGEST) => {
                    let behind = found.at + LONGEST;
                    LONGEST + common(&self.history[..], found.source + LONGEST, behind, end - behind)
                }
                Some(length) => length,
            };
            if let Some((better, longer)) = self.by_its_end(found, length, last, end) {
                (found, length) = (better, longer);
            }
            while found.source > 0 && found.at > written && self.history[found.source - 1] == self.history[found.at - 1]
            {
                found.at -= 1;
                found.source -= 1;
                length += 1;
            }
            self.tokens.extend(self.history[written..found.at].iter().map(|byte| Token::literal(*byte)));
            self.push(length, found.at - found.source);
            written = found.at + length;
            at = written.max(next + usize::from(next >= written));
            if at >= last {
                break;
            }
            self.enter_within(at, length);
        }
        if !self.tokens.is_empty() {
            self.tokens.extend(self.history[written..end].iter().map(|byte| Token::literal(*byte)));
        }
    }

    fn append(&mut self, plain: &[u8]) {
        if self.filled + plain.len() > HISTORY {
            let dropped = self.filled - KEPT;
            self.history.copy_within(dropped..self.filled, 0);
            self.base = self.number(dropped);
            self.filled = KEPT;
        }
        if self.base >= RECOUNT {
            let shift = self.base - FARTHEST;
            self.short.iter_mut().for_each(|place| *place = place.saturating_sub(shift));
            for two in self.long.iter_mut() {
                two.newest = two.newest.saturating_sub(shift);
                two.older = two.older.saturating_sub(shift);
            }
            self.base = FARTHEST;
        }
        self.history[self.filled..self.filled + plain.len()].copy_from_slice(plain);
        self.filled += plain.len();
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next. Strides grow with
    /// the distance from the last byte that was written.
    fn scan(&mut self, at: usize, written: usize, last: usize, end: usize) -> Option<(Match, usize)> {
        let mut next = at;
        let mut word = word64(&self.history[..], at);
        loop {
            let at = next;
            next = at + 1 + ((at - written) >> 6);
            if next > last {
                return None;
            }
            let number = self.number(at);
            let short = std::mem::replace(&mut self.short[short_slot(word)], number);
            let long = self.enter_long(at, word);
            let following = word64(&self.history[..], next);
            let found = |source, length| Match { at, source, length };
            let newest = self.same(long.newest, at, word);
            let older = self.same(long.older, at, word);
            if newest.is_some() || older.is_some() {
                self.enter(next, following);
                return Some((
                    match (newest, older) {
                        (Some(newest), Some(older)) => {
                            let (near, far) = (self.measure(at, newest, end), self.measure(at, older, end));
                            if far > near { found(older, Some(far)) } else { found(newest, Some(near)) }
                        }
                        (newest, older) => found(newest.or(older).unwrap_or(0), None),
                    },
                    next,
                ));
            }
            if let Some(source) = self.same(short, at, word) {
                let length = self.measure(at, source, end);
                let long = self.long[long_slot(following)];
                self.enter(next, following);
                // The place behind may do better.
                for place in [long.newest, long.older] {
                    if let Some(source) = self.same(place, next, following) {
                        let longer = self.measure(next, source, end);
                        if longer > length {
                            return Some((Match { at: next, source, length: Some(longer) }, next));
                        }
                    }
                }
                return Some((found(source, Some(length)), next));
            }
            word = following;
        }
    }

    /// A place with the same seven bytes behind the match, and the match that leads there. Its first two bytes may
    /// differ here; growing backwards finds out.
    fn by_its_end(&self, found: Match, length: usize, last: usize, end: usize) -> Option<(Match, usize)> {
        const SKIPPED: usize = 2;
        let behind = found.at + length;
        if length >= 30 || behind >= last {
            return None;
        }
        let place = self.long[long_slot(word64(&self.history[..], behind))].newest;
        let at = found.at + SKIPPED;
        let source = (place as usize + SKIPPED).checked_sub(self.base as usize + length)?;
        if source >= at || at - source >= FARTHEST as usize {
            return None;
        }
        let longer = common(&self.history[..], source, at, end - at);
        (longer > length).then_some((Match { at, source, length: None }, longer))
    }

    /// The number of a place in the history.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the history is small")]
    fn number(&self, at: usize) -> u32 {
        self.base + at as u32
    }

    /// The place in the history, if it is within reach and has the same four bytes.
    #[inline]
    fn same(&self, place: u32, at: usize, word: u64) -> Option<usize> {
        let distance = (self.number(at)).wrapping_sub(place);
        if distance >= FARTHEST {
            return None;
        }
        let source = at - distance as usize;
        (u64::from(word32(&self.history[..], source)) == word & 0xffff_ffff).then_some(source)
    }

    /// The length of a match whose four bytes are known, 258 at most.
    #[inline]
    fn measure(&self, at: usize, source: usize, end: usize) -> usize {
        4 + common(&self.history[..], source + 4, at + 4, (end - at).min(LONGEST) - 4)
    }

    #[inline]
    fn enter_short(&mut self, at: usize, word: u64) {
        self.short[short_slot(word)] = self.number(at);
    }

    /// Enters a place and tells the two that were there.
    #[inline]
    fn enter_long(&mut self, at: usize, word: u64) -> Two {
        let newest = self.number(at);
        let two = &mut self.long[long_slot(word)];
        let before = *two;
        *two = Two { newest, older: before.newest };
        before
    }

    #[inline]
    fn enter(&mut self, at: usize, word: u64) {
        self.enter_short(at, word);
        self.enter_long(at, word);
    }

    /// Enters some of the places between the beginning of a match and the place `at` behind it.
    fn enter_within(&mut self, at: usize, length: usize) {
        let mut place = at + 1 - length;
        if place + 1 < at {
            let word = word64(&self.history[..], place);
            self.enter(place, word);
            self.enter_long(place + 1, word >> 8);
            self.enter_short(place + 2, word >> 16);
            place += 4;
            while place + 1 < at {
                let word = word64(&self.history[..], place);
                self.enter_long(place, word);
                self.enter_short(place + 1, word >> 8);
                place += 3;
            }
        }
        let word = word64(&self.history[..], at - 1);
        self.enter(at - 1, word);
    }

    /// A match of any length, in pieces of 258; the last two share what is left so that neither is too short.
    #[expect(clippy::cast_possible_truncation, reason = "a piece is at most 258, a distance at most 32768")]
    fn push(&mut self, mut length: usize, distance: usize) {
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
