//! How the classic Go encoder writes a block: which of stored, fixed and dynamic it takes, and the header of a
//! dynamic one.
//!
//! Three callers want three rules. The matchers of levels 2 to 9 take the smallest of the three forms, level 1 never
//! takes the fixed one and forgets the extra bits in its estimate, and a block of literals alone has its own path.

use crate::deflate::alphabet::{
    DISTANCE_BASE, DISTANCE_EXTRA, DISTANCES, END, LENGTH_BASE, LENGTH_EXTRA, LENGTH_SYMBOL, LITERALS, Token,
    distance_symbol,
};
use crate::deflate::bits::BitWriter;
use crate::deflate::huffman::{Code, Codes, fixed_distances, fixed_literals};
use crate::deflate::lengths::PackageMerge;

/// The most bytes a stored block can hold.
pub(crate) const MOST_STORED: usize = 65535;
/// Symbols of the code that describes the codes, and the order in which their lengths are written.
const META: usize = 19;
const META_ORDER: [usize; META] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// One step of the description of the code lengths: a symbol, its extra bits, and how many of them there are.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    symbol: u8,
    extra: u8,
    extra_bits: u8,
}

/// Writes blocks.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    pub(crate) bits: BitWriter,
    literal_counts: [u32; LITERALS],
    distance_counts: [u32; DISTANCES],
    literals: Codes<LITERALS>,
    distances: Codes<DISTANCES>,
    fixed_literals: Codes<LITERALS>,
    fixed_distances: Codes<DISTANCES>,
    header: Header,
    room: PackageMerge,
}

/// The description of a dynamic block's codes.
#[derive(Debug)]
struct Header {
    runs: [Run; LITERALS + DISTANCES],
    run_count: usize,
    counts: [u32; META],
    codes: Codes<META>,
    literal_symbols: usize,
    distance_symbols: usize,
    meta_symbols: usize,
}

impl BlockWriter {
    pub(crate) fn new(bits: BitWriter) -> Self {
        Self {
            bits,
            literal_counts: [0; LITERALS],
            distance_counts: [0; DISTANCES],
            literals: Codes::default(),
            distances: Codes::default(),
            fixed_literals: fixed_literals(),
            fixed_distances: fixed_distances(),
            header: Header::default(),
            room: PackageMerge::default(),
        }
    }

    /// The rule of levels 2 to 9: the smallest form. Without `plain` (it is no longer in the window) a block can't be
    /// stored; a tie goes to the fixed codes first, then to the dynamic ones.
    pub(crate) fn smallest(&mut self, tokens: &[Token], plain: Option<&[u8]>) {
        self.count(tokens);
        let extra = self.extra_bits();
        let fixed = 3
            + self.fixed_literals.cost(&self.literal_counts)
            + self.fixed_distances.cost(&self.distance_counts)
            + extra;
        let dynamic = self.fit_dynamic() + extra;
        match plain.filter(|plain| plain.len() <= MOST_STORED) {
            Some(plain) if stored_bits(plain) < fixed.min(dynamic) => self.stored(plain),
            _ if dynamic < fixed => {
                self.header.write(&mut self.bits);
                write_tokens(&mut self.bits, tokens, &self.literals, &self.distances);
            }
            _ => {
                self.bits.put(0b010, 3);
                write_tokens(&mut self.bits, tokens, &self.fixed_literals, &self.fixed_distances);
            }
        }
    }

    /// The rule of level 1: dynamic codes, or stored where they save less than a sixteenth. The extra bits of lengths
    /// and distances are left out of the estimate, as the encoder leaves them out.
    pub(crate) fn dynamic_unless_poor(&mut self, tokens: &[Token], plain: &[u8]) {
        self.count(tokens);
        let size = self.fit_dynamic();
        if plain.len() <= MOST_STORED && stored_bits(plain) < size + size / 16 {
            return self.stored(plain);
        }
        self.header.write(&mut self.bits);
        write_tokens(&mut self.bits, tokens, &self.literals, &self.distances);
    }

    /// Literals only, with dynamic codes, or stored where that saves less than a sixteenth.
    pub(crate) fn literals_unless_poor(&mut self, plain: &[u8]) {
        self.literal_counts = [0; LITERALS];
        for &byte in plain {
            self.literal_counts[usize::from(byte)] += 1;
        }
        self.literal_counts[END] = 1;
        self.distance_counts = [0; DISTANCES];
        self.distance_counts[0] = 1;
        let size = self.fit_dynamic();
        if plain.len() <= MOST_STORED && stored_bits(plain) < size + size / 16 {
            return self.stored(plain);
        }
        self.header.write(&mut self.bits);
        for &byte in plain {
            put(&mut self.bits, self.literals.of[usize::from(byte)]);
        }
        put(&mut self.bits, self.literals.of[END]);
    }

