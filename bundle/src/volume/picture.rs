//! The picture: how each volume stands, in a form for screens and for machines.

use serde::Serialize;

use super::gather::{Assembly, Gathering, Stranger};
use super::need::{Need, ranges};
use crate::documents::human_size;

/// How a volume stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Every block is at hand.
    Complete,
    /// Some blocks are.
    Damaged,
    /// None is.
    Missing,
}

/// A volume in the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumePicture {
    /// Its number, from 1.
    pub number: u32,
    /// Whether it carries parity.
    pub parity: bool,
    /// How it stands.
    pub state: State,
    /// How many of its blocks are good.
    pub good: u32,
    /// How many files hold blocks of it.
    pub files: usize,
}

/// How a set stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// What the file was called.
    pub name: String,
    /// The set's id.
    pub set: String,
    /// Its length in bytes.
    pub length: u64,
    /// How many blocks each volume has.
    pub stripes: u32,
    /// How many volumes carry data.
    pub data: u32,
    /// The volumes, parity last.
    pub volumes: Vec<VolumePicture>,
    /// How many stripes have too few good blocks.
    pub short_stripes: u32,
    /// Whether the file can be had.
    pub enough: bool,
    /// What is wrong with files, one line each.
    pub findings: Vec<String>,
}

impl Picture {
    /// Of one of the sets that were gathered.
    #[must_use]
    pub fn of(gathering: &Gathering, assembly: &Assembly) -> Self {
        let set = &assembly.plan.set;
        let volumes = (0..set.volumes()).map(|index| {
            let good = assembly.good(index);
            let state = match good {
                0 => State::Missing,
                all if all == set.stripes() => State::Complete,
                _ => State::Damaged,
            };
            let files = assembly.holders[index as usize].len();
            VolumePicture { number: index + 1, parity: index >= set.data, state, good, files }
        });
        let deficits = assembly.deficits();
        let short = deficits.iter().filter(|&&lacking| lacking > 0).count();
        Self {
            name: set.name.clone(),
            set: assembly.plan.id.hex(),
            length: set.length,
            stripes: set.stripes(),
            data: set.data,
            volumes: volumes.collect(),
            short_stripes: u32::try_from(short).unwrap_or(u32::MAX),
            enough: short == 0,
            findings: findings(gathering, assembly),
        }
    }

    fn numbers(&self, state: State) -> Vec<u32> {
        self.volumes.iter().filter(|volume| volume.state == state).map(|volume| volume.number).collect()
    }

    /// The numbers of volumes of which nothing is at hand.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        self.numbers(State::Missing)
    }

    /// The numbers of volumes of which something is at hand, and not all.
    #[must_use]
    pub fn damaged(&self) -> Vec<u32> {
        self.numbers(State::Damaged)
    }

    /// For a screen: a character for each volume (`#` complete, `+` in part, `.` missing; parity behind `|`), what that
    /// comes to, what is wrong. The last `findings` lines are left out behind the first `limit`.
    #[must_use]
    pub fn lines(&self, limit: usize) -> Vec<String> {
        let parity = self.volumes.len() - self.data as usize;
        let mut lines = vec![format!(
            "{}: {} in {} + {parity} volumes of {} blocks, set {}",
            self.name,
            human_size(self.length),
            self.data,
            self.stripes,
            &self.set[..8]
        )];
        let mut map = String::new();
        for volume in &self.volumes {
            if volume.number == self.data + 1 {
                map.push_str(" |");
            }
            let n = if volume.parity { volume.number - self.data } else { volume.number };
            if n % 10 == 1 {
                map.push(' ');
            }
            map.push(match volume.state {
                State::Complete => '#',
                State::Damaged => '+',
                State::Missing => '.',
            });
        }
        // A screen's width at a time.
        let map: Vec<char> = map.chars().collect();
        lines.extend(map.chunks(100).map(|part| format!(" {}", part.iter().collect::<String>())));
        let (missing, damaged) = (self.missing(), self.damaged());
        let mut counts = vec![format!("{} complete", self.volumes.len() - missing.len() - damaged.len())];
        if !damaged.is_empty() {
            let bad: u32 =
                self.volumes.iter().filter(|v| v.state == State::Damaged).map(|v| self.stripes - v.good).sum();
            counts.push(format!("{} in part ({}; {bad} blocks bad)", damaged.len(), ranges(&damaged)));
        }
        if !missing.is_empty() {
            counts.push(format!("{} missing ({})", missing.len(), ranges(&missing)));
        }
        let verdict = if !self.enough {
            format!("NOT enough: {} of {} stripes can't be repaired yet", self.short_stripes, self.stripes)
        } else if missing.is_empty() && damaged.is_empty() {
            "all there".to_owned()
        } else {
            "enough: the rest can be repaired".to_owned()
        };
        lines.push(format!("  {}: {verdict}", counts.join(", ")));
        lines.extend(self.findings.iter().take(limit).map(|finding| format!("  {finding}")));
        if self.findings.len() > limit {
            lines.push(format!("  … and {} more findings", self.findings.len() - limit));
        }
        lines
    }
}

/// What is wrong with the files of a set, and which files belong to none.
fn findings(gathering: &Gathering, assembly: &Assembly) -> Vec<String> {
    let mut findings = Vec::new();
    let holders = assembly.holders.iter().flatten();
    for holder in holders.filter(|holder| !holder.holding.is_whole() && !holder.carrier.is_kept()) {
        let holding = &holder.holding;
        let mut wrong = Vec::new();
        let bad: Vec<u32> = holding.bad().map(|stripe| stripe + 1).collect();
        if !bad.is_empty() {
            let shown = ranges(&bad);
            let cut = shown.char_indices().nth(100).map_or(shown.len(), |(at, _)| at);
            let more = if cut < shown.len() { "…" } else { "" };
            wrong.push(format!("{} of its blocks are bad ({}{more})", bad.len(), &shown[..cut]));
        }
        for (copy, state) in [("first", &holding.front), ("second", &holding.end)] {
            if let Err(error) = state {
                wrong.push(format!("its {copy} head: {error}"));
            }
        }
        if wrong.is_empty() {
            wrong.push("it is longer or shorter than it was".into());
        }
        findings.push(format!("{}: volume {}: {}", holder.carrier.name(), holding.index + 1, wrong.join("; ")));
    }
    for (name, stranger) in &gathering.strangers {
        match stranger {
            Stranger::NotAVolume => {}
            Stranger::Headless(front, end) => {
                findings.push(format!("{name}: was a volume, of no set that is known ({front}; {end})"));
            }
            Stranger::Unreadable(why) => findings.push(format!("{name}: can't be read: {why}")),
            Stranger::TooMuch => findings.push(format!("{name}: left aside, there are too many sets")),
        }
    }
    findings.iter().map(|finding| shown(finding)).collect()
}

/// What a screen may be given: names of files come from media that anybody may have written.
fn shown(text: &str) -> String {
    let bad = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if bad(c) { '\u{fffd}' } else { c }).collect()
}

/// One line on a set, to tell it from others.
#[must_use]
pub fn describe(assembly: &Assembly) -> String {
    let set = &assembly.plan.set;
    let there = assembly.holders.iter().filter(|holders| !holders.is_empty()).count();
    let state = if assembly.is_enough() {
        "enough".to_owned()
    } else {
        format!("lacking {}", Need::least(assembly).describe(set.stripes()))
    };
    format!(
        "  set {}  {} ({}), {there} of {} volumes: {state}",
        assembly.plan.short(),
        set.name,
        human_size(set.length),
        set.volumes()
    )
}
