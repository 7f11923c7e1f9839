//! A second engineer: he comes at random moments of another one's install, with a state folder of his own, until he gets his
//! turn and is killed at work.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry_engine::event::Event;
use ferry_engine::journal;

use super::Run;
use super::timeline::Random;
use crate::error::Error;
use crate::program::Program;

/// How long one visit may take: as long as an install.
const PATIENCE: Duration = Duration::from_secs(900);

/// The exit code of somebody who was turned away.
pub const HELD: i32 = 13;

/// Somebody who comes again and again, in a thread of his own.
#[derive(Debug)]
pub struct Second {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Visit>, Error>>,
}

/// One time that he came.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// How it ended.
    pub code: i32,
    /// Whether he got as far as to change something, and was killed at it.
    pub worked: bool,
}

impl Second {
    /// Begins. `program` is what he runs, `state` its state folder; all that it says is appended to `log`.
    pub fn begin(program: impl Fn() -> Program + Send + 'static, state: PathBuf, log: PathBuf, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut random = Random(seed);
            let mut visits = Vec::new();
            while !waits(&stopped, Duration::from_millis(2000 + random.below(20_000))) {
                let work = Duration::from_millis(random.below(6000));
                let visit = visit(program(), &state, &log, &stopped, work)?;
                visits.push(visit);
                // His lease is to lapse now. Were he to come again he would be let in as its owner, and the other one never.
                if visit.worked {
                    break;
                }
            }
            Ok(visits)
        });
        Self { stop, thread }
    }

    /// He comes no more; what came of his visits.
    pub fn end(self) -> Result<Vec<Visit>, Error> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|_| Err(Error::Asked("the second engineer's thread has panicked".into())))
    }
}

/// Waits so long; true if he is to come no more.
fn waits(stopped: &AtomicBool, time: Duration) -> bool {
    let limit = Instant::now() + time;
    while Instant::now() < limit && !stopped.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(100));
    }
    stopped.load(Ordering::SeqCst)
}

fn visit(program: Program, state: &Path, log: &Path, stopped: &AtomicBool, work: Duration) -> Result<Visit, Error> {
    let mut run = Run::start(program, state, log)?;
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(code) = run.ended()? {
            return Ok(Visit { code, worked: false });
        }
        let works = run.timeline().marks.iter().any(|(_, mark)| mark.0.starts_with("stage "));
        if works || stopped.load(Ordering::SeqCst) || Instant::now() > limit {
            if works {
                std::thread::sleep(work);
            }
            if run.ended()?.is_none() {
                run.signal("KILL")?;
            }
            return Ok(Visit { code: run.end(PATIENCE)?, worked: works });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A command that changes a host, as an engineer's journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    host: String,
    /// Seconds since 1970.
    from: i64,
    to: i64,
}

/// The commands of a journal that change something.
fn changes(path: &Path) -> Result<Vec<Change>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let records = journal::read(path).map_err(Error::file("read", path))?.records;
    let mut all = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let Event::Command { host, id, script, .. } = &record.event else { continue };
        if !script.contains("f_log begin ") {
            continue;
        }
        let from = record.at.unix();
        // Of a run that was killed, what was on its way has no end; the host's own lock keeps it apart from others.
        let ended = records[at..].iter().find(|one| {
            one.run == record.run
                && matches!(&one.event, Event::CommandEnded { host: of, id: which, .. } if of == host && which == id)
        });
        all.push(Change { host: host.clone(), from, to: ended.map_or(from, |one| one.at.unix()) });
    }
    Ok(all)
}

/// When two engineers have changed one host at the same time, by their journals, which know whole seconds.
pub fn both_at_work(one: &Path, other: &Path) -> Result<Vec<String>, Error> {
    let (ones, others) = (changes(one)?, changes(other)?);
    let mut found = Vec::new();
    for one in &ones {
        for other in others.iter().filter(|other| other.host == one.host) {
            if one.from.max(other.from) < one.to.min(other.to) {
                found.push(format!("{}: {}-{} and {}-{}", one.host, one.from, one.to, other.from, other.to));
            }
        }
    }
    Ok(found)
}
