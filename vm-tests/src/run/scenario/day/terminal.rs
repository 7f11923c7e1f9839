//! A program on a terminal, with somebody who answers its questions.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::installer;
use crate::program::Program;

/// How long the program may take until its end.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a question stands before it is answered: another one that came meanwhile would show.
const READS: Duration = Duration::from_secs(4);

/// What was asked.
#[derive(Debug)]
pub(super) struct Answered {
    /// Exit code.
    pub(super) code: i32,
    /// How many questions there were.
    pub(super) questions: usize,
    /// How many at most stood there without an answer.
    pub(super) together: usize,
}

/// Runs `program` on a terminal of its own (`script`), and gives the answers one after the other. A question is where `mark` stands.
pub(super) fn answered(program: &Program, mark: &str, answers: &[&str], log: &Path) -> Result<Answered, Error> {
    drop(std::fs::remove_file(log));
    let mut child = Command::new("script")
        .args(["-qefc", &program.line()])
        .arg(log)
        .env("FERRY_VAULT", installer::VAULT_PASSPHRASE)
        .env("TERM", "xterm-256color")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(Error::file("start", "script"))?;
    let mut keys = child.stdin.take();
    let count = || std::fs::read(log).map_or(0, |text| String::from_utf8_lossy(&text).matches(mark).count());
    let (mut given, mut together, limit) = (0, 0, Instant::now() + PATIENCE);
    loop {
        if let Some(status) = child.try_wait().map_err(Error::file("wait for", "script"))? {
            return Ok(Answered { code: status.code().unwrap_or(128), questions: count(), together });
        }
        if Instant::now() > limit {
            drop(child.kill());
            drop(child.wait());
            return Err(Error::TimedOut {
                what: "the end of a program on a terminal".into(),
                seconds: PATIENCE.as_secs(),
            });
        }
        if count() > given {
            std::thread::sleep(READS);
            together = together.max(count() - given);
            if let (Some(keys), Some(answer)) = (&mut keys, answers.get(given)) {
                // A program that has ended reads no answer.
                let _ = keys.write_all(format!("{answer}\n").as_bytes());
            }
            given += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
