//! The head: what a volume says of itself, at its beginning and again at its end.
//!
//! ```text
//! "ferry volume 1\n\0"  head's length u32  descriptor's length u32  index u32  runs u32      (little endian)
//! descriptor (JSON) ‖ roots 32 B × volumes ‖ runs (first stripe u32, count u32) ‖ own table 32 B × stripes
//!     ‖ tables of the next two volumes ‖ sha256 of all of this head before it
//! blocks of the runs, in order
//! the head again, the same bytes ‖ "ferry volume end" ‖ head's length u32 ‖ 12 zero bytes
//! ```
//! A whole volume has one run of all stripes; one that was sent again may have fewer. Nothing is allocated by a number that
//! was read before as many bytes have been.

use std::sync::Arc;

use super::set::{MAX_DESCRIPTOR, MAX_STRIPES, MAX_VOLUMES, SetError, SetPlan, root_of};
use crate::digest::Digest;

const MAGIC: &[u8; 16] = b"ferry volume 1\n\0";
const END_MAGIC: &[u8; 16] = b"ferry volume end";
/// The fixed part of a head, in bytes.
pub const FIXED: usize = 32;
/// The end mark, in bytes.
pub const END: usize = 32;
/// Tables of how many following volumes a head carries.
pub const NEIGHBOURS: u32 = 2;
/// The longest head, in bytes: three tables of the most stripes, the most roots, as many runs as fit the rest.
pub const MAX_HEAD: usize = 28 * 1024 * 1024;

/// Stripes one behind the other whose blocks a volume carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The first stripe.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// A head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The set.
    pub plan: Arc<SetPlan>,
    /// Which of its volumes, from 0; parity volumes come last.
    pub index: u32,
    /// What it carries, ascending, without overlap.
    pub runs: Vec<Run>,
    /// The digests of all of the volume's blocks.
    pub table: Vec<Digest>,
    /// The tables of the next volumes, by index.
    pub neighbours: Vec<(u32, Vec<Digest>)>,
}

/// Why bytes are no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Another kind of file, or one whose first bytes are damaged.
    #[error("no volume begins here")]
    NotAHead,
    /// Its digest is wrong.
    #[error("the head is damaged")]
    Damaged,
    /// It was made to mislead, or by a newer ferry: its digest is right, what it says is not.
    #[error("the head says what can't be: {0}")]
    Lies(String),
    /// Its descriptor.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The medium does not give its bytes.
    #[error("it can't be read: {0}")]
    Unreadable(String),
}

/// Whose tables the head of `index` carries beside its own.
pub fn neighbours_of(index: u32, volumes: u32) -> impl Iterator<Item = u32> {
    (1..=NEIGHBOURS.min(volumes - 1)).map(move |n| (index + n) % volumes)
}

/// A head's length in bytes, which follows from sizes alone.
#[must_use]
pub fn head_length(descriptor: usize, volumes: u32, stripes: u32, runs: usize) -> u64 {
    let tables = u64::from(1 + NEIGHBOURS.min(volumes - 1)) * u64::from(stripes) * 32;
    (FIXED + descriptor + 8 * runs + 32) as u64 + u64::from(volumes) * 32 + tables
}

/// A whole volume's length in bytes.
#[must_use]
pub fn volume_length(descriptor: usize, volumes: u32, stripes: u32, block_size: u32) -> u64 {
    2 * head_length(descriptor, volumes, stripes, 1) + u64::from(stripes) * u64::from(block_size) + END as u64
}

/// The length that a head claims, from its first [`FIXED`] bytes.
pub fn claimed_length(fixed: &[u8]) -> Result<usize, HeadError> {
    if fixed.len() < FIXED || &fixed[..16] != MAGIC {
        return Err(HeadError::NotAHead);
    }
    length_within(number(fixed, 16))
}

/// The length of the head before the end mark, from the mark's bytes.
pub fn length_before_end(mark: &[u8]) -> Result<usize, HeadError> {
    if mark.len() != END || &mark[..16] != END_MAGIC || mark[20..].iter().any(|&b| b != 0) {
        return Err(HeadError::NotAHead);
    }
    length_within(number(mark, 16))
}

