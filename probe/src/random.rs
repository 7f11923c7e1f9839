//! Numbers that do not repeat (nonces), and a stream of bytes that does (the content of a test volume).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// A text that no earlier run has used: the standard library seeds its hash maps from the kernel.
pub(crate) fn nonce() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// splitmix64: every seed has its own stream, and no part of a stream looks like another, so that swapped, lost or
/// repeated blocks show when it is compared.
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Fills `block`, whose length is a multiple of 8, with the next bytes.
    pub(crate) fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_known_and_differ_by_seed() {
        let mut bytes = [0; 16];
        Stream::new(0).fill(&mut bytes);
        // The first two numbers that the published algorithm gives for seed 0.
        assert_eq!(bytes[..8], 0xE220_A839_7B1D_CDAF_u64.to_le_bytes());
        assert_eq!(bytes[8..], 0x6E78_9E6A_A1B9_65F4_u64.to_le_bytes());
        let mut other = [0; 16];
        Stream::new(1).fill(&mut other);
        assert_ne!(bytes, other);
        assert_ne!(nonce(), nonce());
    }
}
