//! How zlib and GNU gzip write a block: the smallest of stored, fixed and dynamic, compared in whole bytes. A tie goes
//! to the fixed codes, and to storing before either. The last block carries the mark itself.

use super::tree::Tree;
use crate::deflate::alphabet::{DISTANCES, END, LITERALS, Token};
use crate::deflate::bits::BitWriter;
use crate::deflate::count::Counts;
use crate::deflate::dynamic::{Header, put, write_tokens};
use crate::deflate::huffman::{Codes, fixed_distances, fixed_literals};

/// Writes blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) bits: BitWriter,
    counts: Counts,
    literals: Codes<LITERALS>,
    distances: Codes<DISTANCES>,
    fixed_literals: Codes<LITERALS>,
    fixed_distances: Codes<DISTANCES>,
    header: Header,
    tree: Tree,
}

impl Blocks {
    pub(crate) fn new() -> Self {
        Self {
            bits: BitWriter::default(),
            counts: Counts::default(),
            literals: Codes::default(),
            distances: Codes::default(),
            fixed_literals: fixed_literals(),
            fixed_distances: fixed_distances(),
            header: Header::default(),
            tree: Tree::default(),
        }
    }

    /// A block. Without `plain` (it is no longer in the window) it can't be stored.
    pub(crate) fn write(&mut self, tokens: &[Token], plain: Option<&[u8]>, last: bool) {
        self.counts.of_tokens(tokens);
        self.counts.literals[END] += 1;
        self.tree.fit(&self.counts.literals, 15, &mut self.literals);
        self.tree.fit(&self.counts.distances, 15, &mut self.distances);
        let tree = &mut self.tree;
        let header = self.header.describe_apart(self.literals.used(), self.distances.used(), |counts, codes| {
            tree.fit(counts, 7, codes);
        });
        let extra = self.counts.extra_bits();
        let bytes = |bits: u64| (bits + extra).div_ceil(8);
        let counts = &self.counts;
        let cost = |literals: &Codes<LITERALS>, distances: &Codes<DISTANCES>| {
            literals.cost(&counts.literals) + distances.cost(&counts.distances)
        };
        let dynamic = bytes(header + cost(&self.literals, &self.distances));
        let fixed = bytes(3 + cost(&self.fixed_literals, &self.fixed_distances));
        match plain.filter(|plain| plain.len() as u64 + 4 <= fixed.min(dynamic)) {
            Some(plain) => self.stored(plain, last),
            None if fixed <= dynamic => {
                self.bits.put(0b010 | u64::from(last), 3);
                write_tokens(&mut self.bits, tokens, &self.fixed_literals, &self.fixed_distances);
                put(&mut self.bits, self.fixed_literals.of[END]);
            }
            None => {
                self.header.write_as(last, &mut self.bits);
                write_tokens(&mut self.bits, tokens, &self.literals, &self.distances);
                put(&mut self.bits, self.literals.of[END]);
            }
        }
        if last {
            self.bits.align();
        }
    }

    fn stored(&mut self, plain: &[u8], last: bool) {
        let length = plain.len() as u64 & 0xffff;
        self.bits.put(u64::from(last), 3);
        self.bits.align();
        self.bits.put(length | (length ^ 0xffff) << 16, 32);
        self.bits.raw(plain);
    }
}
