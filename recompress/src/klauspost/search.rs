//! Level 5: the last place with the same four bytes, and the last two with the same seven.
//!
//! A match is tried again one place further, at its own end (a longer one may end there), and backwards.

use super::fast::Finder;
use super::history::{FARTHEST, History, MARGIN, Match, Two, hash_of_four, hash_of_seven, resume};
use crate::deflate::compare::{common, table};

const TABLE_BITS: u32 = 15;
/// So many bytes at the beginning of a match that is found by its end may differ at first.
pub(crate) const SKIPPED: usize = 2;

/// The two tables, of levels 5 and 6.
#[derive(Debug)]
pub(crate) struct TwoTables {
    pub(crate) short: Box<[u32; 1 << TABLE_BITS]>,
    pub(crate) long: Box<[Two; 1 << TABLE_BITS]>,
}

#[inline]
pub(crate) fn short_slot(word: u64) -> usize {
    hash_of_four(word, TABLE_BITS)
}

#[inline]
pub(crate) fn long_slot(word: u64) -> usize {
    hash_of_seven(word, TABLE_BITS)
}

impl TwoTables {
    pub(crate) fn new() -> Self {
        Self { short: table(), long: table() }
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next. Strides grow with
    /// the distance from the last byte that was written.
    fn scan(&mut self, history: &History, at: usize, written: usize, last: usize) -> Option<(Match, usize)> {
        let mut next = at;
        let mut word = history.word(at);
        loop {
            let at = next;
            next = at + 1 + ((at - written) >> 6);
            if next > last {
                return None;
            }
            let number = history.number(at);
            let short = std::mem::replace(&mut self.short[short_slot(word)], number);
            let long = self.long[long_slot(word)].enter(number);
            let following = history.word(next);
            if let Some(found) = by_seven_bytes(history, long, at, word) {
                self.enter(history, next, following);
                return Some((found, next));
            }
            if let Some(source) = history.same(short, at, word, FARTHEST) {
                let length = history.measure(at, source);
                let long = self.long[long_slot(following)];
                self.enter(history, next, following);
                // The place behind may do better.
                for place in [long.newest, long.older] {
                    if let Some(source) = history.same(place, next, following, FARTHEST) {
                        let longer = history.measure(next, source);
                        if longer > length {
                            return Some((Match { at: next, source, length: Some(longer) }, next));
                        }
                    }
                }
                return Some((Match { at, source, length: Some(length) }, next));
            }
            word = following;
        }
    }

    /// A place with the same seven bytes behind the match, and the match that leads there. Its first two bytes may
    /// differ here; growing backwards finds out.
    fn by_its_end(&self, history: &History, found: Match, length: usize, last: usize) -> Option<(Match, usize)> {
        let behind = found.at + length;
        if length >= 30 || behind >= last {
            return None;
        }
        let place = self.long[long_slot(history.word(behind))].newest;
        longer_to(history, place, found.at, length)
    }

    #[inline]
    pub(crate) fn enter_short(&mut self, history: &History, at: usize, word: u64) {
        self.short[short_slot(word)] = history.number(at);
    }

    #[inline]
    pub(crate) fn enter_long(&mut self, history: &History, at: usize, word: u64) {
        self.long[long_slot(word)].enter(history.number(at));
    }

    #[inline]
    pub(crate) fn enter(&mut self, history: &History, at: usize, word: u64) {
        self.enter_short(history, at, word);
        self.enter_long(history, at, word);
    }

    /// Enters some of the places between the beginning of a match and the place `at` behind it.
    fn enter_within(&mut self, history: &History, at: usize, length: usize) {
        let mut place = at + 1 - length;
        if place + 1 < at {
            let word = history.word(place);
            self.enter(history, place, word);
            self.enter_long(history, place + 1, word >> 8);
            self.enter_short(history, place + 2, word >> 16);
            place += 4;
            while place + 1 < at {
                let word = history.word(place);
                self.enter_long(history, place, word);
                self.enter_short(history, place + 1, word >> 8);
                place += 3;
            }
        }
        let word = history.word(at - 1);
        self.enter(history, at - 1, word);
    }
}

/// The match at one of the two places with the same seven bytes: the longer one, the newest if they are equal.
pub(crate) fn by_seven_bytes(history: &History, two: Two, at: usize, word: u64) -> Option<Match> {
    let newest = history.same(two.newest, at, word, FARTHEST);
    let older = history.same(two.older, at, word, FARTHEST);
    let found = |source, length| Match { at, source, length };
    match (newest, older) {
        (Some(newest), Some(older)) => {
            let (near, far) = (history.measure(at, newest), history.measure(at, older));
            Some(if far > near { found(older, Some(far)) } else { found(newest, Some(near)) })
        }
        (newest, older) => newest.or(older).map(|source| found(source, None)),
    }
}

/// The match from shortly behind `at` that has the place with this number `length` bytes behind its origin, if it is
/// longer than `length`.
pub(crate) fn longer_to(history: &History, place: u32, at: usize, length: usize) -> Option<(Match, usize)> {
    let at = at + SKIPPED;
    let source = (place as usize + SKIPPED).checked_sub(history.number(0) as usize + length)?;
    if source >= at || at - source >= FARTHEST as usize {
        return None;
    }
    let longer = common(&history.bytes[..], source, at, history.filled - at);
    (longer > length).then_some((Match { at, source, length: None }, longer))
}

impl Finder for TwoTables {
    fn find(&mut self, history: &mut History, start: usize) -> usize {
        let last = history.filled - MARGIN;
        let (mut at, mut written) = (start, start);
        while let Some((mut found, next)) = self.scan(history, at, written, last) {
            let mut length = history.complete(found);
            if let Some((better, longer)) = self.by_its_end(history, found, length, last) {
                (found, length) = (better, longer);
            }
            (length, _) = history.push(found, length, &mut written);
            at = resume(written, next);
            if at >= last {
                break;
            }
            self.enter_within(history, at, length);
        }
        written
    }

    fn lower(&mut self, shift: u32) {
        self.short.iter_mut().for_each(|place| *place = place.saturating_sub(shift));
        self.long.iter_mut().for_each(|two| two.lower(shift));
    }
}
