//! Levels 1 to 6: a history, and a finder of matches that each level has of its own.

use super::flavour::Flavour;
use super::history::{History, MARGIN};
use super::one_table::OneTable;
use super::pairs::Pairs;
use super::repeats::Repeats;
use super::search::TwoTables;
use super::short_and_long::ShortAndLong;
use crate::deflate::alphabet::Token;

/// Finds the matches of a block.
pub(crate) trait Finder: std::fmt::Debug + Send {
    /// Leaves the matches between `start` and the end of the history as tokens, with the literals before each of them;
    /// how far that went.
    fn find(&mut self, history: &mut History, start: usize) -> usize;

    /// All places have lower numbers from now on.
    fn lower(&mut self, shift: u32);
}

/// The state of the search.
#[derive(Debug)]
pub(crate) struct Fast {
    history: History,
    finder: Box<dyn Finder>,
}

impl Fast {
    /// The search of levels 1 to 6; `None` for any other.
    pub(crate) fn new(flavour: Flavour, level: i8) -> Option<Self> {
        let finder: Box<dyn Finder> = match level {
            1 => Box::new(OneTable::level_1()),
            2 => Box::new(OneTable::level_2()),
            3 => Box::new(Pairs::new()),
            4 => Box::new(ShortAndLong::new(flavour.mistakes_distance())),
            5 => Box::new(TwoTables::new()),
            6 => Box::new(Repeats::new()),
            _ => return None,
        };
        Some(Self { history: History::new(), finder })
    }

    /// A new stream: all places so far are out of reach.
    pub(crate) fn reset(&mut self) {
        self.history.reset();
    }

    /// Appends a block and leaves its tokens; none when nothing matched.
    pub(crate) fn search(&mut self, plain: &[u8]) {
        self.history.tokens.clear();
        if let Some(shift) = self.history.append(plain) {
            self.finder.lower(shift);
        }
        if plain.len() < MARGIN + 2 {
            return;
        }
        let start = self.history.filled - plain.len();
        let written = self.finder.find(&mut self.history, start);
        if !self.history.tokens.is_empty() {
            self.history.push_literals(written, self.history.filled);
        }
    }

    /// The tokens of the last block.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.history.tokens
    }
}
