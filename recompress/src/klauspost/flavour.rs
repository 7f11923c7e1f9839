//! The three states of the encoder that klauspost/compress began and Go took over, and in what they differ.
//!
//! The searches are the same but for one comparison of level 4; the blocks differ in what is described and counted.

/// Whose output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// klauspost/compress 1.15.15 to 1.17 (and 1.18.0, but for level 4).
    Early,
    /// klauspost/compress 1.18.4 to 1.19.
    Late,
    /// `compress/flate` of Go 1.27.
    Go,
}

impl Flavour {
    /// Codes are described up to the last one in use, and the end of a block is counted with each block. Otherwise
    /// codes that later blocks may use are described with all symbols, and the end with the last block only.
    pub(crate) fn trims(self) -> bool {
        self != Self::Early
    }

    /// Level 4 measures the match behind the current place not where it lies but at its distance from the beginning
    /// of the history.
    pub(crate) fn mistakes_distance(self) -> bool {
        self != Self::Early
    }

    /// Level 9 weighs literals by the next 32 KiB; otherwise by all that is ahead, in 16-bit counts that run over.
    pub(crate) fn weighs_half(self) -> bool {
        self != Self::Early
    }

    /// Level 9 gives each literal one bit at least.
    pub(crate) fn least_weight(self) -> u8 {
        u8::from(self == Self::Go)
    }
}
