//! Level 6: as level 5, with more places entered, and the distance of the last match tried again.

use super::fast::Finder;
use super::history::{FARTHEST, History, MARGIN, Match, resume};
use super::search::{TwoTables, by_seven_bytes, long_slot, longer_to, short_slot};
use crate::deflate::compare::word32;

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Repeats {
    tables: TwoTables,
}

impl Repeats {
    pub(crate) fn new() -> Self {
        Self { tables: TwoTables::new() }
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next. `repeat` is the
    /// distance of the last match.
    fn scan(&mut self, history: &History, at: usize, written: usize, repeat: usize) -> Option<(Match, usize)> {
        let last = history.filled - MARGIN;
        let mut next = at;
        loop {
            let at = next;
            next = at + 1 + ((at - written) >> 7);
            if next > last {
                return None;
            }
            let word = history.word(at);
            let number = history.number(at);
            let short = std::mem::replace(&mut self.tables.short[short_slot(word)], number);
            let long = self.tables.long[long_slot(word)].enter(number);
            let following = history.word(next);
            if let Some(found) = by_seven_bytes(history, long, at, word) {
                self.tables.enter(history, next, following);
                return Some((found, next));
            }
            let Some(source) = history.same(short, at, word, FARTHEST) else { continue };
            let mut best = (Match { at, source, length: None }, history.measure(at, source));
            let long = self.tables.long[long_slot(following)];
            self.tables.enter(history, next, following);
            // One place further, at the distance of the last match.
            let again = (at + 1).checked_sub(repeat);
            if let Some(again) =
                again.filter(|again| u64::from(word32(&history.bytes[..], *again)) == (word >> 8) & 0xffff_ffff)
            {
                let length = history.measure(at + 1, again);
                if length > best.1 {
                    return Some((Match { at: at + 1, source: again, length: Some(length) }, next));
                }
            }
            // The place behind may do better.
            for place in [long.newest, long.older] {
                if let Some(source) = history.same(place, next, following, FARTHEST) {
                    let length = history.measure(next, source);
                    if length > best.1 {
                        best = (Match { at: next, source, length: None }, length);
                    }
                }
            }
            return Some((Match { length: Some(best.1), ..best.0 }, next));
        }
    }

    /// As at level 5, for matches of any length and both places.
    fn by_its_end(&self, history: &History, found: &mut Match, length: &mut usize) {
        let behind = found.at + *length;
        if behind >= history.filled - MARGIN {
            return;
        }
        let two = self.tables.long[long_slot(history.word(behind))];
        let at = found.at;
        for place in [two.newest, two.older] {
            if let Some((better, longer)) = longer_to(history, place, at, *length) {
                (*found, *length) = (better, longer);
            }
        }
    }
}

impl Finder for Repeats {
    fn find(&mut self, history: &mut History, start: usize) -> usize {
        let end = history.filled;
        let (mut at, mut written, mut repeat) = (start, start, 1);
        while let Some((mut found, next)) = self.scan(history, at, written, repeat) {
            let mut length = history.complete(found);
            self.by_its_end(history, &mut found, &mut length);
            repeat = found.at - found.source;
            history.push(found, length, &mut written);
            at = resume(written, next);
            if at >= end - MARGIN {
                for place in (next + 1..end - 8).step_by(2) {
                    let word = history.word(place);
                    self.tables.enter(history, place, word);
                }
                break;
            }
            for place in (next + 1..at - 1).step_by(2) {
                let word = history.word(place);
                self.tables.enter(history, place, word);
                self.tables.enter_long(history, place + 1, word >> 8);
            }
        }
        written
    }

    fn lower(&mut self, shift: u32) {
        self.tables.lower(shift);
    }
}
