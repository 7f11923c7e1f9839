//! How the klauspost encoder writes a block: with the codes of the block before where they fit, so that several blocks
//! of plain bytes become one block of the format, its end mark owed until new codes or another kind of block come.

use super::estimate::estimated_bits;
use super::flavour::Flavour;
use crate::deflate::alphabet::{DISTANCES, END, LITERALS, Token};
use crate::deflate::bits::BitWriter;
use crate::deflate::count::Counts;
use crate::deflate::dynamic::{Header, put, write_tokens};
use crate::deflate::huffman::{Codes, fixed_distances, fixed_literals};
use crate::deflate::lengths::PackageMerge;

/// With fewer tokens than this, the codes every decoder knows are considered.
const FEW_TOKENS: usize = 250;
/// What a header is thought to take before one has been written.
const GUESSED_HEADER: u64 = 70 * 8;
/// From this size on, evenly distributed bytes are stored without trying.
const JUDGED: usize = 1024;
/// The most bytes a stored block can hold.
const MOST_STORED: usize = 65535;

/// Codes that were described and whose end mark is owed.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Bits of the description.
    header: u64,
    /// There are no codes for lengths and distances.
    literals_only: bool,
}

/// Writes blocks.
#[derive(Debug)]
pub(crate) struct SharedBlocks {
    pub(crate) bits: BitWriter,
    flavour: Flavour,
    /// New codes must look better by one part in two to this power.
    penalty: u32,
    counts: Counts,
    literals: Codes<LITERALS>,
    distances: Codes<DISTANCES>,
    /// Codes on trial.
    trial: Codes<LITERALS>,
    open: Option<Open>,
    fixed_literals: Codes<LITERALS>,
    fixed_distances: Codes<DISTANCES>,
    header: Header,
    room: PackageMerge,
}

fn stored_bits(plain: &[u8]) -> u64 {
    (plain.len() as u64 + 5) * 8
}

impl SharedBlocks {
    pub(crate) fn new(flavour: Flavour, penalty: u32) -> Self {
        Self {
            bits: BitWriter::default(),
            flavour,
            penalty,
            counts: Counts::default(),
            literals: Codes::default(),
            distances: Codes::default(),
            trial: Codes::default(),
            open: None,
            fixed_literals: fixed_literals(),
            fixed_distances: fixed_distances(),
            header: Header::default(),
            room: PackageMerge::default(),
        }
    }

    /// A block of matches and literals. With `last_of_stream` (a flush follows) its end is written at once. Without
    /// `plain` (it is no longer in the window) it can't be stored.
    pub(crate) fn tokens(&mut self, tokens: &[Token], plain: Option<&[u8]>, last_of_stream: bool) {
        self.counts.of_tokens(tokens);
        // The end mark is a token where it is written with the block.
        let count = tokens.len() + usize::from(last_of_stream);
        let counts_end = last_of_stream || self.flavour.trims();
        self.counts.literals[END] = u32::from(counts_end);
        if self.open.is_some_and(|open| open.literals_only) || !self.codes_suffice() {
            self.end_open();
        }
        if counts_end {
            self.counts.at_least_one_distance();
        }
        let extra = self.counts.extra_bits();
        let plain = plain.filter(|plain| plain.len() <= MOST_STORED);
        let no_larger = |size: u64| plain.filter(|plain| stored_bits(plain) <= size);
        if let Some(open) = self.open {
            let new = open.header + estimated_bits(&self.counts, count);
            let new = new + u64::from(self.literals.of[END].length) + (new >> self.penalty);
            let old = self.literals.cost(&self.counts.literals) + self.distances.cost(&self.counts.distances) + extra;
            if new < old {
                self.end_open();
            }
            let size = new.min(old);
            if count < FEW_TOKENS && self.fixed_size(extra) + 7 < size {
                return match no_larger(size) {
                    Some(plain) => self.stored(plain),
                    None => self.with_fixed_codes(tokens),
                };
            }
            if let Some(plain) = no_larger(size) {
                return self.stored(plain);
            }
        }
        if self.open.is_none() {
            self.counts.literals[END] = 1;
            let header = self.fit(last_of_stream);
            let size = header
                + self.literals.cost(&self.counts.literals)
                + self.distances.cost(&self.counts.distances)
                + extra;
            let fixed = self.fixed_size(extra);
            if count < FEW_TOKENS && fixed <= size {
                return match no_larger(fixed) {
                    Some(plain) => self.stored(plain),
                    None => self.with_fixed_codes(tokens),
                };
            }
            if let Some(plain) = no_larger(size) {
                return self.stored(plain);
            }
            self.header.write(&mut self.bits);
            self.open = Some(Open { header, literals_only: false });
        }
        write_tokens(&mut self.bits, tokens, &self.literals, &self.distances);
        if last_of_stream {
            self.end_open();
        }
    }

