//! A `ferry-install` in the background: its marks in the journal as they come, and its end.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_engine::journal::Record;

use super::timeline::{Marks, Moment, Timeline};
use super::{Mark, Strike};
use crate::error::Error;
use crate::program::{Program, Running};

/// How often the journal is looked at.
const LOOK: Duration = Duration::from_millis(15);

/// A run.
#[derive(Debug)]
pub struct Run {
    running: Running,
    journal: PathBuf,
    /// How far the journal was read, in bytes; it begins where this run began.
    read: u64,
    /// The beginning of a line whose end has not come yet.
    part: String,
    marks: Marks,
    began: Instant,
    seen: Vec<(Duration, Mark)>,
}

impl Run {
    /// Starts it. `state` is its state folder; what it says is appended to `log`.
    pub fn start(program: Program, state: &Path, log: &Path) -> Result<Self, Error> {
        let journal = state.join("journal.jsonl");
        let read = journal.metadata().map_or(0, |known| known.len());
        let (running, began) = (program.started(log)?, Instant::now());
        Ok(Self { running, journal, read, part: String::new(), marks: Marks::default(), began, seen: Vec::new() })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<i32>, Error> {
        // What was written before the end is read after it.
        let ended = self.running.ended()?;
        self.look()?;
        Ok(ended)
    }

    /// Waits for the end, for at most so long.
    pub fn end(&mut self, patience: Duration) -> Result<i32, Error> {
        let limit = Instant::now() + patience;
        loop {
            if let Some(code) = self.ended()? {
                return Ok(code);
            }
            if Instant::now() > limit {
                let what = "the end of ferry-install".to_owned();
                return Err(Error::TimedOut { what, seconds: patience.as_secs() });
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        self.running.signal(name)
    }

    /// Waits until it is where the moment is; false if it ends before.
    pub fn reaches(&mut self, moment: &Moment, patience: Duration) -> Result<bool, Error> {
        let limit = Instant::now() + patience;
        while let Some(mark) = moment.mark.as_ref().filter(|mark| !self.has(mark)) {
            if self.ended()?.is_some() {
                return Ok(false);
            }
            if Instant::now() > limit {
                let what = format!("`{}` in the journal", mark.0);
                return Err(Error::TimedOut { what, seconds: patience.as_secs() });
            }
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(moment.after);
        Ok(self.ended()?.is_none())
    }

    /// Whether a mark has come.
    fn has(&self, mark: &Mark) -> bool {
        self.seen.iter().any(|(_, seen)| seen == mark)
    }

    /// When its marks came, and how long it took.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        Timeline { marks: self.seen.clone(), whole: self.began.elapsed() }
    }

    /// Reads what is new in the journal.
    fn look(&mut self) -> Result<(), Error> {
        let Ok(mut file) = File::open(&self.journal) else { return Ok(()) };
        let wrong = || Error::file("read", &self.journal);
        file.seek(SeekFrom::Start(self.read)).map_err(wrong())?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(wrong())?;
        self.read += bytes.len() as u64;
        self.part.push_str(&String::from_utf8_lossy(&bytes));
        let now = self.began.elapsed();
        while let Some((line, rest)) = self.part.split_once('\n') {
            if let Some(mark) = serde_json::from_str::<Record>(line).ok().and_then(|one| self.marks.of(&one.event)) {
                self.seen.push((now, mark));
            }
            self.part = rest.to_owned();
        }
        Ok(())
    }
}

/// How a run that was struck may end: killed or asked to stop by us, a host or a step or acceptance that failed because of
/// it, or well in spite of it; of several hosts, one that is away may be owed its steps.
#[must_use]
pub fn may_end(strike: Option<Strike>, code: i32) -> bool {
    match strike {
        None => code == 0,
        Some(Strike::Installer) => code == 137,
        // Ctrl-C in the last moment finds nothing left to stop.
        Some(Strike::Interrupt) => code == 130 || code == 0,
        Some(Strike::Sessions | Strike::Link(_) | Strike::Power(_)) => [0, 7, 10, 12, 14].contains(&code),
    }
}
