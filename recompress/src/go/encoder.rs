//! The classic Go encoder as a whole: one value per stream, fed with the producer's writes.
//!
//! Level 0 stores, -2 codes literals only, 1 is [`Quick`], 2 to 9 are [`Chains`]. -1 is a name for 6.

use super::block::{BlockWriter, MOST_STORED};
use super::border::Border;
use super::chains::{Chains, Effort};
use super::quick::Quick;
use crate::deflate::bits::BitWriter;

/// A stream under work.
#[derive(Debug)]
pub(crate) struct GoEncoder {
    search: Search,
    blocks: BlockWriter,
}

#[derive(Debug)]
enum Search {
    /// No search: blocks of 65535 bytes, coded or as they are.
    None {
        waiting: Vec<u8>,
        coded: bool,
    },
    Quick(Quick),
    Chains(Chains),
}

impl GoEncoder {
    /// An encoder of this level (-2 to 9); `None` for any other.
    pub(crate) fn new(level: i8) -> Option<Self> {
        let waiting = || Vec::with_capacity(MOST_STORED);
        let search = match level {
            -2 => Search::None { waiting: waiting(), coded: true },
            0 => Search::None { waiting: waiting(), coded: false },
            1 => Search::Quick(Quick::new()),
            -1 => Search::Chains(Chains::new(Effort::of_level(6)?)),
            _ => Search::Chains(Chains::new(Effort::of_level(level)?)),
        };
        Some(Self { search, blocks: BlockWriter::new(BitWriter::default()) })
    }

    /// Goes on at a border, with what the window held there. `None` if that can't be.
    pub(crate) fn resume(level: i8, border: &Border, window: &[u8]) -> Option<Self> {
        let mut blocks = BlockWriter::new(BitWriter::at_phase(border.phase));
        let chains = Chains::resume(Effort::of_level(level)?, border, window, &mut blocks)?;
        Some(Self { search: Search::Chains(chains), blocks })
    }

    /// Asks for a border at the end of the next block.
    pub(crate) fn want_border(&mut self) {
        if let Search::Chains(chains) = &mut self.search {
            chains.want_border();
        }
    }

    /// The border that was asked for, once it is there.
    pub(crate) fn take_border(&mut self) -> Option<Border> {
        match &mut self.search {
            Search::Chains(chains) => chains.take_border(),
            _ => None,
        }
    }

    /// The bytes so far and the byte under work.
    pub(crate) fn into_bytes_and_partial(mut self) -> (Vec<u8>, u8) {
        self.blocks.bits.settle();
        (self.blocks.bits.bytes().to_vec(), self.blocks.bits.partial())
    }

    /// One write of the producer.
    pub(crate) fn write(&mut self, mut plain: &[u8]) {
        match &mut self.search {
            Search::Chains(chains) => chains.write(plain, &mut self.blocks),
            Search::Quick(quick) => quick.write(plain, &mut self.blocks),
            Search::None { waiting, coded } => {
                while !plain.is_empty() {
                    let (taken, rest) = plain.split_at(plain.len().min(MOST_STORED - waiting.len()));
                    waiting.extend_from_slice(taken);
                    plain = rest;
                    if waiting.len() == MOST_STORED {
                        without_search(&mut self.blocks, waiting, *coded);
                    }
                }
            }
        }
    }

    /// The end of the stream.
    pub(crate) fn finish(&mut self) {
        match &mut self.search {
            Search::Chains(chains) => chains.finish(&mut self.blocks),
            Search::Quick(quick) => quick.finish(&mut self.blocks),
            Search::None { waiting, coded } => without_search(&mut self.blocks, waiting, *coded),
        }
        self.blocks.finish();
    }

    /// The compressed bytes that are complete; [`Self::taken`] forgets them.
    pub(crate) fn ready(&self) -> &[u8] {
        self.blocks.bits.bytes()
    }

    /// What was [`Self::ready`] has been written elsewhere.
    pub(crate) fn taken(&mut self) {
        self.blocks.bits.clear();
    }
}

fn without_search(blocks: &mut BlockWriter, waiting: &mut Vec<u8>, coded: bool) {
    if !waiting.is_empty() {
        if coded {
            blocks.literals_unless_poor(waiting);
        } else {
            blocks.stored(waiting);
        }
        waiting.clear();
    }
}
