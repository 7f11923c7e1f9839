//! Level 3: a table of the last two places by their five bytes.

use super::fast::Finder;
use super::history::{FARTHEST, History, MARGIN, Match, Two, hash_of_five, resume};
use crate::deflate::compare::table;

const TABLE_BITS: u32 = 16;
/// A match lies nearer than this, so that its first four bytes do too.
const NEARER: u32 = FARTHEST - 4;

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Pairs {
    table: Box<[Two; 1 << TABLE_BITS]>,
}

impl Pairs {
    pub(crate) fn new() -> Self {
        Self { table: table() }
    }

    #[inline]
    fn enter(&mut self, history: &History, at: usize) -> Two {
        self.table[hash_of_five(history.word(at), TABLE_BITS)].enter(history.number(at))
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next.
    fn scan(&mut self, history: &History, at: usize, written: usize, last: usize) -> Option<(Match, usize)> {
        let mut next = at;
        loop {
            let at = next;
            next = at + 1 + ((at - written) >> 7);
            if next > last {
                return None;
            }
            let two = self.enter(history, at);
            let word = history.word(at);
            if history.distance(two.newest, at) > NEARER {
                continue;
            }
            let newest = history.same(two.newest, at, word, NEARER + 1);
            // The older one may lie one byte farther where it is compared with the newest.
            let older = history.same(two.older, at, word, NEARER + u32::from(newest.is_some()));
            let source = match (newest, older) {
                (Some(newest), Some(older)) => {
                    let longer = history.measure_all(at, older) > history.measure_all(at, newest);
                    if longer { older } else { newest }
                }
                (Some(source), None) | (None, Some(source)) => source,
                (None, None) => continue,
            };
            return Some((Match { at, source, length: None }, next));
        }
    }
}

impl Finder for Pairs {
    fn find(&mut self, history: &mut History, start: usize) -> usize {
        let end = history.filled;
        let last = end - MARGIN;
        let (mut at, mut written) = (start, start);
        while let Some((mut found, next)) = self.scan(history, at, written, last) {
            loop {
                let length = history.complete(found);
                let (length, source) = history.push(found, length, &mut written);
                at = resume(written, next);
                if at >= last {
                    let behind = source + length;
                    if behind + 8 < end && behind > 0 {
                        self.enter(history, behind);
                    }
                    return written;
                }
                for place in (at + 2 - length..at - 5).step_by(6) {
                    self.enter(history, place);
                }
                self.enter(history, at - 2);
                self.enter(history, at - 1);
                // The place behind the match may match again at once.
                let two = self.enter(history, at);
                let word = history.word(at);
                let near = history.distance(two.newest, at) < NEARER;
                let newest = history.same(two.newest, at, word, NEARER);
                match newest.or_else(|| history.same(two.older, at, word, NEARER)).filter(|_| near) {
                    Some(source) => found = Match { at, source, length: None },
                    None => break,
                }
            }
            at += 1;
        }
        written
    }

    fn lower(&mut self, shift: u32) {
        self.table.iter_mut().for_each(|two| two.lower(shift));
    }
}
