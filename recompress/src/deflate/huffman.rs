//! Prefix codes ready for writing: lengths turned into the canonical codes of RFC 1951 3.2.2, bits reversed.

use super::alphabet::{DISTANCES, LITERALS};
use super::lengths::PackageMerge;

/// One code: its bits as they are put, first bit lowest, and how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) bits: u16,
    pub(crate) length: u8,
}

/// The codes of an alphabet of `N` symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Codes<const N: usize> {
    pub(crate) of: [Code; N],
}

impl<const N: usize> Default for Codes<N> {
    fn default() -> Self {
        Self { of: [Code::default(); N] }
    }
}

impl<const N: usize> Codes<N> {
    /// The best codes for these frequencies that are no longer than `limit`.
    pub(crate) fn fit(&mut self, frequencies: &[u32; N], limit: usize, room: &mut PackageMerge) {
        let mut lengths = [0u8; N];
        room.lengths(frequencies, limit, &mut lengths);
        self.assign(&lengths);
    }

    /// Codes of these lengths, ascending within each length.
    pub(crate) fn assign(&mut self, lengths: &[u8; N]) {
        let mut first = [0u16; 16];
        let mut code = 0u16;
        let mut counts = [0u16; 16];
        for &length in lengths {
            counts[usize::from(length & 15)] += u16::from(length != 0);
        }
        for length in 1..16 {
            code = (code + counts[length - 1]) << 1;
            first[length] = code;
        }
        for (symbol, &length) in lengths.iter().enumerate() {
            self.of[symbol] = if length == 0 {
                Code::default()
            } else {
                let value = first[usize::from(length & 15)];
                first[usize::from(length & 15)] += 1;
                Code { bits: value.reverse_bits() >> (16 - u32::from(length)), length }
            };
        }
    }

    /// The codes up to the last one in use.
    pub(crate) fn used(&self) -> &[Code] {
        let end = self.of.iter().rposition(|code| code.length != 0).map_or(0, |last| last + 1);
        &self.of[..end]
    }

    /// How many bits the symbols take, without their extra bits.
    pub(crate) fn cost(&self, frequencies: &[u32; N]) -> u64 {
        self.of.iter().zip(frequencies).map(|(code, count)| u64::from(*count) * u64::from(code.length)).sum()
    }
}

/// The literal codes every decoder knows (RFC 1951 3.2.6).
pub(crate) fn fixed_literals() -> Codes<LITERALS> {
    // The two symbols that the format leaves unused have codes too, so the table is made with them and then cut.
    let mut lengths = [8u8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    let mut all = Codes::<288>::default();
    all.assign(&lengths);
    let mut codes = Codes::default();
    codes.of.copy_from_slice(&all.of[..LITERALS]);
    codes
}

/// The distance codes every decoder knows: five bits each.
pub(crate) fn fixed_distances() -> Codes<DISTANCES> {
    let mut codes = Codes::default();
    codes.assign(&[5; DISTANCES]);
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_codes_are_those_of_the_format() {
        let codes = fixed_literals();
        let plain = |code: Code| (code.bits.reverse_bits() >> (16 - u32::from(code.length)), code.length);
        assert_eq!(plain(codes.of[0]), (0b0011_0000, 8));
        assert_eq!(plain(codes.of[144]), (0b1_1001_0000, 9));
        assert_eq!(plain(codes.of[256]), (0, 7));
        assert_eq!(plain(codes.of[285]), (0b1100_0101, 8));
        assert_eq!(plain(fixed_distances().of[29]), (29, 5));
    }

    #[test]
    fn the_example_of_the_format_comes_out() {
        let mut codes = Codes::<8>::default();
        codes.assign(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let plain: Vec<u16> =
            codes.of.iter().map(|code| code.bits.reverse_bits() >> (16 - u32::from(code.length))).collect();
        assert_eq!(plain, [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]);
    }
}
