//! Joining: the file from what is at hand of its set, block by block, repaired where it must be.
//!
//! Blocks are compared with their tables again as they are read. What comes out is right only once its digest has been
//! compared: [`join`] does, and who reads pieces ([`Joiner`]) relies on the bundle's own digests.

use super::gather::Assembly;
use super::parity::{CodeRefuses, Repairer};
use crate::digest::{Digest, Hasher};

/// Why a file can't be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A stripe has too few good blocks.
    #[error("stripe {stripe} has {good} good blocks of the {needed} it needs")]
    TooFew {
        /// Which.
        stripe: u32,
        /// How many are good.
        good: u32,
        /// How many must be.
        needed: u32,
    },
    /// The joined file is not the one that was split: the set was made wrong.
    #[error("the joined file is {actual}, and {expected} was split: the volumes were made of something else")]
    Wrong {
        /// What was split.
        expected: Digest,
        /// What was joined.
        actual: Digest,
    },
    /// The code.
    #[error(transparent)]
    Code(#[from] CodeRefuses),
    /// The output.
    #[error("can't write the joined file")]
    Write(#[source] std::io::Error),
}

/// Gives stripes, one at a time.
pub struct Joiner {
    assembly: Assembly,
    repairer: Option<Repairer>,
    block: Vec<u8>,
    /// How many blocks have been repaired so far.
    pub repaired: u64,
}

impl Joiner {
    /// Of this assembly.
    #[must_use]
    pub fn new(assembly: Assembly) -> Self {
        let block = vec![0; assembly.plan.set.block()];
        Self { assembly, repairer: None, block, repaired: 0 }
    }

    /// What it reads from.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.assembly
    }

    /// The data blocks of a stripe, in order, into `out` (data volumes × block size).
    pub fn stripe(&mut self, stripe: u32, out: &mut [u8]) -> Result<(), JoinError> {
        let set = &self.assembly.plan.set;
        let (data, block) = (set.data, set.block());
        let mut good = vec![false; set.volumes() as usize];
        for (volume, place) in (0..data).zip(out.chunks_exact_mut(block)) {
            good[volume as usize] = self.assembly.read(volume, stripe, place);
        }
        let lost = good.iter().take(data as usize).filter(|good| !**good).count();
        if lost == 0 {
            return Ok(());
        }
        let mut parity = Vec::with_capacity(lost);
        for volume in data..set.volumes() {
            if parity.len() == lost {
                break;
            }
            if self.assembly.read(volume, stripe, &mut self.block) {
                good[volume as usize] = true;
                parity.push(((volume - data) as usize, self.block.clone()));
            }
        }
        if parity.len() < lost {
            let good = u32::try_from(good.iter().filter(|good| **good).count()).unwrap_or(u32::MAX);
            return Err(JoinError::TooFew { stripe, good, needed: data });
        }
        let repairer = match &mut self.repairer {
            Some(repairer) => repairer,
            None => self.repairer.insert(Repairer::new(set)?),
        };
        repairer.repair(out, block, &good, &parity)?;
        self.repaired += lost as u64;
        Ok(())
    }
}

/// Writes the whole file through `put`, which gets each piece with its place; compares its digest at the end. Returns how
/// many blocks were repaired.
pub fn join(assembly: &Assembly, mut put: impl FnMut(u64, &[u8]) -> std::io::Result<()>) -> Result<u64, JoinError> {
    let set = &assembly.plan.set;
    let mut joiner = Joiner::new(assembly.clone());
    let mut buffer = vec![0; set.data as usize * set.block()];
    let mut hasher = Hasher::new();
    for stripe in 0..set.stripes() {
        joiner.stripe(stripe, &mut buffer)?;
        let left = set.length - set.stripe_at(stripe);
        let piece = &buffer[..usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len())];
        hasher.update(piece);
        put(set.stripe_at(stripe), piece).map_err(JoinError::Write)?;
    }
    let actual = hasher.finish();
    if actual == set.sha256 { Ok(joiner.repaired) } else { Err(JoinError::Wrong { expected: set.sha256, actual }) }
}
