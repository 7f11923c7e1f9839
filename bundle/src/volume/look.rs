//! Looking: every file below some folders. Folders may be read-only; nothing is written to them. Names, dates and mode bits
//! decide nothing: all that is taken from a file is compared once more when it is used.
//!
//! A whole volume whose size and date are as before is not read again. What is no whole volume may be one that is being
//! copied: some ways of copying give a file its full length at once, and some file systems do not move its date. It is
//! read again after one look, then after two, four, and so on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::carrier::FileCarrier;
use super::error::{VolumeError, io};
use super::gather::Gathering;
use super::scan::{Scanned, Shared, Verdict, look, scan};

/// How deep folders are followed.
const DEPTH: usize = 8;
/// The most files that are looked at.
pub const MAX_FILES: usize = 100_000;

/// By what a changed file is noticed.
type Stamp = (u64, Option<SystemTime>);

/// After how many looks, at most, a file is read again that is no whole volume.
const LONGEST_PAUSE: u64 = 32;

/// What has been read so far.
#[derive(Debug, Default)]
pub struct Looker {
    seen: BTreeMap<PathBuf, Seen>,
    shared: Shared,
    heads_only: bool,
    /// How many looks there have been.
    looks: u64,
}

/// A file that was read.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    scanned: Scanned,
    /// For how many looks it is left alone, though it is no whole volume.
    pause: u64,
    /// In which look it was read.
    look: u64,
}

impl Seen {
    /// Whether it is to be read in this look, if its stamp is this.
    fn is_due(&self, stamp: Stamp, kept: bool, look: u64) -> bool {
        // What ferry keeps has gaps by intention, and nobody else writes to it.
        let settled = kept || matches!(&self.scanned.verdict, Verdict::Volume(holding) if holding.is_whole());
        self.stamp != stamp || (!settled && look >= self.look + self.pause)
    }
}

/// A file that was found.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    stamp: Stamp,
    kept: bool,
}

impl Looker {
    /// One that reads heads and no blocks: those are taken for good until they are read.
    #[must_use]
    pub fn heads_only() -> Self {
        Self { heads_only: true, ..Self::default() }
    }

    /// Looks into `places` (folders or files) and into `kept`, on `jobs` threads. `passed` hears how many bytes were read.
    /// Returns what was found and the number of files.
    pub fn look(
        &mut self,
        places: &[PathBuf],
        kept: Option<&Path>,
        jobs: usize,
        passed: &(dyn Fn(u64) + Sync),
    ) -> Result<(Gathering, usize), VolumeError> {
        let mut found = Vec::new();
        for place in places {
            // A name that was given is followed even if it is a link; those found below are not.
            let metadata = fs::metadata(place).map_err(io("look at", place))?;
            let stamp = (metadata.len(), metadata.modified().ok());
            if metadata.is_file() {
                found.push(Candidate { path: place.clone(), stamp, kept: false });
            } else {
                walk(place, DEPTH, false, &mut found).map_err(io("list", place))?;
            }
        }
        if let Some(kept) = kept {
            walk(kept, 1, true, &mut found).map_err(io("list", kept))?;
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        let count = found.iter().filter(|one| !one.kept).count();
        self.seen.retain(|path, _| found.binary_search_by(|one| one.path.cmp(path)).is_ok());
        self.looks += 1;
        let is_due = |one: &Candidate, seen: &Seen| seen.is_due(one.stamp, one.kept, self.looks);
        found.retain(|one| self.seen.get(&one.path).is_none_or(|seen| is_due(one, seen)));
        self.read(&found, jobs.max(1), passed);
        let all = self.seen.values().map(|seen| seen.scanned.clone());
        Ok((Gathering::of(all, passed), count))
    }

    /// Forgets what was read: something turned out to be other than it was.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.shared = Shared::default();
    }

    fn read(&mut self, found: &[Candidate], jobs: usize, passed: &(dyn Fn(u64) + Sync)) {
        let read = if self.heads_only { look } else { scan };
        let (look, next) = (self.looks, AtomicUsize::new(0));
        let kept = Mutex::new((&mut self.seen, &mut self.shared));
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(found.len()) {
                scope.spawn(|| {
                    while let Some(one) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let carrier = Arc::new(FileCarrier::new(&one.path, one.stamp.0, one.kept));
                        let scanned = read(carrier, passed);
                        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        let scanned = kept.1.share(scanned);
                        let before = kept.0.get(&one.path).filter(|seen| seen.stamp == one.stamp);
                        let pause = before.map_or(1, |seen| (seen.pause * 2).min(LONGEST_PAUSE));
                        kept.0.insert(one.path.clone(), Seen { stamp: one.stamp, scanned, pause, look });
                    }
                });
            }
        });
    }
}

/// Lists regular files below `folder`. A folder below it that can't be read is left out: media have such.
fn walk(folder: &Path, depth: usize, kept: bool, found: &mut Vec<Candidate>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let Ok(entry) = entry else { continue };
        let path = entry.path();
        let Ok(metadata) = path.symlink_metadata() else { continue };
        // Another receiver's kept blocks and halves of files are its own business.
        let is_another = path.extension().is_some_and(|end| end == "receiving" || end == "partial");
        if metadata.is_dir() && depth > 1 && !is_another {
            drop(walk(&path, depth - 1, kept, found));
        } else if metadata.is_file() && !is_another && metadata.len() > 0 && found.len() < MAX_FILES {
            found.push(Candidate { path, stamp: (metadata.len(), metadata.modified().ok()), kept });
        }
    }
    Ok(())
}
