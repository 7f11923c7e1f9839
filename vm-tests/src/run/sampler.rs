//! Watches what every user of a machine can see of its processes: their arguments, and what root can see of their
//! environment, over and over while something goes on.
//!
//! ```text
//! /proc of a host, or the descendants of this process ──(round after round)──► Seen ─► a file for the evidence
//! ```
//! It samples: what lives shorter than a round may be missed. [`control`] measures how much that is, so that a scenario
//! can say how well it looked. Only new processes and new arguments cost more than one read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::hosts::Driver;

/// Between two rounds: a round over a hundred processes takes a few milliseconds itself.
const PAUSE: Duration = Duration::from_millis(1);

/// Whose processes are watched.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    /// All that this `/proc` shows, with their environments.
    Host(PathBuf),
    /// What descends from this process, arguments alone: an operator's environment holds his secrets by nature.
    Own,
}

/// What was seen.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// Command lines, words apart by NUL.
    pub(super) lines: BTreeSet<Vec<u8>>,
    /// Environments, variables apart by NUL.
    pub(super) environments: BTreeSet<Vec<u8>>,
    /// How many rounds there were.
    pub(super) rounds: u64,
    /// The time from one round to the next, at most.
    pub(super) longest: Duration,
    /// All the time.
    pub(super) took: Duration,
}

/// Something that watches until it is told to stop.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Sampler {
    /// Begins to watch.
    #[must_use]
    pub(super) fn start(watched: Watched) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        Self { stop, thread: std::thread::spawn(move || watch(&watched, &asked)) }
    }

    /// Ends it; what was seen.
    pub(super) fn stop(self) -> Result<Seen, Error> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| Error::Check("the sampler has panicked".into()))
    }
}

impl Seen {
    /// As text: words apart by blanks, what is of different processes apart by lines.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let shown = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).replace('\0', " ");
        let lines = self.lines.iter().map(shown).map(|line| format!("{line}\n"));
        let environments = self.environments.iter().map(shown).map(|line| format!("environment: {line}\n"));
        lines.chain(environments).collect()
    }

    /// In a line.
    #[must_use]
    pub(super) fn summary(&self) -> String {
        let mean = self.took.as_secs_f64() * 1000.0 / f64::from(u32::try_from(self.rounds.max(1)).unwrap_or(u32::MAX));
        format!(
            "{} command lines and {} environments in {} rounds, {mean:.1} ms apart on average",
            self.lines.len(),
            self.environments.len(),
            self.rounds
        )
    }
}

fn watch(watched: &Watched, stop: &AtomicBool) -> Seen {
    let (mut seen, mut known) = (Seen::default(), BTreeMap::<u32, Vec<u8>>::new());
    let began = Instant::now();
    let mut last = began;
    while !stop.load(Ordering::SeqCst) {
        let (proc, numbers) = match watched {
            Watched::Host(proc) => (proc.as_path(), all(proc)),
            Watched::Own => (Path::new("/proc"), descendants(std::process::id())),
        };
        let mut now = BTreeMap::new();
        for number in numbers {
            let folder = proc.join(number.to_string());
            let Ok(line) = fs::read(folder.join("cmdline")) else { continue };
            if known.get(&number) != Some(&line) {
                if matches!(watched, Watched::Host(_)) {
                    seen.environments.extend(fs::read(folder.join("environ")).ok().filter(|text| !text.is_empty()));
                }
                if !line.is_empty() {
                    seen.lines.insert(line.clone());
                }
            }
            now.insert(number, line);
        }
        known = now;
        seen.rounds += 1;
        seen.longest = seen.longest.max(last.elapsed());
        last = Instant::now();
        std::thread::sleep(PAUSE);
    }
    seen.took = began.elapsed();
    seen
}

/// The numbers of all processes.
fn all(proc: &Path) -> Vec<u32> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The processes that a process has started, and theirs.
fn descendants(of: u32) -> Vec<u32> {
    let (mut found, mut open) = (Vec::new(), vec![of]);
    while let Some(number) = open.pop() {
        let threads = fs::read_dir(format!("/proc/{number}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
        if number != of {
            found.push(number);
        }
    }
    found
}

/// What a control run showed: whether a marker was seen in arguments and in an environment, and how many of so many
/// processes that do nothing but begin and end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Control {
    /// In the arguments of a process that lives a second.
    pub(super) argument: bool,
    /// In its environment.
    pub(super) environment: bool,
    /// Processes of the shortest life that were seen.
    pub(super) short: usize,
    /// Of so many.
    pub(super) of: usize,
}

/// Shows that the sampler sees on a host what it is to see.
pub(super) fn control(driver: &dyn Driver, host: u8) -> Result<Control, Error> {
    const SHORT: usize = 200;
    let sampler = Sampler::start(Watched::Host(driver.processes(host)?));
    driver.must(
        host,
        &format!(
            "ARGUMENT=control-argument; ENVIRONMENT=control-environment sh -c 'sleep 1; true' \"$ARGUMENT\"-1
             for i in $(seq {SHORT}); do /bin/true short-lived-\"$i\"-end; done"
        ),
    )?;
    let seen = sampler.stop()?;
    let has = |all: &BTreeSet<Vec<u8>>, what: &str| all.iter().any(|one| String::from_utf8_lossy(one).contains(what));
    let short = (1..=SHORT).filter(|number| has(&seen.lines, &format!("\0short-lived-{number}-end"))).count();
    Ok(Control {
        argument: has(&seen.lines, "control-argument-1"),
        environment: has(&seen.environments, "ENVIRONMENT=control-environment"),
        short,
        of: SHORT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    #[test]
    fn arguments_of_what_we_start_are_seen() {
        let sampler = Sampler::start(Watched::Own);
        Program::new("sh").args(["-c", "sleep 0.5; true", "planted-for-the-sampler"]).run().unwrap();
        let seen = sampler.stop().unwrap();
        assert!(seen.text().contains("planted-for-the-sampler"), "{}", seen.summary());
        assert!(seen.rounds > 1 && seen.environments.is_empty());
    }
}