    /// A block of literals only.
    pub(crate) fn literals(&mut self, plain: &[u8], last_of_stream: bool) {
        self.counts.of_bytes(plain);
        if plain.len() > JUDGED && self.evenly_distributed(plain.len()) {
            return self.stored(plain);
        }
        self.counts.literals[END] = 1;
        self.trial.fit(&self.counts.literals, 15, &mut self.room);
        let new = self.trial.cost(&self.counts.literals) + self.open.map_or(GUESSED_HEADER, |open| open.header);
        let new = new + (new >> self.penalty);
        if stored_bits(plain) <= new {
            return self.stored(plain);
        }
        if self.open.is_some() {
            let bytes = self.counts.literals[..256].iter().zip(&self.literals.of);
            let usable = bytes.clone().all(|(count, code)| *count == 0 || code.length != 0);
            let old: u64 = bytes.map(|(count, code)| u64::from(*count) * u64::from(code.length)).sum();
            if !usable || new < old {
                self.end_open();
            }
        }
        if self.open.is_none() {
            std::mem::swap(&mut self.literals, &mut self.trial);
            let one_distance = [crate::deflate::huffman::Code { bits: 0, length: 1 }];
            let header = self.header.describe(self.literals.used(), &one_distance, &mut self.room);
            self.header.write(&mut self.bits);
            self.open = Some(Open { header, literals_only: true });
        }
        for &byte in plain {
            put(&mut self.bits, self.literals.of[usize::from(byte)]);
        }
        if last_of_stream {
            self.end_open();
        }
    }

    /// The bytes as they are; 65535 at most.
    pub(crate) fn stored(&mut self, plain: &[u8]) {
        self.end_open();
        let length = plain.len() as u64 & 0xffff;
        self.bits.put(0, 3);
        self.bits.align();
        self.bits.put(length | (length ^ 0xffff) << 16, 32);
        self.bits.raw(plain);
    }

    /// A flush: an empty stored block, up to a byte border.
    pub(crate) fn flush(&mut self) {
        self.stored(&[]);
        self.bits.align();
    }

    /// The end of the stream: an empty block with the codes every decoder knows.
    pub(crate) fn finish(&mut self) {
        self.end_open();
        self.bits.put(0b011, 3);
        self.bits.put(0, 7);
        self.bits.align();
    }

    fn end_open(&mut self) {
        if self.open.take().is_some() {
            put(&mut self.bits, self.literals.of[END]);
        }
    }

    fn with_fixed_codes(&mut self, tokens: &[Token]) {
        self.end_open();
        self.bits.put(0b010, 3);
        write_tokens(&mut self.bits, tokens, &self.fixed_literals, &self.fixed_distances);
        put(&mut self.bits, self.fixed_literals.of[END]);
    }

    /// Whether the open codes have one for each symbol that occurs.
    fn codes_suffice(&self) -> bool {
        let literals = self.counts.literals.iter().zip(&self.literals.of);
        let distances = self.counts.distances.iter().zip(&self.distances.of);
        literals.chain(distances).all(|(count, code)| *count == 0 || code.length != 0)
    }

    /// Fits new codes; the bits of their description. Codes that later blocks may use are described with all symbols.
    fn fit(&mut self, last_of_stream: bool) -> u64 {
        self.literals.fit(&self.counts.literals, 15, &mut self.room);
        self.distances.fit(&self.counts.distances, 15, &mut self.room);
        if last_of_stream || self.flavour.trims() {
            self.header.describe(self.literals.used(), self.distances.used(), &mut self.room)
        } else {
            self.header.describe(&self.literals.of, &self.distances.of, &mut self.room)
        }
    }

    fn fixed_size(&self, extra: u64) -> u64 {
        3 + self.fixed_literals.cost(&self.counts.literals) + self.fixed_distances.cost(&self.counts.distances) + extra
    }

    /// Whether the squares of the deviations from an even distribution sum up to less than twice the length.
    #[expect(clippy::cast_precision_loss, reason = "a block has 65535 bytes at most")]
    fn evenly_distributed(&self, length: usize) -> bool {
        let (average, most) = (length as f64 / 256.0, (2 * length) as f64);
        let mut sum = 0.0;
        for &count in &self.counts.literals[..256] {
            let deviation = f64::from(count) - average;
            sum += deviation * deviation;
        }
        sum < most
    }
}
