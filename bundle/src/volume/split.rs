//! Splitting: the volumes of a file, in one pass over it. Nothing of chance or of the clock goes in: the same file, name and
//! shape give the same volumes.
//!
//! Heads need the digests of all blocks, so they are written last, into the room left for them.

use std::io::{self, Read};
use std::sync::Arc;

use super::head::{Head, Run, neighbours_of};
use super::parity::{CodeRefuses, Encoder};
use super::set::{Set, SetError, SetPlan, root_of};
use crate::digest::{Digest, Hasher};

/// Why a file can't be split.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The shape.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The code.
    #[error(transparent)]
    Code(#[from] CodeRefuses),
    /// Reading the file.
    #[error("can't read the file that is split")]
    Read(#[source] io::Error),
    /// It is not as long as it was.
    #[error("the file changed while it was read: it had {expected} bytes, and has {actual} or more")]
    Changed {
        /// When it was measured.
        expected: u64,
        /// As read.
        actual: u64,
    },
    /// Writing a volume.
    #[error("can't write volume {}", .volume + 1)]
    Write {
        /// Which, from 0.
        volume: u32,
        /// Why.
        source: io::Error,
    },
}

/// Takes blocks as they are made: stripe by stripe, within one by volume.
pub trait Sink {
    /// Puts the block of a volume.
    fn block(&mut self, volume: u32, stripe: u32, bytes: &[u8]) -> io::Result<()>;
}

/// All block tables of a set: what heads are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The set.
    pub plan: Arc<SetPlan>,
    /// By volume.
    pub tables: Vec<Vec<Digest>>,
}

impl Tables {
    /// The head of a volume that carries these runs.
    #[must_use]
    pub fn head(&self, index: u32, runs: Vec<Run>) -> Head {
        let table = |volume: u32| self.tables[volume as usize].clone();
        let neighbours = neighbours_of(index, self.plan.set.volumes()).map(|volume| (volume, table(volume))).collect();
        Head { plan: self.plan.clone(), index, runs, table: table(index), neighbours }
    }

    /// The head of a whole volume.
    #[must_use]
    pub fn whole_head(&self, index: u32) -> Head {
        self.head(index, vec![Run { start: 0, count: self.plan.set.stripes() }])
    }
}

/// Splits `file` in the shape that `set` has; its `sha256` is not looked at. `passed` hears how many bytes of the file have
/// been read. Heads are the caller's to write, from what is returned.
pub fn split(
    mut set: Set,
    file: &mut impl Read,
    sink: &mut dyn Sink,
    passed: &dyn Fn(u64),
) -> Result<Tables, SplitError> {
    set.check()?;
    let (stripes, volumes, block) = (set.stripes(), set.volumes(), set.block());
    let mut tables = vec![Vec::with_capacity(stripes as usize); volumes as usize];
    let mut encoder = Encoder::new(&set)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; set.data as usize * block];
    for stripe in 0..stripes {
        let filled = fill(file, &mut buffer).map_err(SplitError::Read)?;
        hasher.update(&buffer[..filled]);
        passed(filled as u64);
        let expected = (set.length - set.stripe_at(stripe)).min(buffer.len() as u64);
        if filled as u64 != expected {
            return Err(SplitError::Changed { expected: set.length, actual: hasher.length() });
        }
        buffer[filled..].fill(0);
        let mut put = |volume: usize, bytes: &[u8]| {
            tables[volume].push(Digest::of(bytes));
            let volume = u32::try_from(volume).expect("a volume's number");
            sink.block(volume, stripe, bytes).map_err(|source| SplitError::Write { volume, source })
        };
        for (volume, bytes) in buffer.chunks_exact(block).enumerate() {
            put(volume, bytes)?;
        }
        let data = set.data as usize;
        encoder.encode(&buffer, block, |n, bytes| put(data + n, bytes))?;
    }
    if fill(file, &mut buffer[..1]).map_err(SplitError::Read)? != 0 {
        return Err(SplitError::Changed { expected: set.length, actual: hasher.length() + 1 });
    }
    set.sha256 = hasher.finish();
    let roots = tables.iter().map(|table| root_of(table)).collect();
    Ok(Tables { plan: Arc::new(SetPlan::of(set.to_bytes(), roots)?), tables })
}

/// Fills `buffer`, or as much of it as there is.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Volumes in memory, for small sets.
#[derive(Debug, Default)]
pub struct InMemory(Vec<Vec<u8>>);

impl Sink for InMemory {
    fn block(&mut self, volume: u32, _: u32, bytes: &[u8]) -> io::Result<()> {
        self.0.resize(self.0.len().max(volume as usize + 1), Vec::new());
        self.0[volume as usize].extend(bytes);
        Ok(())
    }
}

/// Splits bytes in memory into whole volumes.
pub fn split_bytes(set: Set, mut bytes: &[u8]) -> Result<(Tables, Vec<Vec<u8>>), SplitError> {
    let mut blocks = InMemory::default();
    let tables = split(set, &mut bytes, &mut blocks, &|_| ())?;
    let volumes = (0..).zip(blocks.0).map(|(index, blocks)| {
        let head = tables.whole_head(index);
        let bytes = head.encode();
        [&bytes, &blocks[..], &bytes, &head.end_mark()].concat()
    });
    Ok((tables.clone(), volumes.collect()))
}