    /// The bytes as they are; 65535 at most.
    pub(crate) fn stored(&mut self, plain: &[u8]) {
        self.stored_header(plain.len(), false);
        self.bits.raw(plain);
    }

    /// The end of the stream: an empty stored block with the final mark.
    pub(crate) fn finish(&mut self) {
        self.stored_header(0, true);
        self.bits.align();
    }

    fn stored_header(&mut self, length: usize, last: bool) {
        let length = length as u64 & 0xffff;
        self.bits.put(u64::from(last), 3);
        self.bits.align();
        self.bits.put(length | (length ^ 0xffff) << 16, 32);
    }

    fn count(&mut self, tokens: &[Token]) {
        let (literals, distances) = (&mut self.literal_counts, &mut self.distance_counts);
        *literals = [0; LITERALS];
        *distances = [0; DISTANCES];
        for token in tokens {
            match token.parts() {
                Ok(byte) => literals[usize::from(byte)] += 1,
                Err((length, distance)) => {
                    literals[257 + usize::from(LENGTH_SYMBOL[usize::from(length)])] += 1;
                    distances[distance_symbol(distance)] += 1;
                }
            }
        }
        literals[END] += 1;
        if distances.iter().all(|count| *count == 0) {
            // A dynamic block must describe at least one distance.
            distances[0] = 1;
        }
    }

    fn extra_bits(&self) -> u64 {
        let weigh = |counts: &[u32], bits: &[u8]| -> u64 {
            counts.iter().zip(bits).map(|(count, bits)| u64::from(*count) * u64::from(*bits)).sum()
        };
        weigh(&self.literal_counts[257..], &LENGTH_EXTRA) + weigh(&self.distance_counts, &DISTANCE_EXTRA)
    }

    /// Fits the codes to the counts and lays out their description; the size in bits, without extra bits.
    fn fit_dynamic(&mut self) -> u64 {
        self.literals.fit(&self.literal_counts, 15, &mut self.room);
        self.distances.fit(&self.distance_counts, 15, &mut self.room);
        let header = self.header.describe(&self.literals, &self.distances, &mut self.room);
        header + self.literals.cost(&self.literal_counts) + self.distances.cost(&self.distance_counts)
    }
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
    /// Lays out the description of these codes; its size in bits.
    fn describe(
        &mut self,
        literals: &Codes<LITERALS>,
        distances: &Codes<DISTANCES>,
        room: &mut PackageMerge,
    ) -> u64 {
        let used = |codes: &[Code]| codes.iter().rposition(|code| code.length != 0).map_or(0, |last| last + 1);
        self.literal_symbols = used(&literals.of);
        self.distance_symbols = used(&distances.of);
        self.counts = [0; META];
        self.run_count = 0;
        // Runs go on from the literals into the distances.
        let mut lengths = literals.of[..self.literal_symbols]
            .iter()
            .chain(&distances.of[..self.distance_symbols])
            .map(|code| code.length)
            .peekable();
        while let Some(length) = lengths.next() {
            let mut count = 1;
            while lengths.next_if_eq(&length).is_some() {
                count += 1;
            }
            self.describe_run(length, count);
        }
        self.codes.fit(&self.counts, 7, room);
        let last = META_ORDER.iter().rposition(|symbol| self.counts[*symbol] != 0).unwrap_or(0);
        self.meta_symbols = (last + 1).max(4);
        let extra = u64::from(self.counts[16]) * 2 + u64::from(self.counts[17]) * 3 + u64::from(self.counts[18]) * 7;
        3 + 5 + 5 + 4 + 3 * self.meta_symbols as u64 + self.codes.cost(&self.counts) + extra
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

    fn write(&self, bits: &mut BitWriter) {
        bits.put(0b100, 3);
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

fn stored_bits(plain: &[u8]) -> u64 {
    (plain.len() as u64 + 5) * 8
}

#[inline]
fn put(bits: &mut BitWriter, code: Code) {
    bits.put(u64::from(code.bits), u32::from(code.length));
}

/// Writes the tokens and the end mark.
fn write_tokens(bits: &mut BitWriter, tokens: &[Token], literals: &Codes<LITERALS>, distances: &Codes<DISTANCES>) {
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
    put(bits, literals.of[END]);
}
