//! Real kills of the real program: SIGKILL at seeded moments between nothing and a little more than a whole run, until
//! so many have hit a running program; after each of them a rerun must give what an uninterrupted run gives. Shape as
//! ostree's destructive test.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ferry::Ferry;

/// Numbers that look like chance and are the same in each run (xorshift64).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed that is not 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

/// Starts `ferry-bundle` and kills it after `moment`; whether it was still running.
///
/// # Panics
/// When it can't be started or waited for.
#[must_use]
pub fn killed(ferry: &Ferry, arguments: &[&str], moment: Duration) -> bool {
    let mut command = ferry.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ferry-bundle starts");
    std::thread::sleep(moment);
    let alive = child.try_wait().expect("its state").is_none();
    if alive {
        kill_process(Pid::from_child(&child), Signal::KILL).expect("a signal to a child");
    }
    child.wait().expect("its end");
    alive
}

/// Kills `arguments` until `kills` of them have hit, each followed by a rerun to the end; now and then two kills in a row,
/// the second going on from what the first has left. `clean` prepares, `half` looks at what a kill has left, `whole` at what
/// a whole run has; both hear how many kills there were.
///
/// # Panics
/// When a run that nobody kills fails, or most moments lie behind the end: then they prove nothing.
pub fn survive(
    ferry: &Ferry,
    arguments: &[&str],
    (seed, kills): (u64, u64),
    clean: impl Fn(),
    half: impl Fn(u64),
    whole: impl Fn(u64),
) {
    let micros = |time: Duration| u64::try_from(time.as_micros()).expect("short");
    clean();
    let start = Instant::now();
    let _ = ferry.run(arguments);
    let mut length = micros(start.elapsed());
    whole(0);
    let (mut dice, mut hit, mut missed) = (Dice::new(seed), 0, 0);
    while hit < kills {
        clean();
        for _ in 0..=dice.below(3) / 2 {
            // Some moments lie behind the end: what an undisturbed run leaves is looked at among the others.
            if killed(ferry, arguments, Duration::from_micros(dice.below(length * 11 / 10))) {
                hit += 1;
            } else {
                missed += 1;
            }
            half(hit);
        }
        let start = Instant::now();
        let _ = ferry.run(arguments);
        // The machine may have been slow at first and be fast now.
        length = length.min(micros(start.elapsed()).max(length / 4));
        whole(hit);
        assert!(missed <= kills + 20, "{missed} runs had ended before the kill, {hit} had not");
    }
}
