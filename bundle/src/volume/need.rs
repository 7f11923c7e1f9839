//! What is missing, and the least that must be sent again.
//!
//! A stripe with too few good blocks lacks some number of any of its bad ones. The least is asked for: blocks of as few
//! volumes as that takes, those first that lack most.

use std::collections::BTreeMap;

use super::gather::Assembly;
use super::head::Run;

/// Which blocks of which volumes: by volume, ascending runs of stripes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need(pub BTreeMap<u32, Vec<Run>>);

impl Need {
    /// The blocks that must be sent again, so that the file can be had from them and from what is at hand.
    #[must_use]
    pub fn least(assembly: &Assembly) -> Self {
        let mut lacking = assembly.deficits();
        let lacks = |volume: u32, lacking: &[u32]| {
            let one = |(stripe, left): (usize, &u32)| *left > 0 && !assembly.has(volume, stripe_of(stripe));
            lacking.iter().enumerate().filter(|(stripe, left)| one((*stripe, left))).count()
        };
        let mut need = BTreeMap::new();
        // Volumes once in the order of what they lack: exact enough, and n·log n where the best choice is n².
        let mut order: Vec<(usize, u32)> =
            (0..assembly.plan.set.volumes()).map(|volume| (lacks(volume, &lacking), volume)).collect();
        order.sort_by_key(|(count, volume)| (std::cmp::Reverse(*count), *volume));
        for (_, volume) in order {
            let mut runs: Vec<Run> = Vec::new();
            for (stripe, left) in lacking.iter_mut().enumerate().filter(|(_, left)| **left > 0) {
                let stripe = stripe_of(stripe);
                if !assembly.has(volume, stripe) {
                    *left -= 1;
                    push(&mut runs, stripe);
                }
            }
            if !runs.is_empty() {
                need.insert(volume, runs);
            }
        }
        Self(need)
    }

    /// Everything that is not at hand, whether it is needed or not.
    #[must_use]
    pub fn all(assembly: &Assembly) -> Self {
        let set = &assembly.plan.set;
        let mut need = BTreeMap::new();
        for volume in 0..set.volumes() {
            let mut runs = Vec::new();
            (0..set.stripes()).filter(|&stripe| !assembly.has(volume, stripe)).for_each(|s| push(&mut runs, s));
            if !runs.is_empty() {
                need.insert(volume, runs);
            }
        }
        Self(need)
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many blocks.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.0.values().flatten().map(|run| u64::from(run.count)).sum()
    }

    /// The volumes of which all of `stripes` blocks are needed.
    pub fn whole(&self, stripes: u32) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().filter(move |(_, runs)| runs.as_slice() == [Run { start: 0, count: stripes }]).map(|(v, _)| *v)
    }

    /// For people, volumes counted from 1: `volumes 3, 7-9; of volume 4 blocks 12-13, 40`.
    #[must_use]
    pub fn describe(&self, stripes: u32) -> String {
        let whole: Vec<u32> = self.whole(stripes).map(|volume| volume + 1).collect();
        let mut parts = Vec::new();
        if !whole.is_empty() {
            let word = if whole.len() == 1 { "volume" } else { "volumes" };
            parts.push(format!("{word} {}", ranges(&whole)));
        }
        for (volume, runs) in self.0.iter().filter(|(volume, _)| !whole.contains(&(**volume + 1))) {
            let list: Vec<String> =
                runs.iter().take(20).map(|run| span(run.start + 1, run.start + run.count)).collect();
            let more = if runs.len() > 20 { ", …" } else { "" };
            parts.push(format!("of volume {} blocks {}{more}", volume + 1, list.join(", ")));
        }
        parts.join("; ")
    }
}

fn stripe_of(n: usize) -> u32 {
    u32::try_from(n).expect("stripes are counted in 32 bits")
}

fn push(runs: &mut Vec<Run>, stripe: u32) {
    match runs.last_mut() {
        Some(run) if run.start + run.count == stripe => run.count += 1,
        _ => runs.push(Run { start: stripe, count: 1 }),
    }
}

fn span(first: u32, last: u32) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// Ascending numbers as people write them: `1-3, 7`.
#[must_use]
pub fn ranges(numbers: &[u32]) -> String {
    let mut runs = Vec::new();
    for &number in numbers {
        push(&mut runs, number);
    }
    runs.iter().map(|run| span(run.start, run.start + run.count - 1)).collect::<Vec<_>>().join(", ")
}
