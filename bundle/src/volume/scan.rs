//! Reading one carrier: which volume it is, which of its blocks are good, what is wrong with it.
//!
//! Each block is hashed and compared with the table in the carrier's own head, or, where both heads are gone, with tables
//! that other volumes carry of it. Blocks are read many at a time, and one at a time where that fails: a bad sector costs a
//! block and no more.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::carrier::{Carrier, ends};
use super::head::{END, HeadError, Run, head_length};
use super::set::{MAX_BLOCKS, MAX_SETS, SetPlan};
use crate::digest::{Digest, READ_CHUNK};

/// A set of numbers below a limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks(Vec<u64>);

impl Marks {
    /// None of the numbers below `limit`.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self(vec![0; limit.div_ceil(64) as usize])
    }

    /// Whether `n` is marked.
    #[must_use]
    pub fn has(&self, n: u32) -> bool {
        self.0.get((n / 64) as usize).is_some_and(|word| word & (1 << (n % 64)) != 0)
    }

    /// Marks `n`.
    pub fn mark(&mut self, n: u32) {
        self.0[(n / 64) as usize] |= 1 << (n % 64);
    }

    /// How many are marked.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// A block table, shared by all who name it.
pub type Table = Arc<Vec<Digest>>;

/// The blocks that one carrier holds of one volume.
#[derive(Debug, Clone)]
pub struct Holding {
    /// The set.
    pub plan: Arc<SetPlan>,
    /// Which volume.
    pub index: u32,
    /// The volume's block table.
    pub table: Table,
    /// What the carrier should hold, with the number of blocks before each run.
    runs: Vec<(Run, u32)>,
    /// From where blocks are counted, and which are good there.
    views: Vec<(i64, Marks)>,
    /// Whether the two copies of the head are whole; the end mark counts to the second.
    pub front: Result<(), HeadError>,
    /// As above.
    pub end: Result<(), HeadError>,
}

/// What a carrier turned out to be.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// A volume, or part of one.
    Volume(Holding),
    /// No head was found: another file, or one that lost both. What was found at its two ends.
    NoHead(HeadError, HeadError),
    /// Its tables and those of all others together are more than is held in memory.
    TooMuch,
}

/// A carrier that has been read.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// The carrier.
    pub carrier: Arc<dyn Carrier>,
    /// What it is.
    pub verdict: Verdict,
    /// The tables that its head carries: its own and its neighbours'.
    pub tables: Vec<(u32, Table)>,
}

/// Reads a carrier from end to end. `read` hears how many bytes have passed.
pub fn scan(carrier: Arc<dyn Carrier>, read: &(dyn Fn(u64) + Sync)) -> Scanned {
    scan_with(carrier, |holding, carrier, base| holding.check(carrier, base, read))
}

/// Reads a carrier's heads. Its blocks count as good where they should stand; whoever reads them compares them.
pub fn look(carrier: Arc<dyn Carrier>, _: &(dyn Fn(u64) + Sync)) -> Scanned {
    scan_with(carrier, |holding, carrier, base| holding.presume(carrier, base))
}

fn scan_with(carrier: Arc<dyn Carrier>, marks: impl Fn(&Holding, &dyn Carrier, i64) -> Marks) -> Scanned {
    let found = ends(carrier.as_ref());
    let Some(head) = found.head else {
        let not = |end: Result<(), HeadError>| end.err().unwrap_or(HeadError::NotAHead);
        let verdict = Verdict::NoHead(not(found.front), not(found.end));
        return Scanned { carrier, verdict, tables: Vec::new() };
    };
    let table: Table = Arc::new(head.table);
    let mut tables = vec![(head.index, table.clone())];
    tables.extend(head.neighbours.into_iter().map(|(index, table)| (index, Arc::new(table))));
    let mut bases: Vec<i64> = found.from_front.and_then(|base| i64::try_from(base).ok()).into_iter().collect();
    bases.extend(found.from_end.filter(|base| !bases.contains(base)));
    let mut holding = Holding {
        plan: head.plan,
        index: head.index,
        table,
        runs: numbered(&head.runs),
        views: Vec::new(),
        front: found.front,
        end: found.end,
    };
    for base in bases {
        let good = marks(&holding, carrier.as_ref(), base);
        holding.views.push((base, good));
    }
    Scanned { carrier, verdict: Verdict::Volume(holding), tables }
}

