//! The code that a person reads over a telephone: which set, which volumes and blocks, and a checksum.
//!
//! ```text
//! version 4 bits = 1 ‖ set id's first 28 bits ‖ entries ‖ CRC-32 of all before it      as Crockford's base 32, in groups of 4
//! entry: varint (volumes skipped << 1 | 1), varint (further whole volumes in a row)
//!        varint (volumes skipped << 1 | 0), varint (runs - 1), then for each: varint stripes skipped, varint count - 1
//! ```
//! How it is spelled, and what of it may be misheard: `spelling`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::head::Run;
use super::need::Need;
use super::set::{MAX_STRIPES, MAX_VOLUMES, SetPlan};
use crate::digest::Digest;
use crate::spelling::{SpellingError, spell, unspell};

pub use crate::spelling::MAX_CODE;
/// Above this many bytes, neighbouring runs are joined: more is sent than is missing, and less is read aloud.
const COMFORTABLE: usize = 40;

/// What a code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resend {
    /// The first 28 bits of the set's id.
    pub set: u32,
    /// What is to be sent again.
    pub need: Need,
    /// The volumes of which everything is asked for.
    pub whole: Vec<u32>,
}

/// Why a text is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// A character that no code has.
    #[error("{0:?} stands in no code: letters and digits without U; O is read as 0, I and L as 1")]
    Character(char),
    /// Mistyped or misheard.
    #[error("the code is mistyped or not complete: its checksum does not fit")]
    Checksum,
    /// Made by a newer ferry, or not by ferry.
    #[error("the code is of version {0}, and this ferry reads version 1")]
    Version(u8),
    /// The checksum fits, the content can't be.
    #[error("the code says what can't be: {0}")]
    Content(&'static str),
}

fn set_bits(id: &Digest) -> u32 {
    let bytes = id.as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) >> 4
}

fn varint(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn entries(need: &Need, stripes: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let whole = [Run { start: 0, count: stripes }];
    let mut volumes = need.0.iter().peekable();
    let mut next = 0;
    while let Some((&volume, runs)) = volumes.next() {
        if runs.as_slice() == whole {
            varint(&mut bytes, (volume - next) << 1 | 1);
            next = volume + 1;
            while volumes.next_if(|(further, runs)| **further == next && runs.as_slice() == whole).is_some() {
                next += 1;
            }
            varint(&mut bytes, next - volume - 1);
        } else {
            varint(&mut bytes, (volume - next) << 1);
            varint(&mut bytes, u32::try_from(runs.len()).expect("not more runs than stripes") - 1);
            let mut at = 0;
            for run in runs {
                varint(&mut bytes, run.start - at);
                varint(&mut bytes, run.count - 1);
                at = run.start + run.count;
            }
            next = volume + 1;
        }
    }
    bytes
}

/// Joins runs with less than `gap` stripes between them, and takes a volume whole where that is most of it.
fn coarser(need: &Need, gap: u32, stripes: u32) -> Need {
    let join = |runs: &Vec<Run>| {
        let mut joined: Vec<Run> = Vec::new();
        for run in runs {
            match joined.last_mut() {
                Some(last) if run.start - (last.start + last.count) < gap => {
                    last.count = run.start + run.count - last.start;
                }
                _ => joined.push(*run),
            }
        }
        match joined.as_slice() {
            [one] if gap > 1 && one.count > stripes / 2 => vec![Run { start: 0, count: stripes }],
            _ => joined,
        }
    };
    Need(need.0.iter().map(|(volume, runs)| (*volume, join(runs))).collect())
}

/// The code for what is needed of a set.
#[must_use]
pub fn encode(plan: &SetPlan, need: &Need) -> String {
    let stripes = plan.set.stripes();
    let mut gap = 1;
    let said = loop {
        let said = entries(&coarser(need, gap, stripes), stripes);
        if said.len() <= COMFORTABLE || gap > stripes {
            break said;
        }
        gap *= 2;
    };
    let mut bytes = (1 << 28 | set_bits(&plan.id)).to_be_bytes().to_vec();
    bytes.extend(said);
    spell(&bytes)
}

/// Reads a code. `stripes` of whole volumes are not in it: they are filled in by [`Resend::need_of`].
pub fn decode(text: &str) -> Result<Resend, CodeError> {
    let said = unspell(text).map_err(|error| match error {
        SpellingError::Character(c) => CodeError::Character(c),
        SpellingError::Checksum => CodeError::Checksum,
    })?;
    let Some((first, mut rest)) = said.split_first_chunk::<4>() else { return Err(CodeError::Checksum) };
    let first = u32::from_be_bytes(*first);
    if first >> 28 != 1 {
        return Err(CodeError::Version((first >> 28).to_le_bytes()[0]));
    }
    let (mut need, mut whole, mut next) = (BTreeMap::new(), Vec::new(), 0u32);
    while !rest.is_empty() {
        let kind = take(&mut rest)?;
        let volume = within(next.checked_add(kind >> 1), MAX_VOLUMES - 1, "a volume beyond the last")?;
        if kind & 1 == 1 {
            let last = within(volume.checked_add(take(&mut rest)?), MAX_VOLUMES - 1, "a volume beyond the last")?;
            whole.extend(volume..=last);
            next = last + 1;
        } else {
            let count = take(&mut rest)?;
            let (mut runs, mut at) = (Vec::new(), 0u32);
            for _ in 0..=count {
                let limit = u32::try_from(MAX_STRIPES).expect("a small constant");
                let start = within(at.checked_add(take(&mut rest)?), limit, "a block beyond the last")?;
                let more = take(&mut rest)?;
                at = within(
                    start.checked_add(more).and_then(|last| last.checked_add(1)),
                    limit,
                    "a block beyond the last",
                )?;
                runs.push(Run { start, count: more + 1 });
            }
            need.insert(volume, runs);
            next = volume + 1;
        }
    }
    if need.is_empty() && whole.is_empty() {
        return Err(CodeError::Content("nothing is missing"));
    }
    Ok(Resend { set: first & 0x0fff_ffff, need: Need(need), whole })
}

fn take(rest: &mut &[u8]) -> Result<u32, CodeError> {
    let mut number = 0u32;
    for shift in [0, 7, 14, 21] {
        let (&byte, left) = rest.split_first().ok_or(CodeError::Content("it ends within a number"))?;
        *rest = left;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(CodeError::Content("a number is too large"))
}

fn within(number: Option<u32>, limit: u32, what: &'static str) -> Result<u32, CodeError> {
    number.filter(|number| *number <= limit).ok_or(CodeError::Content(what))
}

impl Resend {
    /// Whether it asks for blocks of this set.
    #[must_use]
    pub fn is_for(&self, plan: &SetPlan) -> bool {
        self.set == set_bits(&plan.id)
    }

    /// What it asks for of this set.
    pub fn need_of(&self, plan: &SetPlan) -> Result<Need, CodeError> {
        let (stripes, volumes) = (plan.set.stripes(), plan.set.volumes());
        let mut need = self.need.clone();
        need.0.extend(self.whole.iter().map(|volume| (*volume, vec![Run { start: 0, count: stripes }])));
        let fits = |(volume, runs): (&u32, &Vec<Run>)| {
            *volume < volumes && runs.iter().all(|run| run.start + run.count <= stripes)
        };
        if need.0.iter().all(fits) { Ok(need) } else { Err(CodeError::Content("the set has no such volume or block")) }
    }

    /// The set's bits as hex, for messages.
    #[must_use]
    pub fn set_hex(&self) -> String {
        let mut text = String::new();
        write!(text, "{:07x}", self.set).expect("a String can always be written to");
        text
    }
}
