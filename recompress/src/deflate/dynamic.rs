//! Blocks with codes of their own: the description of the codes (RFC 1951 3.2.7), and tokens written with them.
//!
//! Runs of equal lengths are described greedily, the longest repetition first, as all encoders here do. Those of the Go
//! family let a run go on from the literals into the distances, zlib does not.

use super::alphabet::{
    DISTANCE_BASE, DISTANCE_EXTRA, DISTANCES, LENGTH_BASE, LENGTH_EXTRA, LENGTH_SYMBOL, LITERALS, Token,
    distance_symbol,
};
use super::bits::BitWriter;
use super::huffman::{Code, Codes};
use super::lengths::PackageMerge;

/// Symbols of the code that describes the codes, and the order in which their lengths are written.
pub(crate) const META: usize = 19;
const META_ORDER: [usize; META] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// One step of the description of the code lengths: a symbol, its extra bits, and how many of them there are.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    symbol: u8,
    extra: u8,
    extra_bits: u8,
}

/// The description of a dynamic block's codes.
#[derive(Debug)]
pub(crate) struct Header {
    runs: [Run; LITERALS + DISTANCES],
    run_count: usize,
    counts: [u32; META],
    codes: Codes<META>,
    literal_symbols: usize,
    distance_symbols: usize,
    meta_symbols: usize,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            runs: [Run::default(); LITERALS + DISTANCES],
            run_count: 0,
            counts: [0; META],
            codes: Codes::default(),
            literal_symbols: 0,
            distance_symbols: 0,
            meta_symbols: 0,
        }
    }
}

impl Header {
    /// Lays out the description of these codes; its size in bits. Runs go on from the literals into the distances.
    pub(crate) fn describe(&mut self, literals: &[Code], distances: &[Code], room: &mut PackageMerge) -> u64 {
        self.clear(literals, distances);
        self.describe_lengths(literals.iter().chain(distances).map(|code| code.length));
        self.codes.fit(&self.counts, 7, room);
        self.size()
    }

    /// As [`Self::describe`], with runs that end where the distances begin, and another way to fit the codes.
    pub(crate) fn describe_apart(
        &mut self,
        literals: &[Code],
        distances: &[Code],
        fit: impl FnOnce(&[u32; META], &mut Codes<META>),
    ) -> u64 {
        self.clear(literals, distances);
        self.describe_lengths(literals.iter().map(|code| code.length));
        self.describe_lengths(distances.iter().map(|code| code.length));
        fit(&self.counts, &mut self.codes);
        self.size()
    }

    fn clear(&mut self, literals: &[Code], distances: &[Code]) {
        self.literal_symbols = literals.len();
        self.distance_symbols = distances.len();
        self.counts = [0; META];
        self.run_count = 0;
    }

    /// The size in bits once the codes are there.
    fn size(&mut self) -> u64 {
        let last = META_ORDER.iter().rposition(|symbol| self.codes.of[*symbol].length != 0).unwrap_or(0);
        self.meta_symbols = (last + 1).max(4);
        let extra = u64::from(self.counts[16]) * 2 + u64::from(self.counts[17]) * 3 + u64::from(self.counts[18]) * 7;
        3 + 5 + 5 + 4 + 3 * self.meta_symbols as u64 + self.codes.cost(&self.counts) + extra
    }

    fn describe_lengths(&mut self, lengths: impl Iterator<Item = u8>) {
        let mut lengths = lengths.peekable();
        while let Some(length) = lengths.next() {
            let mut count = 1;
            while lengths.next_if_eq(&length).is_some() {
                count += 1;
            }
            self.describe_run(length, count);
        }
    }

    /// The same length `count` times: taken greedily, the longest repetition first, what is left singly.
    fn describe_run(&mut self, length: u8, mut count: u16) {
        if length == 0 {
            while count >= 11 {
                let part = count.min(138);
                self.push(18, part - 11, 7);
                count -= part;
            }
            if count >= 3 {
                self.push(17, count - 3, 3);
                count = 0;
            }
        } else {
            self.push(length, 0, 0);
            count -= 1;
            while count >= 3 {
                let part = count.min(6);
                self.push(16, part - 3, 2);
                count -= part;
            }
        }
        for _ in 0..count {
            self.push(length, 0, 0);
        }
    }

    fn push(&mut self, symbol: u8, extra: u16, extra_bits: u8) {
        self.counts[usize::from(symbol)] += 1;
        // At most 127 (seven bits).
        self.runs[self.run_count] = Run { symbol, extra: extra.to_le_bytes()[0], extra_bits };
        self.run_count += 1;
    }

    /// Writes the beginning of a block that is not the last one: its kind and the description.
    pub(crate) fn write(&self, bits: &mut BitWriter) {
        self.write_as(false, bits);
    }

    /// Writes the beginning of a block, the last one or not.
    pub(crate) fn write_as(&self, last: bool, bits: &mut BitWriter) {
        bits.put(0b100 | u64::from(last), 3);
        bits.put(self.literal_symbols as u64 - 257, 5);
        bits.put(self.distance_symbols as u64 - 1, 5);
        bits.put(self.meta_symbols as u64 - 4, 4);
        for symbol in &META_ORDER[..self.meta_symbols] {
            bits.put(u64::from(self.codes.of[*symbol].length), 3);
        }
        for run in &self.runs[..self.run_count] {
            put(bits, self.codes.of[usize::from(run.symbol)]);
            bits.put(u64::from(run.extra), u32::from(run.extra_bits));
        }
    }
}

/// Writes one code.
#[inline]
pub(crate) fn put(bits: &mut BitWriter, code: Code) {
    bits.put(u64::from(code.bits), u32::from(code.length));
}

/// Writes the tokens, not the end of the block.
pub(crate) fn write_tokens(
    bits: &mut BitWriter,
    tokens: &[Token],
    literals: &Codes<LITERALS>,
    distances: &Codes<DISTANCES>,
) {
    for token in tokens {
        match token.parts() {
            Ok(byte) => put(bits, literals.of[usize::from(byte)]),
            Err((length, distance)) => {
                let symbol = usize::from(LENGTH_SYMBOL[usize::from(length)]);
                let code = literals.of[257 + symbol];
                let extra = u64::from(length - LENGTH_BASE[symbol]);
                bits.put(u64::from(code.bits) | extra << code.length, u32::from(code.length + LENGTH_EXTRA[symbol]));
                let symbol = distance_symbol(distance);
                let code = distances.of[symbol];
                let extra = u64::from(distance) - u64::from(DISTANCE_BASE[symbol]);
                bits.put(u64::from(code.bits) | extra << code.length, u32::from(code.length + DISTANCE_EXTRA[symbol]));
            }
        }
    }
}