fn numbered(runs: &[Run]) -> Vec<(Run, u32)> {
    let mut before = 0;
    let number = |run: &Run| {
        let place = (*run, before);
        before += run.count;
        place
    };
    runs.iter().map(number).collect()
}

/// How many blocks may be unreadable before a carrier without a head is given up: each may take a drive seconds.
const MOST_FAILED: u32 = 256;

/// Tries a carrier without a head as a volume of a known set, by the content of its blocks alone.
pub fn salvage(
    carrier: &Arc<dyn Carrier>,
    why: (HeadError, HeadError),
    plan: &Arc<SetPlan>,
    tables: &[Option<Table>],
    read: &(dyn Fn(u64) + Sync),
) -> Option<Holding> {
    let set = &plan.set;
    let (stripes, block) = (set.stripes(), u64::from(set.block_size));
    let head = head_length(plan.bytes.len(), set.volumes(), stripes, 1);
    let blocks = u64::from(stripes) * block;
    // Where a whole volume's blocks begin, counted from either end of it. A longer file is something else.
    if carrier.length() < block || carrier.length() > 2 * (2 * head + blocks) {
        return None;
    }
    let behind = i64::try_from(head + blocks + END as u64).ok()?;
    let bases = [i64::try_from(head).ok()?, i64::try_from(carrier.length()).ok()? - behind];
    let mut buffer = vec![0; set.block()];
    for base in bases {
        let mut failed = 0;
        for stripe in 0..stripes {
            let Some(at) = place(base, stripe, block).filter(|at| at + block <= carrier.length()) else { continue };
            if carrier.read_exact_at(&mut buffer, at).is_err() {
                failed += 1;
                if failed > MOST_FAILED {
                    break;
                }
                continue;
            }
            read(block);
            let digest = Digest::of(&buffer);
            let owner =
                tables.iter().position(|table| table.as_ref().is_some_and(|table| table[stripe as usize] == digest));
            // Blocks of zeros stand in many volumes; such a match would prove nothing.
            let Some(owner) = owner.filter(|_| buffer.iter().any(|&b| b != 0)) else { continue };
            let table = tables[owner].clone()?;
            let mut holding = Holding {
                plan: plan.clone(),
                index: u32::try_from(owner).ok()?,
                table,
                runs: numbered(&[Run { start: 0, count: stripes }]),
                views: Vec::new(),
                front: Err(why.0),
                end: Err(why.1),
            };
            let good = holding.check(carrier.as_ref(), base, read);
            holding.views.push((base, good));
            return Some(holding);
        }
    }
    None
}

/// Where block number `n` stands, if that is within any file.
fn place(base: i64, n: u32, block: u64) -> Option<u64> {
    u64::try_from(base.checked_add(i64::try_from(u64::from(n) * block).ok()?)?).ok()
}

/// Keeps one copy of each table and descriptor, however many volumes carry them, and no more than a set may have.
#[derive(Debug, Default)]
pub struct Shared {
    plans: BTreeMap<Digest, Arc<SetPlan>>,
    tables: BTreeMap<(Digest, u32), Table>,
    blocks: u64,
}

impl Shared {
    /// The same, of shared tables. What would be too much is let go.
    pub fn share(&mut self, mut scanned: Scanned) -> Scanned {
        let Verdict::Volume(holding) = &mut scanned.verdict else { return scanned };
        let id = holding.plan.id;
        let new: u64 = scanned
            .tables
            .iter()
            .filter(|(volume, _)| !self.tables.contains_key(&(id, *volume)))
            .map(|(_, table)| table.len() as u64)
            .sum();
        if self.blocks + new > MAX_BLOCKS || (self.plans.len() >= MAX_SETS && !self.plans.contains_key(&id)) {
            return Scanned { verdict: Verdict::TooMuch, tables: Vec::new(), ..scanned };
        }
        self.blocks += new;
        holding.plan = self.plans.entry(id).or_insert_with(|| holding.plan.clone()).clone();
        for (volume, table) in &mut scanned.tables {
            *table = self.tables.entry((id, *volume)).or_insert_with(|| table.clone()).clone();
        }
        holding.table = self.tables[&(id, holding.index)].clone();
        scanned
    }
}

