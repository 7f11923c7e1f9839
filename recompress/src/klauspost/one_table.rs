//! Levels 1 and 2: one table of places by their five bytes, two places looked at before the stride grows.
//!
//! Level 1 has a small table and enters little of a match; level 2 has a large one and enters every other place.

use super::fast::Finder;
use super::history::{FARTHEST, History, MARGIN, Match, hash_of_five, resume};

/// The state of the search.
#[derive(Debug)]
pub(crate) struct OneTable {
    table: Vec<u32>,
    bits: u32,
    thorough: bool,
}

impl OneTable {
    pub(crate) fn level_1() -> Self {
        Self { table: vec![0; 1 << 15], bits: 15, thorough: false }
    }

    pub(crate) fn level_2() -> Self {
        Self { table: vec![0; 1 << 17], bits: 17, thorough: true }
    }

    #[inline]
    fn enter(&mut self, history: &History, at: usize) -> u32 {
        let slot = hash_of_five(history.word(at), self.bits);
        std::mem::replace(&mut self.table[slot], history.number(at))
    }

    /// From `at` on, the first place with a match, and the place that would have been looked at next.
    fn scan(&mut self, history: &History, mut at: usize, written: usize, last: usize) -> Option<(Match, usize)> {
        let found = |at, source| Match { at, source, length: None };
        loop {
            let mut next = at + 2 + ((at - written) >> 5);
            if next > last {
                return None;
            }
            let older = self.enter(history, at);
            if let Some(source) = history.same(older, at, history.word(at), FARTHEST) {
                self.enter(history, next);
                return Some((found(at, source), next));
            }
            at = next;
            next += 1;
            let older = self.enter(history, at);
            if let Some(source) = history.same(older, at, history.word(at), FARTHEST) {
                if !self.thorough {
                    // The next place takes the entry of this one, whatever its own bytes are.
                    let slot = hash_of_five(history.word(at), self.bits);
                    self.table[slot] = history.number(next);
                }
                return Some((found(at, source), next));
            }
            at = next;
        }
    }
}

impl Finder for OneTable {
    fn find(&mut self, history: &mut History, start: usize) -> usize {
        let end = history.filled;
        let last = end - MARGIN;
        let (mut at, mut written) = (start, start);
        while let Some((mut found, next)) = self.scan(history, at, written, last) {
            loop {
                let length = history.complete(found);
                let (length, _) = history.push(found, length, &mut written);
                at = resume(written, next);
                if at >= last {
                    if at + length + 8 < end {
                        self.enter(history, at);
                    }
                    return written;
                }
                if self.thorough {
                    for place in (at + 2 - length..at - 5).step_by(7) {
                        // Of the last place only four bytes are at hand, and its fifth counts as zero.
                        let word = history.word(place);
                        for offset in [0, 2, 4] {
                            let slot = hash_of_five(word >> (8 * offset), self.bits);
                            self.table[slot] = history.number(place + offset);
                        }
                    }
                }
                self.enter(history, at - 2);
                if self.thorough {
                    self.enter(history, at - 1);
                }
                // The place behind the match may match again at once.
                let older = self.enter(history, at);
                match history.same(older, at, history.word(at), FARTHEST + 1) {
                    Some(source) => found = Match { at, source, length: None },
                    None => break,
                }
            }
            at += 1;
        }
        written
    }

    fn lower(&mut self, shift: u32) {
        self.table.iter_mut().for_each(|place| *place = place.saturating_sub(shift));
    }
}
