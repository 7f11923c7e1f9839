//! Moments of an install. A moment is a place in an undisturbed one: some time after a mark of its journal. A disturbed
//! run goes through the same marks at other times, so a moment strikes it where the undisturbed one was then.

use std::collections::BTreeMap;
use std::time::Duration;

use ferry_engine::event::Event;

use super::Strike;

/// A line of the journal that every run has, and which of its kind it is: the second look at a check is another mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub String, pub usize);

/// Counts marks in a run's part of the journal.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<String, usize>);

impl Marks {
    /// The mark of an event, unless it is one that not every run has.
    pub(super) fn of(&mut self, event: &Event) -> Option<Mark> {
        let text = match event {
            Event::Began { verb, .. } => format!("began {verb}"),
            Event::Stage { name, .. } => format!("stage {name}"),
            Event::Step { step, .. } => format!("step {step}"),
            Event::Action { step, action, .. } => format!("action {action} of {step}"),
            Event::Check { check, subject, .. } => format!("check {check} {subject}"),
            Event::Ended { .. } => "ended".to_owned(),
            _ => return None,
        };
        let count = self.0.entry(text.clone()).or_default();
        *count += 1;
        Some(Mark(text, *count))
    }
}

/// When each mark of an undisturbed install came, since its start.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// In order.
    pub marks: Vec<(Duration, Mark)>,
    /// How long it took.
    pub whole: Duration,
}

/// A moment, and what happens then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When it was in the undisturbed install.
    pub at: Duration,
    /// What happens.
    pub strike: Strike,
    /// To which host, where it happens to one.
    pub host: u8,
    /// The last mark before it; none before the first.
    pub mark: Option<Mark>,
    /// How long after the mark.
    pub after: Duration,
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `limit`, evenly enough.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// `rounds` times `each` moments, spread over the whole of an install: each lies at random within its own share of the
/// time, those of a round in order, each way to strike comes equally often, and each strikes one of `hosts` at random.
#[must_use]
pub fn moments(timeline: &Timeline, hosts: &[u8], rounds: usize, each: usize, seed: u64) -> Vec<Vec<Moment>> {
    let mut random = Random(seed);
    let count = rounds * each;
    let share = millis(timeline.whole) / u64::try_from(count).unwrap_or(u64::MAX).max(1);
    let mut strikes: Vec<Strike> = (0..count).map(|at| Strike::nth(at, &mut random)).collect();
    for at in (1..strikes.len()).rev() {
        let other = random.below(at as u64 + 1);
        strikes.swap(at, usize::try_from(other).unwrap_or_default());
    }
    let mut all = vec![Vec::new(); rounds];
    for (at, strike) in strikes.into_iter().enumerate() {
        // Neighbours in time go to different rounds.
        let time = at as u64 * share + random.below(share);
        // With one host nothing is drawn: the moments of a seed stay what they were.
        let host = match hosts {
            [host] => *host,
            hosts => hosts[usize::try_from(random.below(hosts.len() as u64)).unwrap_or_default()],
        };
        all[at % rounds].push(timeline.moment(Duration::from_millis(time), strike, host));
    }
    all
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Timeline {
    /// The moment at this time of the undisturbed install.
    #[must_use]
    pub fn moment(&self, at: Duration, strike: Strike, host: u8) -> Moment {
        let before = self.marks.iter().rev().find(|(time, _)| *time <= at);
        let after = at.saturating_sub(before.map_or(Duration::ZERO, |(time, _)| *time));
        Moment { at, strike, host, mark: before.map(|(_, mark)| mark.clone()), after }
    }

    /// The beginning of each stage, at which the installer is killed.
    #[must_use]
    pub fn stages(&self) -> Vec<Moment> {
        let begins = self.marks.iter().filter(|(_, mark)| mark.0.starts_with("stage ") && mark.1 == 1);
        begins
            .map(|(at, mark)| Moment {
                at: *at,
                strike: Strike::Installer,
                host: 0,
                mark: Some(mark.clone()),
                after: Duration::ZERO,
            })
            .collect()
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = self.mark.as_ref().map_or("the start", |mark| mark.0.as_str());
        let (at, after) = (self.at.as_secs_f64(), self.after.as_secs_f64());
        match self.strike {
            Strike::Installer | Strike::Interrupt => write!(f, "{}", self.strike)?,
            Strike::Sessions | Strike::Link(_) | Strike::Power(_) => {
                write!(f, "{} on host {}", self.strike, self.host)?;
            }
        }
        write!(f, " at {at:.1} s ({after:.1} s after {mark})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_cover_the_whole_of_an_install_and_depend_on_the_seed_alone() {
        let second = Duration::from_secs;
        let marks = (0..9).map(|n| (second(10 * n), Mark(format!("stage {n}"), 1))).collect();
        let timeline = Timeline { marks, whole: second(90) };
        let hosts = [1, 2, 3];
        let all = moments(&timeline, &hosts, 5, 6, 7);
        assert_eq!(all, moments(&timeline, &hosts, 5, 6, 7));
        assert_ne!(all, moments(&timeline, &hosts, 5, 6, 8));
        assert!(hosts.iter().all(|host| all.iter().flatten().any(|moment| moment.host == *host)), "none is spared");
        let stages = timeline.stages();
        assert_eq!(stages.len(), 9);
        assert!(stages.iter().all(|moment| moment.after.is_zero() && moment.strike == Strike::Installer));
        let mut flat: Vec<&Moment> = all.iter().flatten().collect();
        assert!(all.iter().all(|round| round.len() == 6 && round.is_sorted_by_key(|moment| moment.at)));
        flat.sort_by_key(|moment| moment.at);
        for (n, moment) in flat.iter().enumerate() {
            assert_eq!(moment.at.as_secs() / 3, n as u64, "one in each thirtieth");
            assert!(moment.after < second(10) && moment.mark.is_some());
        }
        for which in 0..3 {
            let count = flat.iter().filter(|moment| moment.strike.class() == which).count();
            assert_eq!(count, 10, "each way equally often");
        }
    }

    #[test]
    fn the_second_of_a_kind_is_another_mark() {
        let mut marks = Marks::default();
        let stage = Event::Stage { name: "etcd".into(), number: 1, of: 2 };
        assert_eq!(marks.of(&stage), Some(Mark("stage etcd".into(), 1)));
        assert_eq!(marks.of(&stage), Some(Mark("stage etcd".into(), 2)));
        assert_eq!(marks.of(&Event::Note { text: String::new() }), None);
    }
}