impl Holding {
    /// Whether the block of this stripe is good here.
    #[must_use]
    pub fn has(&self, stripe: u32) -> bool {
        self.views.iter().any(|(_, good)| good.has(stripe))
    }

    /// How many good blocks it holds.
    #[must_use]
    pub fn good(&self) -> u32 {
        match self.views.as_slice() {
            [(_, only)] => only.count(),
            _ => (0..self.plan.set.stripes()).filter(|&stripe| self.has(stripe)).count().try_into().unwrap_or(u32::MAX),
        }
    }

    /// The stripes whose blocks it should hold, and does not.
    pub fn bad(&self) -> impl Iterator<Item = u32> + '_ {
        self.stripes().filter(|&stripe| !self.has(stripe))
    }

    /// Whether everything about it is as it was written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.front.is_ok() && self.end.is_ok() && self.views.len() == 1 && self.bad().next().is_none()
    }

    fn stripes(&self) -> impl Iterator<Item = u32> + '_ {
        self.runs.iter().flat_map(|(run, _)| run.start..run.start + run.count)
    }

    /// Reads the block of a stripe, and compares it again: what was good may have been changed since.
    pub fn read(&self, carrier: &dyn Carrier, stripe: u32, buffer: &mut [u8]) -> bool {
        let block = u64::from(self.plan.set.block_size);
        let at = self.runs.partition_point(|(run, _)| run.start <= stripe);
        let Some((run, before)) = at.checked_sub(1).map(|at| self.runs[at]) else { return false };
        if stripe - run.start >= run.count {
            return false;
        }
        self.views.iter().filter(|(_, good)| good.has(stripe)).any(|(base, _)| {
            place(*base, before + stripe - run.start, block).is_some_and(|at| {
                carrier.read_exact_at(buffer, at).is_ok() && Digest::of(buffer) == self.table[stripe as usize]
            })
        })
    }

    /// Marks all blocks that the carrier is long enough for.
    fn presume(&self, carrier: &dyn Carrier, base: i64) -> Marks {
        let (block, mut marks) = (u64::from(self.plan.set.block_size), Marks::new(self.plan.set.stripes()));
        for (run, before) in &self.runs {
            for n in 0..run.count {
                if place(base, before + n, block).is_some_and(|at| at + block <= carrier.length()) {
                    marks.mark(run.start + n);
                }
            }
        }
        marks
    }

    /// Hashes all blocks, counted from `base`.
    fn check(&self, carrier: &dyn Carrier, base: i64, read: &(dyn Fn(u64) + Sync)) -> Marks {
        let block = self.plan.set.block();
        let at_once = (READ_CHUNK / block).max(1);
        let mut good = Marks::new(self.plan.set.stripes());
        let mut buffer = vec![0; at_once * block];
        for (run, before) in &self.runs {
            let mut n = 0;
            while n < run.count {
                let count = (run.count - n).min(u32::try_from(at_once).unwrap_or(u32::MAX));
                let bytes = &mut buffer[..count as usize * block];
                let whole =
                    place(base, before + n, block as u64).is_some_and(|at| read_within(carrier, bytes, at).is_ok());
                for k in 0..count {
                    let one = &mut bytes[k as usize * block..(k as usize + 1) * block];
                    let there = whole
                        || place(base, before + n + k, block as u64)
                            .is_some_and(|at| read_within(carrier, one, at).is_ok());
                    if there {
                        read(block as u64);
                        let stripe = run.start + n + k;
                        if Digest::of(one) == self.table[stripe as usize] {
                            good.mark(stripe);
                        }
                    }
                }
                n += count;
            }
        }
        good
    }
}

/// Reads only what the carrier had when it was found: asking for more is no error of the medium.
fn read_within(carrier: &dyn Carrier, buffer: &mut [u8], at: u64) -> io::Result<()> {
    if at.saturating_add(buffer.len() as u64) > carrier.length() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    carrier.read_exact_at(buffer, at)
}
