//! How the classic Go encoder writes a block: which of stored, fixed and dynamic it takes.
//!
//! Three callers want three rules. The matchers of levels 2 to 9 take the smallest of the three forms, level 1 never
//! takes the fixed one and forgets the extra bits in its estimate, and a block of literals alone has its own path.

use crate::deflate::alphabet::{DISTANCES, END, LITERALS, Token};
use crate::deflate::bits::BitWriter;
use crate::deflate::count::Counts;
use crate::deflate::dynamic::{Header, put, write_tokens};
use crate::deflate::huffman::{Codes, fixed_distances, fixed_literals};
use crate::deflate::lengths::PackageMerge;

/// The most bytes a stored block can hold.
pub(crate) const MOST_STORED: usize = 65535;
/// Writes blocks.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    pub(crate) bits: BitWriter,
    counts: Counts,
    literals: Codes<LITERALS>,
    distances: Codes<DISTANCES>,
    fixed_literals: Codes<LITERALS>,
    fixed_distances: Codes<DISTANCES>,
    header: Header,
    room: PackageMerge,
}

impl BlockWriter {
    pub(crate) fn new(bits: BitWriter) -> Self {
        Self {
            bits,
            counts: Counts::default(),
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
        let extra = self.counts.extra_bits();
        let fixed = 3
            + self.fixed_literals.cost(&self.counts.literals)
            + self.fixed_distances.cost(&self.counts.distances)
            + extra;
        let dynamic = self.fit_dynamic() + extra;
        match plain.filter(|plain| plain.len() <= MOST_STORED) {
            Some(plain) if stored_bits(plain) < fixed.min(dynamic) => self.stored(plain),
            _ if dynamic < fixed => {
                self.header.write(&mut self.bits);
                write_tokens(&mut self.bits, tokens, &self.literals, &self.distances);
                put(&mut self.bits, self.literals.of[END]);
            }
            _ => {
                self.bits.put(0b010, 3);
                write_tokens(&mut self.bits, tokens, &self.fixed_literals, &self.fixed_distances);
                put(&mut self.bits, self.fixed_literals.of[END]);
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
        put(&mut self.bits, self.literals.of[END]);
    }

    /// Literals only, with dynamic codes, or stored where that saves less than a sixteenth.
    pub(crate) fn literals_unless_poor(&mut self, plain: &[u8]) {
        self.counts.of_bytes(plain);
        self.counts.literals[END] = 1;
        self.counts.at_least_one_distance();
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
        self.counts.of_tokens(tokens);
        self.counts.literals[END] += 1;
        self.counts.at_least_one_distance();
    }

    /// Fits the codes to the counts and lays out their description; the size in bits, without extra bits.
    fn fit_dynamic(&mut self) -> u64 {
        self.literals.fit(&self.counts.literals, 15, &mut self.room);
        self.distances.fit(&self.counts.distances, 15, &mut self.room);
        let header = self.header.describe(self.literals.used(), self.distances.used(), &mut self.room);
        header + self.literals.cost(&self.counts.literals) + self.distances.cost(&self.counts.distances)
    }
}

fn stored_bits(plain: &[u8]) -> u64 {
    (plain.len() as u64 + 5) * 8
}
