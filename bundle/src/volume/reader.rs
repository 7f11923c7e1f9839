//! A folder of volumes read as if it were the file: what is read from it is looked for in its volume, compared with that
//! volume's table, and repaired from the others where it is not there. Nothing is written.
//!
//! Opening reads heads only. Whether all blocks are good shows as they are read: `verify` reads every one.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::error::VolumeError;
use super::gather::Assembly;
use super::join::Joiner;
use super::look::Looker;
use super::receive::choose;
use super::set::Set;
use crate::archive::ReadAt;

/// How many blocks are kept in memory, 1 MiB each at most: readers go through a block in smaller steps.
const CACHED: usize = 8;

/// A set of volumes, read as its file.
#[derive(Debug)]
pub struct VolumeReader {
    assembly: Assembly,
    recent: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
    repaired: Mutex<Repaired>,
}

/// The stripe that was repaired last.
struct Repaired {
    joiner: Joiner,
    stripe: Option<u32>,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Repaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repaired({:?})", self.stripe)
    }
}

impl VolumeReader {
    /// Opens the one set below `folder`.
    pub fn open(folder: &Path) -> Result<Self, VolumeError> {
        let places = [folder.to_owned()];
        let (gathering, files) = Looker::heads_only().look(&places, None, 1, &|_| ())?;
        let assembly = choose(&gathering, None, &places, files)?.clone();
        let repaired = Repaired { joiner: Joiner::new(assembly.clone()), stripe: None, bytes: Vec::new() };
        Ok(Self { assembly, recent: Mutex::default(), repaired: Mutex::new(repaired) })
    }

    /// The set.
    #[must_use]
    pub fn set(&self) -> &Set {
        &self.assembly.plan.set
    }

    /// Block number `n` of the file.
    fn block(&self, n: u64) -> io::Result<Arc<Vec<u8>>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = recent().iter().find(|(number, _)| *number == n) {
            return Ok(block.clone());
        }
        let set = self.set();
        let number = |n: u64| u32::try_from(n).map_err(io::Error::other);
        let (stripe, volume) = (number(n / u64::from(set.data))?, number(n % u64::from(set.data))?);
        let mut bytes = vec![0; set.block()];
        if !self.assembly.read(volume, stripe, &mut bytes) {
            self.repair(volume, stripe, &mut bytes)?;
        }
        let block = Arc::new(bytes);
        let mut recent = recent();
        recent.push_back((n, block.clone()));
        if recent.len() > CACHED {
            recent.pop_front();
        }
        Ok(block)
    }

    fn repair(&self, volume: u32, stripe: u32, block: &mut [u8]) -> io::Result<()> {
        let mut repaired = self.repaired.lock().unwrap_or_else(PoisonError::into_inner);
        if repaired.stripe != Some(stripe) {
            let mut bytes = std::mem::take(&mut repaired.bytes);
            bytes.resize(self.set().data as usize * self.set().block(), 0);
            repaired.stripe = None;
            let done = repaired.joiner.stripe(stripe, &mut bytes);
            repaired.bytes = bytes;
            done.map_err(io::Error::other)?;
            repaired.stripe = Some(stripe);
        }
        let from = volume as usize * block.len();
        block.copy_from_slice(&repaired.bytes[from..from + block.len()]);
        Ok(())
    }
}

impl ReadAt for VolumeReader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let set = self.set();
        let size = u64::from(set.block_size);
        let left = set.length.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let block = self.block(offset / size)?;
        let within = &block[usize::try_from(offset % size).map_err(io::Error::other)?..];
        let count = within.len().min(wanted);
        buffer[..count].copy_from_slice(&within[..count]);
        Ok(count)
    }
}
