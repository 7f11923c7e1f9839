//! The only place that prints: events as plain lines or as JSON, texts, failures.

mod json;
mod plain;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_bundle_format::printable::printable;
use ferry_engine::event::Display;
use ferry_engine::preflight::{self, Findings};

use crate::failure::Failure;

pub(crate) use json::Json;
pub(crate) use plain::Plain;

/// The display that was asked for.
pub(crate) fn display(json: bool, verbose: bool) -> Arc<dyn Display> {
    if json {
        return Arc::new(Json);
    }
    // Lines go to standard output, so that is what is asked: colours in a file are noise.
    let plain = Arc::new(Plain::new(verbose, std::io::stdout().is_terminal()));
    let watched = Arc::downgrade(&plain);
    std::thread::spawn(move || {
        // Until nobody shows anything any more.
        while let Some(plain) = watched.upgrade() {
            plain.tick(Instant::now());
            drop(plain);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    plain
}

/// Says what to type next, beside the output.
pub(crate) fn next(json: bool, text: &str) {
    if !json {
        aside(&format!("next: {text}"));
    }
}

/// Prints what a command was asked for. Names and texts of strangers in it cannot drive the terminal.
pub(crate) fn text(text: &str) {
    painted(&printable(text));
}

/// Prints a text with colours, whose other parts have been made printable.
fn painted(text: &str) {
    let mut out = std::io::stdout().lock();
    // Who closed the pipe has seen enough.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints a line beside it.
pub(crate) fn aside(line: &str) {
    drop(writeln!(std::io::stderr().lock(), "{}", printable(line)));
}

/// Prints what preflight found: a table, or all of it as one object.
pub(crate) fn findings(findings: &Findings, json: bool) {
    if json {
        let value = serde_json::json!({
            "event": "findings",
            "verdict": findings.verdict(),
            "counts": findings.counts(),
            "findings": findings.findings,
        });
        text(&format!("{value}\n"));
    } else {
        text(&preflight::render(findings));
    }
}

/// Prints why a command failed.
pub(crate) fn failure(failure: &Failure, json: bool) {
    if json {
        let value = serde_json::json!({
            "event": "failure", "code": failure.code as u8, "causes": failure.causes, "hints": failure.hints,
        });
        text(&format!("{value}\n"));
    } else {
        drop(write!(std::io::stderr().lock(), "{}", printable(&failure.text())));
    }
}
