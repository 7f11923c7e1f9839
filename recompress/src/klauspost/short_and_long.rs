//! Level 4: the last place with the same four bytes, and the last one with the same seven.

use super::fast::Finder;
use super::history::{FARTHEST, History, MARGIN, Match, hash_of_four, hash_of_seven, resume};
use crate::deflate::compare::{common, table};

const TABLE_BITS: u32 = 15;

/// The state of the search.
#[derive(Debug)]
pub(crate) struct ShortAndLong {
    short: Box<[u32; 1 << TABLE_BITS]>,
    long: Box<[u32; 1 << TABLE_BITS]>,
    mistakes_distance: bool,
}

impl ShortAndLong {
    pub(crate) fn new(mistakes_distance: bool) -> Self {
        Self { short: table(), long: table(), mistakes_distance }
    }

    #[inline]
    fn enter_short(&mut self, history: &History, at: usize) -> u32 {
        std::mem::replace(&mut self.short[hash_of_four(history.word(at), TABLE_BITS)], history.number(at))
    }

    #[inline]
    fn enter_long(&mut self, history: &History, at: usize) -> u32 {
        std::mem::replace(&mut self.long[hash_of_seven(history.word(at), TABLE_BITS)], history.number(at))
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next.
    fn scan(&mut self, history: &History, at: usize, written: usize, last: usize) -> Option<(Match, usize)> {
        let mut next = at;
        loop {
            let at = next;
            next = at + 1 + ((at - written) >> 6);
            if next > last {
                return None;
            }
            let word = history.word(at);
            let (short, long) = (self.enter_short(history, at), self.enter_long(history, at));
            let found = |at, source| Match { at, source, length: None };
            if let Some(source) = history.same(long, at, word, FARTHEST) {
                return Some((found(at, source), next));
            }
            if let Some(source) = history.same(short, at, word, FARTHEST) {
                let following = history.word(next);
                let long = self.long[hash_of_seven(following, TABLE_BITS)];
                let better = history.same(long, next, following, FARTHEST).filter(|better| {
                    let origin = if self.mistakes_distance { next - better } else { *better };
                    let rest = history.filled - next - 4;
                    4 + common(&history.bytes[..], origin + 4, next + 4, rest) > history.measure_all(at, source)
                });
                return Some((better.map_or(found(at, source), |better| found(next, better)), next));
            }
        }
    }
}

impl Finder for ShortAndLong {
    fn find(&mut self, history: &mut History, start: usize) -> usize {
        let end = history.filled;
        let last = end - MARGIN;
        let (mut at, mut written) = (start, start);
        while let Some((found, next)) = self.scan(history, at, written, last) {
            let length = history.complete(found);
            history.push(found, length, &mut written);
            at = resume(written, next);
            if at >= last {
                if at + 8 < end {
                    self.enter_short(history, at);
                    self.enter_long(history, at);
                }
                break;
            }
            for place in (next..at - 1).step_by(3) {
                self.enter_long(history, place);
                self.enter_long(history, place + 1);
                self.enter_short(history, place + 1);
            }
            self.enter_short(history, at - 1);
            self.enter_long(history, at - 1);
        }
        written
    }

    fn lower(&mut self, shift: u32) {
        self.short.iter_mut().chain(self.long.iter_mut()).for_each(|place| *place = place.saturating_sub(shift));
    }
}
