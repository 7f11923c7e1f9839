//! Gathering: from read carriers to sets, and to what is at hand of each. Sets are told apart by their ids, never by names.
//!
//! ```text
//! carriers ─scan─► Scanned ─┐
//!                           ├─► Gathering { sets } ─► Assembly: which block of which volume is where ─► join, need, picture
//! without a head ──salvage──┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::carrier::Carrier;
use super::head::HeadError;
use super::scan::{Holding, Scanned, Table, Verdict, salvage};
use super::set::{MAX_BLOCKS, MAX_SETS, SetPlan};
use crate::digest::Digest;

/// What was found in one place.
#[derive(Debug, Default)]
pub struct Gathering {
    sets: BTreeMap<Digest, Assembly>,
    /// Carriers that belong to no set, and why.
    pub strangers: Vec<(String, Stranger)>,
    headless: Vec<(Arc<dyn Carrier>, HeadError, HeadError)>,
    blocks: u64,
}

/// Why a carrier belongs to no set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stranger {
    /// It is no volume at all.
    NotAVolume,
    /// It was one: it has lost both heads, and no known set has blocks like its.
    Headless(HeadError, HeadError),
    /// It can't be read.
    Unreadable(String),
    /// There are too many sets, or they are too large together.
    TooMuch,
}

/// What is at hand of one set.
#[derive(Debug, Clone)]
pub struct Assembly {
    /// The set.
    pub plan: Arc<SetPlan>,
    /// The block tables that are known, by volume.
    pub tables: Vec<Option<Table>>,
    /// Who holds blocks of each volume.
    pub holders: Vec<Vec<Holder>>,
}

/// A carrier with blocks of a volume.
#[derive(Debug, Clone)]
pub struct Holder {
    /// The carrier.
    pub carrier: Arc<dyn Carrier>,
    /// Its blocks.
    pub holding: Arc<Holding>,
}

impl Gathering {
    /// Of carriers that have been read. Those without a head are tried against the sets of the others.
    pub fn of(scanned: impl IntoIterator<Item = Scanned>, read: &(dyn Fn(u64) + Sync)) -> Self {
        let mut gathering = Self::default();
        for one in scanned {
            gathering.admit(one);
        }
        for (carrier, front, end) in std::mem::take(&mut gathering.headless) {
            let found = gathering.sets.values().find_map(|assembly| {
                salvage(&carrier, (front.clone(), end.clone()), &assembly.plan, &assembly.tables, read)
            });
            match found {
                Some(holding) => gathering.hold(carrier, holding),
                None if (&front, &end) == (&HeadError::NotAHead, &HeadError::NotAHead) => {
                    gathering.strangers.push((carrier.name(), Stranger::NotAVolume));
                }
                None => {
                    let stranger = match (front, end) {
                        (HeadError::Unreadable(why), _) | (_, HeadError::Unreadable(why)) => Stranger::Unreadable(why),
                        (front, end) => Stranger::Headless(front, end),
                    };
                    gathering.strangers.push((carrier.name(), stranger));
                }
            }
        }
        gathering
    }

    fn admit(&mut self, scanned: Scanned) {
        let name = scanned.carrier.name();
        match scanned.verdict {
            Verdict::TooMuch => self.strangers.push((name, Stranger::TooMuch)),
            Verdict::NoHead(front, end) => self.headless.push((scanned.carrier, front, end)),
            Verdict::Volume(holding) => {
                let plan = &holding.plan;
                if !self.sets.contains_key(&plan.id) {
                    let blocks = u64::from(plan.set.volumes()) * u64::from(plan.set.stripes());
                    if self.sets.len() >= MAX_SETS || self.blocks + blocks > MAX_BLOCKS {
                        self.strangers.push((name, Stranger::TooMuch));
                        return;
                    }
                    self.blocks += blocks;
                    self.sets.insert(plan.id, Assembly::empty(plan.clone()));
                }
                let assembly = self.sets.get_mut(&plan.id).expect("just made");
                for (index, table) in scanned.tables {
                    assembly.tables[index as usize].get_or_insert(table);
                }
                self.hold(scanned.carrier, holding);
            }
        }
    }

    fn hold(&mut self, carrier: Arc<dyn Carrier>, holding: Holding) {
        let assembly = self.sets.get_mut(&holding.plan.id).expect("only holdings of known sets come here");
        assembly.holders[holding.index as usize].push(Holder { carrier, holding: Arc::new(holding) });
    }

    /// The sets, by id.
    #[must_use]
    pub fn sets(&self) -> &BTreeMap<Digest, Assembly> {
        &self.sets
    }
}

impl Assembly {
    fn empty(plan: Arc<SetPlan>) -> Self {
        let volumes = plan.set.volumes() as usize;
        Self { plan, tables: vec![None; volumes], holders: vec![Vec::new(); volumes] }
    }

    /// Whether a good block of this volume and stripe is at hand.
    #[must_use]
    pub fn has(&self, volume: u32, stripe: u32) -> bool {
        self.holders[volume as usize].iter().any(|holder| holder.holding.has(stripe))
    }

    /// Reads a good block, from whoever still has it.
    #[must_use]
    pub fn read(&self, volume: u32, stripe: u32, buffer: &mut [u8]) -> bool {
        let holders = &self.holders[volume as usize];
        holders.iter().any(|holder| holder.holding.read(holder.carrier.as_ref(), stripe, buffer))
    }

    /// How many good blocks of a volume are at hand.
    #[must_use]
    pub fn good(&self, volume: u32) -> u32 {
        let count = |stripe: &u32| self.has(volume, *stripe);
        match self.holders[volume as usize].as_slice() {
            [] => 0,
            [one] => one.holding.good(),
            _ => (0..self.plan.set.stripes()).filter(count).count().try_into().unwrap_or(u32::MAX),
        }
    }

    /// How many blocks each stripe lacks to be repaired: 0 where it has as many good ones as there are data volumes.
    #[must_use]
    pub fn deficits(&self) -> Vec<u32> {
        let set = &self.plan.set;
        let mut good = vec![0; set.stripes() as usize];
        for volume in 0..set.volumes() {
            for (stripe, count) in good.iter_mut().enumerate() {
                *count += u32::from(self.has(volume, u32::try_from(stripe).expect("a stripe's number")));
            }
        }
        good.into_iter().map(|count| set.data.saturating_sub(count)).collect()
    }

    /// Whether the whole file can be had from what is at hand.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.deficits().iter().all(|&lacking| lacking == 0)
    }
}