fn length_within(length: u32) -> Result<usize, HeadError> {
    let length = length as usize;
    if (FIXED + 32..=MAX_HEAD).contains(&length) { Ok(length) } else { Err(HeadError::Damaged) }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Head {
    /// The head's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let set = &self.plan.set;
        let length = head_length(self.plan.bytes.len(), set.volumes(), set.stripes(), self.runs.len());
        let mut bytes = Vec::with_capacity(usize::try_from(length).expect("limited by the set's limits"));
        bytes.extend(MAGIC);
        for number in [length, self.plan.bytes.len() as u64, u64::from(self.index), self.runs.len() as u64] {
            bytes.extend(u32::try_from(number).expect("limited by the set's limits").to_le_bytes());
        }
        bytes.extend(&self.plan.bytes);
        self.plan.roots.iter().for_each(|root| bytes.extend(root.as_bytes()));
        for run in &self.runs {
            bytes.extend(run.start.to_le_bytes());
            bytes.extend(run.count.to_le_bytes());
        }
        for digest in &self.table {
            bytes.extend(digest.as_bytes());
        }
        for (_, table) in &self.neighbours {
            for digest in table {
                bytes.extend(digest.as_bytes());
            }
        }
        let digest = Digest::of(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    /// The mark that follows the second copy.
    #[must_use]
    pub fn end_mark(&self) -> [u8; END] {
        let set = &self.plan.set;
        let length = head_length(self.plan.bytes.len(), set.volumes(), set.stripes(), self.runs.len());
        let mut mark = [0; END];
        mark[..16].copy_from_slice(END_MAGIC);
        mark[16..20].copy_from_slice(&u32::try_from(length).expect("as above").to_le_bytes());
        mark
    }

    /// Reads a head of exactly these bytes: its own digest first, then what it says, then its tables against the set id.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeadError> {
        let claimed = claimed_length(bytes)?;
        if claimed != bytes.len() {
            return Err(HeadError::Damaged);
        }
        let (said, digest) = bytes.split_at(claimed - 32);
        if Digest::of(said).as_bytes() != digest {
            return Err(HeadError::Damaged);
        }
        let lies = |text: &str| HeadError::Lies(text.to_owned());
        let (descriptor, index, runs) = (number(said, 20) as usize, number(said, 24), number(said, 28) as usize);
        let mut rest = Rest(&said[FIXED..]);
        if descriptor > MAX_DESCRIPTOR {
            return Err(lies("its descriptor is too long"));
        }
        let text = rest.take(descriptor)?.to_vec();
        let volumes = super::set::Set::parse(&text)?.volumes();
        debug_assert!(volumes <= MAX_VOLUMES, "the descriptor was checked");
        let roots = rest.digests(volumes as usize)?;
        let plan = SetPlan::of(text, roots)?;
        if index >= volumes {
            return Err(lies("its index is beyond the set"));
        }
        let stripes = plan.set.stripes();
        debug_assert!(u64::from(stripes) <= MAX_STRIPES, "the descriptor was checked");
        let runs = rest.take(runs.saturating_mul(8))?.chunks_exact(8);
        let runs: Vec<Run> = runs.map(|run| Run { start: number(run, 0), count: number(run, 4) }).collect();
        let mut next = 0;
        for run in &runs {
            if run.start < next || run.count == 0 || run.count > stripes || run.start > stripes - run.count {
                return Err(lies("its runs overlap or leave the set"));
            }
            next = run.start + run.count;
        }
        let table = rest.digests(stripes as usize)?;
        let mut neighbours = Vec::new();
        for neighbour in neighbours_of(index, volumes) {
            neighbours.push((neighbour, rest.digests(stripes as usize)?));
        }
        if !rest.0.is_empty() {
            return Err(lies("there is more in it than there should be"));
        }
        let own = std::iter::once((index, &table));
        for (volume, table) in own.chain(neighbours.iter().map(|(volume, table)| (*volume, table))) {
            if plan.roots[volume as usize] != root_of(table) {
                return Err(lies("a block table is not the one that its set was made with"));
            }
        }
        Ok(Self { plan: Arc::new(plan), index, runs, table, neighbours })
    }

    /// How many blocks it carries.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.runs.iter().map(|run| run.count).sum()
    }

    /// The carried stripes in the order of their blocks.
    pub fn stripes(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|run| run.start..run.start + run.count)
    }
}

/// What of a head has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], HeadError> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| HeadError::Lies("it counts more than it holds".into()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn digests(&mut self, count: usize) -> Result<Vec<Digest>, HeadError> {
        let bytes = self.take(count * 32)?;
        Ok(bytes.chunks_exact(32).map(|raw| Digest::from_raw(raw.try_into().expect("chunks of 32"))).collect())
    }
}
