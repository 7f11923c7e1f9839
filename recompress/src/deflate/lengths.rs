//! Lengths of prefix codes, no longer than a limit and of the smallest total: the package-merge method.
//!
//! Where two choices cost the same, encoders differ, and the bytes with them. Here the rule is that of the Go
//! encoders: symbols are ordered by (frequency, symbol), and of a package and a symbol of equal weight the package
//! goes first. One or two symbols get one bit each.

/// The longest code RFC 1951 allows.
const LIMIT: usize = 15;
/// The largest alphabet.
const SYMBOLS: usize = 286;
/// A level of the method never needs more items than this.
const ITEMS: usize = 2 * SYMBOLS;

/// Room for the method, kept between blocks.
#[derive(Debug)]
pub(crate) struct PackageMerge {
    /// Frequency and symbol in one number, ascending.
    ordered: [u64; SYMBOLS],
    weights: [[u32; ITEMS]; 2],
    /// For each level and item, how many of the items before it are packages.
    packages_before: Vec<[u16; ITEMS + 1]>,
}

impl Default for PackageMerge {
    fn default() -> Self {
        Self { ordered: [0; SYMBOLS], weights: [[0; ITEMS]; 2], packages_before: vec![[0; ITEMS + 1]; LIMIT] }
    }
}

impl PackageMerge {
    /// Sets `lengths[symbol]` for each symbol of `frequencies`: 0 for one that does not occur, otherwise 1 to `limit`.
    pub(crate) fn lengths(&mut self, frequencies: &[u32], limit: usize, lengths: &mut [u8]) {
        let mut count = 0;
        for (symbol, &frequency) in frequencies.iter().enumerate() {
            lengths[symbol] = 0;
            if frequency != 0 {
                self.ordered[count] = (u64::from(frequency) << 16) | symbol as u64;
                count += 1;
            }
        }
        let symbol_of = |entry: u64| (entry & 0xffff) as usize;
        if count <= 2 {
            for &entry in &self.ordered[..count] {
                lengths[symbol_of(entry)] = 1;
            }
            return;
        }
        self.ordered[..count].sort_unstable();
        let levels = limit.min(count - 1).min(LIMIT);
        self.merge(count, levels);

        // The top level takes 2n - 2 items; each package among them takes two items of the level below. A symbol's
        // code is as long as the number of levels in which it was taken, and the rarest are taken most often.
        let mut taken = 2 * count - 2;
        for level in (0..levels).rev() {
            let packages = usize::from(self.packages_before[level][taken]);
            for &entry in &self.ordered[..taken - packages] {
                lengths[symbol_of(entry)] += 1;
            }
            taken = 2 * packages;
        }
    }

    /// Lays out the items of each level: the symbols, merged with the packages made of pairs of the level before.
    fn merge(&mut self, count: usize, levels: usize) {
        let most = 2 * count - 2;
        let weight_of = |entry: u64| u32::try_from(entry >> 16).unwrap_or(u32::MAX);
        let [mut below, mut here] = self.weights.each_mut();
        let mut below_count = 0;
        for before in &mut self.packages_before[..levels] {
            let (mut symbol, mut package, mut item) = (0, 0u16, 0);
            let packages = below_count / 2;
            while item < most && (symbol < count || usize::from(package) < packages) {
                before[item] = package;
                let pair = 2 * usize::from(package);
                let packed = if pair + 1 < below_count { below[pair] + below[pair + 1] } else { u32::MAX };
                let single = if symbol < count { weight_of(self.ordered[symbol]) } else { u32::MAX };
                if single < packed {
                    here[item] = single;
                    symbol += 1;
                } else {
                    here[item] = packed;
                    package += 1;
                }
                item += 1;
            }
            before[item] = package;
            below_count = item;
            std::mem::swap(&mut below, &mut here);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(frequencies: &[u32], limit: usize) -> Vec<u8> {
        let mut lengths = vec![9; frequencies.len()];
        PackageMerge::default().lengths(frequencies, limit, &mut lengths);
        lengths
    }

    #[test]
    fn few_symbols_get_one_bit() {
        assert_eq!(lengths(&[0, 0, 0], 15), [0, 0, 0]);
        assert_eq!(lengths(&[0, 7, 0], 15), [0, 1, 0]);
        assert_eq!(lengths(&[3, 0, 9000], 15), [1, 0, 1]);
    }

    #[test]
    fn the_limit_holds_and_the_code_is_complete() {
        let fibonacci: Vec<u32> =
            (0..24).scan((1, 1), |(a, b), _| Some(std::mem::replace(a, std::mem::replace(b, *a + *b)))).collect();
        for limit in [7, 10, 15] {
            let lengths = lengths(&fibonacci, limit);
            assert!(lengths.iter().all(|length| (1..=limit).contains(&usize::from(*length))), "{lengths:?}");
            let kraft: u32 = lengths.iter().map(|length| 1 << (15 - u32::from(*length))).sum();
            assert_eq!(kraft, 1 << 15);
        }
    }

    #[test]
    fn equal_weights_make_a_flat_code() {
        assert_eq!(lengths(&[5; 8], 15), [3; 8]);
    }
}
