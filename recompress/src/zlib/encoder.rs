//! The zlib encoder as a whole, in either dialect: one value per stream.

use super::block::Blocks;
use super::dialect::{Dialect, Effort};
use super::matches::Matches;

/// A stream under work.
#[derive(Debug)]
pub(crate) struct ZlibEncoder {
    matches: Matches,
    blocks: Blocks,
}

impl ZlibEncoder {
    /// An encoder of this level (1 to 9); `None` for any other.
    pub(crate) fn new(dialect: Dialect, level: i8) -> Option<Self> {
        Some(Self { matches: Matches::new(dialect, Effort::of_level(level)?), blocks: Blocks::new() })
    }

    /// More plain bytes.
    pub(crate) fn write(&mut self, plain: &[u8]) {
        self.matches.write(plain, &mut self.blocks);
    }

    /// The end of the stream.
    pub(crate) fn finish(&mut self) {
        self.matches.finish(&mut self.blocks);
    }

    /// The compressed bytes that are complete; [`Self::taken`] forgets them.
    pub(crate) fn ready(&self) -> &[u8] {
        self.blocks.bits.bytes()
    }

    /// What was [`Self::ready`] has been written elsewhere.
    pub(crate) fn taken(&mut self) {
        self.blocks.bits.clear();
    }
}
