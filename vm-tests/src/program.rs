//! Programs of the machine that the bed uses (`ip`, `nft`, `mount`, `go`, …), run to their end.
//!
//! An unexpected end is an error that shows the command line and the last lines it wrote. What is started in the
//! background is either ours and ends with us ([`Running`]), or the hosts themselves (`hosts/boot`).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::error::Error;

/// A program to be run.
#[derive(Debug)]
pub struct Program {
    command: Command,
    input: Option<Vec<u8>>,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code; 128 + signal if it was killed.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Program {
    /// Looked up in PATH, without arguments yet.
    #[must_use]
    pub fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.stdin(Stdio::null());
        Self { command, input: None }
    }

    /// A program inside a network namespace.
    #[must_use]
    pub fn inside(namespace: &str, name: &str) -> Self {
        Self::new("ip").args(["netns", "exec", namespace, name])
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Its working directory.
    #[must_use]
    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(bytes.into());
        self
    }

    /// The command line, for people.
    #[must_use]
    pub fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// Runs it, however it ends.
    pub fn ended(mut self) -> Result<Ended, Error> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Error::file("start", self.command.get_program().to_owned());
        let mut child = self.command.spawn().map_err(start)?;
        if let (Some(input), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // A program that does not want all of it says so by its exit code.
            let _ = pipe.write_all(&input);
        }
        let wait = Error::file("wait for", self.command.get_program());
        Ok(child.wait_with_output().map_err(wait)?.into())
    }

    /// Runs it; what it wrote is returned if it ended with 0.
    pub fn run(self) -> Result<String, Error> {
        let command = self.line();
        let ended = self.ended()?;
        if ended.code == 0 {
            return Ok(ended.stdout);
        }
        Err(Error::Program {
            command,
            status: ended.code.to_string(),
            output: format!("{}{}", ended.stdout, ended.stderr),
        })
    }

    /// Runs it and says whether it ended with 0; a program that can't be started did not.
    #[must_use]
    pub fn succeeds(self) -> bool {
        self.ended().is_ok_and(|ended| ended.code == 0)
    }

    /// Runs it with this terminal; returns its exit code. A signal that would end us is the program's to answer: we stay until it
    /// has ended, so that nothing goes on behind the prompt.
    pub fn attached(mut self) -> Result<i32, Error> {
        self.command.stdin(Stdio::inherit());
        let start = Error::file("start", self.command.get_program().to_owned());
        let (told, signals) = tokio::sync::mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::file("start", "a runtime for signals"))?;
        runtime.block_on(async {
            // Listened to before the program runs: a Ctrl-C in between must not end us alone.
            listen(&told).map_err(Error::file("listen to", "signals"))?;
            accompany(self.command.spawn().map_err(start)?, signals).await
        })
    }

    /// Runs it with both outputs going to a file; returns its exit code.
    pub fn logged(mut self, path: &Path) -> Result<i32, Error> {
        let log = File::create(path).map_err(Error::file("create", path))?;
        let second = log.try_clone().map_err(Error::file("create", path))?;
        let start = Error::file("start", self.command.get_program().to_owned());
        self.command.stdout(log).stderr(second).status().map(code_of).map_err(start)
    }
}

/// Passes on the signals that would end us, by their names for `kill`. A Ctrl-C of a terminal reaches the program without us.
fn listen(told: &UnboundedSender<&'static str>) -> std::io::Result<()> {
    let terminal = std::io::stdin().is_terminal();
    for (kind, name) in
        [(SignalKind::interrupt(), "INT"), (SignalKind::terminate(), "TERM"), (SignalKind::hangup(), "HUP")]
    {
        let (mut stream, told) = (signal(kind)?, told.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if !(terminal && name == "INT") && told.send(name).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

/// Waits for the end of a program and gives it the signals that come meanwhile; returns its exit code.
async fn accompany(mut child: Child, mut signals: UnboundedReceiver<&'static str>) -> Result<i32, Error> {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        if let Some(status) = child.try_wait().map_err(Error::file("wait for", "a program"))? {
            return Ok(code_of(status));
        }
        tokio::select! {
            _ = tick.tick() => {}
            Some(name) = signals.recv() => {
                // It may have ended just now.
                let _ = Program::new("kill").args(["-s", name, &child.id().to_string()]).ended()?;
            }
        }
    }
}

/// A program that runs beside us. It is ended when this goes.
#[derive(Debug)]
pub struct Running(Child);

impl Program {
    /// Starts it, with both outputs going to the end of a file.
    pub fn started(mut self, path: &Path) -> Result<Running, Error> {
        let log = File::options().append(true).create(true).open(path).map_err(Error::file("open", path))?;
        let second = log.try_clone().map_err(Error::file("open", path))?;
        let start = Error::file("start", self.command.get_program().to_owned());
        self.command.stdout(log).stderr(second).spawn().map(Running).map_err(start)
    }
}

impl Running {
    /// How it ended, if it has: the exit code, or 128 + signal.
    pub fn ended(&mut self) -> Result<Option<i32>, Error> {
        let wait = Error::file("wait for", "a program");
        Ok(self.0.try_wait().map_err(wait)?.map(code_of))
    }

    /// Sends it a signal, such as `INT`.
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        Program::new("kill").args(["-s", name, &self.0.id().to_string()]).run().map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: code_of(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A word as a shell would have to read it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_end_shows_command_and_output() {
        let error = Program::new("sh").args(["-c", "echo first; echo why >&2; exit 3"]).run().unwrap_err().to_string();
        assert_eq!(error, "`sh -c 'echo first; echo why >&2; exit 3'` ended with 3:\n  first\n  why");
        assert_eq!(Program::new("cat").input("x").run().unwrap(), "x");
        assert_eq!(Program::new("sh").args(["-c", "kill -9 $$"]).ended().unwrap().code, 137);
        assert!(!Program::new("no-such-program-here").succeeds());
        assert_eq!((quoted("it's"), quoted("")), (r"'it'\''s'".to_owned(), "''".to_owned()));
    }

    #[test]
    fn a_program_of_this_terminal_gets_our_signals_and_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'exit 7' INT; : >ready; while :; do sleep 0.05; done";
        let child = Command::new("sh").args(["-c", script]).current_dir(&folder).spawn().unwrap();
        let (told, signals) = tokio::sync::mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let code = runtime.block_on(async {
            let waits = tokio::spawn(accompany(child, signals));
            while !folder.path().join("ready").exists() {
                tokio::task::yield_now().await;
            }
            told.send("INT").unwrap();
            waits.await.unwrap()
        });
        assert_eq!(code.unwrap(), 7);
    }
}
