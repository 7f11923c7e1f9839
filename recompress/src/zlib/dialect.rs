//! In what zlib and GNU gzip differ, and what a level means to both.
//!
//! gzip is the older one. It puts twice as many tokens into a block but ends a block early where that looks good,
//! measures matches beyond the end of the input (whatever its window holds there), and at the end of its window it
//! no longer looks for matches where zlib still moves the window.

/// Whose output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Zlib,
    GnuGzip,
}

impl Dialect {
    /// A block ends with this many tokens at most.
    pub(crate) fn block_tokens(self) -> usize {
        match self {
            Self::Zlib => (1 << 14) - 1,
            Self::GnuGzip => (1 << 15) - 1,
        }
    }
}

/// What a level looks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) level: i8,
    /// Take the first match (levels 1 to 3) instead of looking one byte further.
    pub(crate) greedy: bool,
    /// With a match of this length held back, a quarter of the tries suffices.
    pub(crate) good: usize,
    /// Lazy: with a match of this length held back, no better one is looked for. Greedy: the places within a longer
    /// match are not entered into the chains.
    pub(crate) lazy: usize,
    /// A match of this length ends the search.
    pub(crate) nice: usize,
    /// How many places of a chain are tried.
    pub(crate) tries: usize,
}

impl Effort {
    /// The efforts of levels 1 to 9; `None` for any other.
    pub(crate) fn of_level(level: i8) -> Option<Self> {
        let (good, lazy, nice, tries) = match level {
            1 => (4, 4, 8, 4),
            2 => (4, 5, 16, 8),
            3 => (4, 6, 32, 32),
            4 => (4, 4, 16, 16),
            5 => (8, 16, 32, 32),
            6 => (8, 16, 128, 128),
            7 => (8, 32, 128, 256),
            8 => (32, 128, 258, 1024),
            9 => (32, 258, 258, 4096),
            _ => return None,
        };
        Some(Self { level, greedy: level <= 3, good, lazy, nice, tries })
    }
}
