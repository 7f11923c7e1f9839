//! Lengths of prefix codes as zlib fits them: Huffman's method on a heap, then shortened to the limit.
//!
//! Of nodes with the same frequency the one with the lower subtree goes first, and otherwise the order of the heap
//! decides; so how the heap moves its entries belongs to the result. There are always two codes, even if fewer symbols
//! occur.

use crate::deflate::alphabet::LITERALS;
use crate::deflate::huffman::Codes;

const NODES: usize = 2 * LITERALS - 1;

/// Room for the method, kept between blocks.
#[derive(Debug)]
pub(crate) struct Tree {
    frequency: [u32; NODES],
    height: [u8; NODES],
    parent: [u16; NODES],
    /// The nodes that have no parent yet, from 1 on; each is no larger than its two successors at twice its place.
    heap: [u16; NODES + 1],
    waiting: usize,
    /// The nodes in the order in which they left the heap.
    taken: [u16; NODES],
    depth: [u8; NODES],
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            frequency: [0; NODES],
            height: [0; NODES],
            parent: [0; NODES],
            heap: [0; NODES + 1],
            waiting: 0,
            taken: [0; NODES],
            depth: [0; NODES],
        }
    }
}

impl Tree {
    /// Sets `codes` to the codes for these frequencies, no longer than `limit`.
    pub(crate) fn fit<const N: usize>(&mut self, frequencies: &[u32; N], limit: u8, codes: &mut Codes<N>) {
        self.plant(frequencies);
        let count = self.grow(N);
        let mut lengths = [0; N];
        self.measure(count, limit, &mut lengths);
        codes.assign(&lengths);
    }

    /// Puts the symbols that occur into the heap, two at least.
    fn plant(&mut self, frequencies: &[u32]) {
        self.waiting = 0;
        let mut next = 0;
        for (symbol, &frequency) in (0u16..).zip(frequencies) {
            if frequency != 0 {
                self.leaf(symbol, frequency);
                next = symbol + 1;
            }
        }
        while self.waiting < 2 {
            // The next symbol among the first three, otherwise the very first.
            let symbol = if next < 3 { next } else { 0 };
            self.leaf(symbol, 1);
            next = if next < 3 { next + 1 } else { next };
        }
        for place in (1..=self.waiting / 2).rev() {
            self.sink(place);
        }
    }

    fn leaf(&mut self, symbol: u16, frequency: u32) {
        self.frequency[usize::from(symbol)] = frequency;
        self.height[usize::from(symbol)] = 0;
        self.waiting += 1;
        self.heap[self.waiting] = symbol;
    }

    /// Joins the two smallest nodes until one is left; how many nodes there are.
    fn grow(&mut self, leaves: usize) -> usize {
        let mut taken = 0;
        for (node, number) in (leaves..).zip(u16::try_from(leaves).unwrap_or(u16::MAX)..) {
            let first = self.heap[1];
            self.heap[1] = self.heap[self.waiting];
            self.waiting -= 1;
            self.sink(1);
            let second = self.heap[1];
            (self.taken[taken], self.taken[taken + 1]) = (first, second);
            taken += 2;
            let (first, second) = (usize::from(first), usize::from(second));
            self.frequency[node] = self.frequency[first] + self.frequency[second];
            self.height[node] = self.height[first].max(self.height[second]) + 1;
            (self.parent[first], self.parent[second]) = (number, number);
            self.heap[1] = number;
            self.sink(1);
            if self.waiting < 2 {
                break;
            }
        }
        self.taken[taken] = self.heap[1];
        taken + 1
    }

    fn no_larger(&self, one: u16, other: u16) -> bool {
        let key = |node: u16| (self.frequency[usize::from(node)], self.height[usize::from(node)]);
        key(one) <= key(other)
    }

    /// Moves the entry at `place` down to where it belongs.
    fn sink(&mut self, mut place: usize) {
        let moved = self.heap[place];
        loop {
            let mut below = 2 * place;
            if below > self.waiting {
                break;
            }
            if below < self.waiting && self.no_larger(self.heap[below + 1], self.heap[below]) {
                below += 1;
            }
            if self.no_larger(moved, self.heap[below]) {
                break;
            }
            self.heap[place] = self.heap[below];
            place = below;
        }
        self.heap[place] = moved;
    }

    /// The lengths: depths in the tree, and those beyond the limit made good at the cost of the rarest symbols.
    fn measure(&mut self, count: usize, limit: u8, lengths: &mut [u8]) {
        let mut of_length = [0u16; 16];
        let mut beyond = 0;
        self.depth[usize::from(self.taken[count - 1])] = 0;
        for &node in self.taken[..count - 1].iter().rev() {
            let node = usize::from(node);
            let mut depth = self.depth[usize::from(self.parent[node])] + 1;
            if depth > limit {
                depth = limit;
                beyond += 1;
            }
            self.depth[node] = depth;
            if node < lengths.len() {
                lengths[node] = depth;
                of_length[usize::from(depth)] += 1;
            }
        }
        if beyond == 0 {
            return;
        }
        let limit = usize::from(limit);
        while beyond > 0 {
            // A leaf moves one down and takes one of those that are too deep as its neighbour.
            let above = (1..limit).rev().find(|length| of_length[*length] != 0).unwrap_or(1);
            of_length[above] -= 1;
            of_length[above + 1] += 2;
            of_length[limit] -= 1;
            beyond -= 2;
        }
        let symbols = lengths.len();
        let mut rarest = self.taken[..count].iter().map(|node| usize::from(*node)).filter(|node| *node < symbols);
        for length in (1..=limit).rev() {
            for _ in 0..of_length[length] {
                if let Some(symbol) = rarest.next() {
                    lengths[symbol] = length.to_le_bytes()[0];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths<const N: usize>(frequencies: [u32; N], limit: u8) -> Vec<u8> {
        let mut codes = Codes::<N>::default();
        Tree::default().fit(&frequencies, limit, &mut codes);
        codes.of.iter().map(|code| code.length).collect()
    }

    #[test]
    fn there_are_two_codes_even_for_fewer_symbols() {
        assert_eq!(lengths([0, 0, 0, 0], 15), [1, 1, 0, 0]);
        assert_eq!(lengths([9, 0, 0, 0], 15), [1, 1, 0, 0]);
        assert_eq!(lengths([0, 9, 0, 0], 15), [0, 1, 1, 0]);
        assert_eq!(lengths([0, 0, 0, 9], 15), [1, 0, 0, 1]);
    }

    #[test]
    fn the_limit_holds_and_the_code_is_complete() {
        let mut frequencies = [0u32; 30];
        let (mut one, mut two) = (1, 1);
        for frequency in &mut frequencies[..24] {
            *frequency = one;
            (one, two) = (two, one + two);
        }
        for limit in [7, 15] {
            let lengths = lengths(frequencies, limit);
            assert!(lengths.iter().all(|length| *length <= limit), "{lengths:?}");
            let kraft: u32 = lengths.iter().filter(|length| **length != 0).map(|length| 1 << (15 - length)).sum();
            assert_eq!(kraft, 1 << 15);
        }
    }
}
