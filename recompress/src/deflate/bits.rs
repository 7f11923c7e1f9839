//! Bits in DEFLATE's order: the first bit is the lowest of the first byte.
//!
//! Whole words are moved to a byte vector that the caller empties; the vector keeps its capacity, so nothing is
//! allocated once it has grown to the size of the largest block.

/// Collects bits into bytes.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    pending: u64,
    /// How many bits of `pending` are in use: at most 31 between two calls.
    used: u32,
    /// Bytes that were cleared.
    gone: u64,
}

impl BitWriter {
    /// Starts within a byte: the first `phase` bits (0 to 7) belong to someone else and are left at zero.
    pub(crate) fn at_phase(phase: u8) -> Self {
        Self { used: u32::from(phase & 7), ..Self::default() }
    }

    /// Appends the low `count` bits of `bits` (at most 32; the bits above must be zero).
    #[inline]
    pub(crate) fn put(&mut self, bits: u64, count: u32) {
        debug_assert!(count <= 32 && bits >> count == 0);
        self.pending |= bits << self.used;
        self.used += count;
        if self.used >= 32 {
            // The low half leaves; the mask is what makes the cast exact.
            let word = u32::try_from(self.pending & 0xffff_ffff).unwrap_or(u32::MAX);
            self.bytes.extend_from_slice(&word.to_le_bytes());
            self.pending >>= 32;
            self.used -= 32;
        }
    }

    /// Fills the last byte with zero bits.
    pub(crate) fn align(&mut self) {
        while self.used > 0 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.used = self.used.saturating_sub(8);
        }
    }

    /// Appends whole bytes. The writer must stand on a byte border.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.used % 8, 0);
        self.align();
        self.bytes.extend_from_slice(bytes);
    }

    /// The whole bytes so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the whole bytes; they have been written elsewhere.
    pub(crate) fn clear(&mut self) {
        self.gone += self.bytes.len() as u64;
        self.bytes.clear();
    }

    /// How many whole bytes there were in all.
    pub(crate) fn total(&self) -> u64 {
        self.gone + self.bytes.len() as u64
    }

    /// Moves whole bytes out of the way; how many bits of the next one are in use (0 to 7).
    pub(crate) fn settle(&mut self) -> u8 {
        while self.used >= 8 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.used -= 8;
        }
        self.used.to_le_bytes()[0]
    }

    /// The byte under work, zero above its used bits. Call [`Self::settle`] first.
    pub(crate) fn partial(&self) -> u8 {
        self.pending.to_le_bytes()[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_is_the_lowest_of_the_first_byte() {
        let mut bits = BitWriter::default();
        bits.put(1, 1);
        bits.put(0b10, 2);
        bits.put(0xabcd_1234, 32);
        bits.align();
        let value = 1u64 | 0b10 << 1 | 0xabcd_1234 << 3;
        assert_eq!(bits.bytes(), &value.to_le_bytes()[..5]);
    }
}
