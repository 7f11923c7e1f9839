//! How often each symbol of a block occurs.

use super::alphabet::{DISTANCE_EXTRA, DISTANCES, LENGTH_EXTRA, LENGTH_SYMBOL, LITERALS, Token, distance_symbol};

/// The counts of a block.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) literals: [u32; LITERALS],
    pub(crate) distances: [u32; DISTANCES],
}

impl Default for Counts {
    fn default() -> Self {
        Self { literals: [0; LITERALS], distances: [0; DISTANCES] }
    }
}

impl Counts {
    /// Counts these tokens and nothing else; not the end of the block.
    pub(crate) fn of_tokens(&mut self, tokens: &[Token]) {
        *self = Self::default();
        for token in tokens {
            match token.parts() {
                Ok(byte) => self.literals[usize::from(byte)] += 1,
                Err((length, distance)) => {
                    self.literals[257 + usize::from(LENGTH_SYMBOL[usize::from(length)])] += 1;
                    self.distances[distance_symbol(distance)] += 1;
                }
            }
        }
    }

    /// Counts these bytes as literals and nothing else.
    pub(crate) fn of_bytes(&mut self, plain: &[u8]) {
        *self = Self::default();
        for &byte in plain {
            self.literals[usize::from(byte)] += 1;
        }
    }

    /// A block with codes of its own must describe one distance, even if it has none.
    pub(crate) fn at_least_one_distance(&mut self) {
        if self.distances.iter().all(|count| *count == 0) {
            self.distances[0] = 1;
        }
    }

    /// The bits behind the length and distance symbols.
    pub(crate) fn extra_bits(&self) -> u64 {
        let weigh = |counts: &[u32], bits: &[u8]| -> u64 {
            counts.iter().zip(bits).map(|(count, bits)| u64::from(*count) * u64::from(*bits)).sum()
        };
        weigh(&self.literals[257..], &LENGTH_EXTRA) + weigh(&self.distances, &DISTANCE_EXTRA)
    }
}
