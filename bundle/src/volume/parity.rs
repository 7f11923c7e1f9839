//! The code: parity of a stripe, and the lost blocks of one. The only place that knows the library.
//!
//! The library takes what it is given for true: a wrong block in is a wrong file out. So every block that goes in has
//! been compared with its table, and the file that comes out is compared with its digest.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::set::Set;

/// Makes the parity of stripes.
pub struct Encoder {
    inner: Option<ReedSolomonEncoder>,
    parity: usize,
}

/// Why a stripe can't be encoded or repaired. Shapes are checked before, so this is a bug.
#[derive(Debug, thiserror::Error)]
#[error("the code refuses: {0}")]
pub struct CodeRefuses(String);

fn refuses(error: impl std::fmt::Display) -> CodeRefuses {
    CodeRefuses(error.to_string())
}

impl Encoder {
    /// For stripes of this set.
    pub fn new(set: &Set) -> Result<Self, CodeRefuses> {
        let (data, parity) = (set.data as usize, set.parity as usize);
        let inner = match parity {
            0 => None,
            _ => Some(ReedSolomonEncoder::new(data, parity, set.block()).map_err(refuses)?),
        };
        Ok(Self { inner, parity })
    }

    /// Gives each parity block of a stripe to `each`, with its number from 0. `stripe` are the data blocks in order.
    pub fn encode<E: From<CodeRefuses>>(
        &mut self,
        stripe: &[u8],
        block: usize,
        mut each: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(inner) = &mut self.inner else { return Ok(()) };
        for shard in stripe.chunks_exact(block) {
            inner.add_original_shard(shard).map_err(refuses)?;
        }
        let result = inner.encode().map_err(refuses)?;
        for n in 0..self.parity {
            let shard = result.recovery(n).ok_or_else(|| refuses("a parity block is missing"))?;
            each(n, shard)?;
        }
        Ok(())
    }
}

/// Repairs stripes.
pub struct Repairer {
    inner: Option<ReedSolomonDecoder>,
    data: usize,
}

impl Repairer {
    /// For stripes of this set.
    pub fn new(set: &Set) -> Result<Self, CodeRefuses> {
        let (data, parity) = (set.data as usize, set.parity as usize);
        let inner = match parity {
            0 => None,
            _ => Some(ReedSolomonDecoder::new(data, parity, set.block()).map_err(refuses)?),
        };
        Ok(Self { inner, data })
    }

    /// Fills the lost data blocks of `stripe` (all data blocks in order). `good` says which of all the stripe's blocks are
    /// at hand; parity blocks come from `parity`, by their number from 0.
    pub fn repair(
        &mut self,
        stripe: &mut [u8],
        block: usize,
        good: &[bool],
        parity: &[(usize, Vec<u8>)],
    ) -> Result<(), CodeRefuses> {
        let lost: Vec<usize> = (0..self.data).filter(|&n| !good[n]).collect();
        if lost.is_empty() {
            return Ok(());
        }
        let inner = self.inner.as_mut().ok_or_else(|| refuses("there is no parity"))?;
        for (n, shard) in stripe.chunks_exact(block).enumerate().filter(|(n, _)| good[*n]) {
            inner.add_original_shard(n, shard).map_err(refuses)?;
        }
        for (n, shard) in parity {
            inner.add_recovery_shard(*n, shard).map_err(refuses)?;
        }
        let result = inner.decode().map_err(refuses)?;
        for n in lost {
            let shard = result.restored_original(n).ok_or_else(|| refuses("a block is not restored"))?;
            stripe[n * block..(n + 1) * block].copy_from_slice(shard);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::fake::noise;
    use crate::volume::set::tests::set;

    fn parity_of(set: &Set, stripe: &[u8]) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let mut encoder = Encoder::new(set).unwrap();
        encoder
            .encode(stripe, set.block(), |n, shard| {
                assert_eq!(n, all.len());
                all.push(shard.to_vec());
                Ok::<_, CodeRefuses>(())
            })
            .unwrap();
        all
    }

    /// What was once written must be repaired by every later ferry: these bytes never change.
    #[test]
    fn the_code_stays_what_it_is() {
        let mut seen = Vec::new();
        for (data, parity, block) in [(20, 4, 512), (1, 1, 64), (3, 7, 128), (300, 30, 64)] {
            let set = Set { data, parity, block_size: block, ..set() };
            let stripe = noise(7, (data * block) as usize);
            seen.push(Digest::of(&parity_of(&set, &stripe).concat()).short());
        }
        assert_eq!(seen, GOLDEN);
    }

    const GOLDEN: [&str; 4] = ["", "", "", ""];

    #[test]
    fn any_data_blocks_of_all_repair_a_stripe() {
        let set = Set { data: 5, parity: 3, block_size: 64, ..set() };
        let stripe = noise(9, 5 * 64);
        let parity = parity_of(&set, &stripe);
        let mut repairer = Repairer::new(&set).unwrap();
        for mask in 0u32..256 {
            if mask.count_ones() != 5 {
                continue;
            }
            let good: Vec<bool> = (0..8).map(|n| mask & (1 << n) != 0).collect();
            let mut half = stripe.clone();
            for n in (0..5).filter(|n| !good[*n]) {
                half[n * 64..(n + 1) * 64].fill(0);
            }
            let have: Vec<_> = (0..3).filter(|n| good[5 + n]).map(|n| (n, parity[n].clone())).collect();
            repairer.repair(&mut half, 64, &good, &have).unwrap();
            assert_eq!(half, stripe, "{mask:b}");
        }
    }
}
