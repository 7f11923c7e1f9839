//! What can go wrong on the test bed. Two kinds matter to callers: the bed can't run on this machine
//! ([`Error::CannotRun`], exit code 77: skipped, never passed), and everything else (exit code 1).

use std::path::{Path, PathBuf};

/// Why something on the test bed failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// This machine can't do it at all: not root, no nspawn, no namespaces.
    #[error("this machine can't run it: {0}")]
    CannotRun(String),
    /// A program ended otherwise than with 0.
    #[error("`{command}` ended with {status}{}", tail(.output))]
    Program {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A file or folder.
    #[error("can't {doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A condition did not come about in time.
    #[error("{what} did not happen within {seconds} s")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        seconds: u64,
    },
    /// What was asked for makes no sense here.
    #[error("{0}")]
    Asked(String),
    /// A check of a scenario that did not hold.
    #[error("{0}")]
    Check(String),
}

impl Error {
    /// For `map_err` on file operations.
    pub fn file(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// The text of the error and of all its sources.
    #[must_use]
    pub fn full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        text
    }
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n  ");
    if last.is_empty() { String::new() } else { format!(":\n  {last}") }
}
