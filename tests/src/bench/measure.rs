//! Runs a program and measures it from outside: wall time, processor time, peak resident memory, and the most disk its
//! folder held. Everything from `/proc` and the file system, so that any program can be compared.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// What a run cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Wall time.
    pub wall: Duration,
    /// User and system time of all its threads and of the children it waited for.
    pub processor: Duration,
    /// Peak resident memory in bytes.
    pub memory: u64,
    /// The most that its folder held, in bytes on disk.
    pub disk: u64,
    /// Whether it ended well.
    pub ok: bool,
}

/// How often memory and disk are looked at.
const EVERY: Duration = Duration::from_millis(50);

/// Runs `command` to its end; `folder` is what it writes to.
///
/// # Panics
/// When it can't be started: the benchmark makes no sense then.
#[must_use]
pub fn measure(command: &mut Command, folder: &Path) -> Cost {
    measure_until(command, folder, || false)
}

/// As [`measure`], but for a server: it is asked to end (SIGTERM) once `done` says so.
///
/// # Panics
/// When it can't be started.
#[must_use]
pub fn measure_until(command: &mut Command, folder: &Path, done: impl Fn() -> bool) -> Cost {
    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (mut memory, mut disk) = (0, 0);
    let mut processor = Duration::ZERO;
    let mut next_disk = Instant::now();
    let status = loop {
        memory = memory.max(peak_memory(&child).unwrap_or(0));
        processor = processor.max(processor_time(&child).unwrap_or_default());
        if Instant::now() >= next_disk {
            disk = disk.max(used(folder));
            next_disk = Instant::now() + 10 * EVERY;
        }
        if let Some((status, total)) = ended(&mut child) {
            processor = processor.max(total);
            break status;
        }
        if done() {
            // It may have ended just now: then there is nothing to ask any more.
            let _ =
                rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM);
        }
        std::thread::sleep(EVERY);
    };
    let wall = start.elapsed();
    disk = disk.max(used(folder));
    Cost { wall, processor, memory, disk, ok: status.success() }
}

/// Whether it has ended. Its times are read while it still is a zombie, when they are complete.
fn ended(child: &mut Child) -> Option<(ExitStatus, Duration)> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let pid = Pid::from_child(child);
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(pid), options).ok()??;
    let total = processor_time(child).unwrap_or_default();
    Some((child.wait().ok()?, total))
}

/// `utime`, `stime`, `cutime` and `cstime` of `/proc/<pid>/stat`, in ticks of 1/100 s (Linux's `USER_HZ`).
fn processor_time(child: &Child) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).ok()?;
    // The name in parentheses may hold blanks; behind it stand the fields from the third on.
    let fields: Vec<u64> =
        stat.rsplit_once(')')?.1.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0)).collect();
    let ticks: u64 = fields.get(10..14)?.iter().sum();
    Some(Duration::from_millis(ticks * 10))
}

fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The bytes that a folder's files take on disk.
#[must_use]
pub fn used(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => used(&entry.path()),
            Ok(metadata) if metadata.is_file() => metadata.blocks() * 512,
            _ => 0,
        })
        .sum()
}
