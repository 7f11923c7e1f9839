//! What a person or a machine sees: bars on a terminal, plain lines elsewhere, JSON lines on request.
//! The only folder that prints.

mod bars;
mod json;
mod lines;

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

use ferry_bundle_format::printable::printable;

use crate::event::{Event, Reporter};

/// Which display was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Display {
    /// JSON lines on standard output.
    pub json: bool,
    /// Results, warnings and errors only.
    pub quiet: bool,
    /// Plain lines even on a terminal.
    pub plain: bool,
}

impl Display {
    /// The reporter for this display and this terminal.
    #[must_use]
    pub fn reporter(self) -> Arc<dyn Reporter> {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        if self.json {
            Arc::new(json::Json)
        } else if terminal && !self.plain && !self.quiet {
            Arc::new(bars::Bars::new())
        } else {
            Arc::new(lines::Lines::new(self.quiet))
        }
    }
}

/// A line on standard output. A closed pipe is not an error worth a panic.
pub(crate) fn out(text: &str) {
    if writeln!(std::io::stdout(), "{}", printable(text)).is_err() {
        // Whoever read us has gone; there is nobody left to tell.
    }
}

/// A line on standard error.
pub(crate) fn err(text: &str) {
    if writeln!(std::io::stderr(), "{}", printable(text)).is_err() {
        // As above.
    }
}

/// The one-line text of an event for people, if it has one.
fn line(event: &Event) -> Option<String> {
    let size = |bytes: &Option<u64>| {
        bytes.map_or(String::new(), |n| format!(" ({})", ferry_bundle_format::documents::human_size(n)))
    };
    Some(match event {
        Event::Moved { .. } | Event::Result { .. } => return None,
        Event::Phase { name, detail, bytes } => format!("{name}: {detail}{}", size(bytes)),
        Event::Done { what, name, bytes } => format!("  {what} {name}{}", size(bytes)),
        Event::Step { number, of, title, detail } => format!("  [{number}/{of}] {title}: {detail}"),
        Event::Change { text, .. } => format!("  {text}"),
        Event::Retry { what, why, attempt, after_ms } => {
            format!("  retry: {what}: {why}; attempt {attempt} in {}.{} s", after_ms / 1000, after_ms % 1000 / 100)
        }
        Event::Command { text } => format!("\n$ {text}"),
        Event::Picture { text, .. } => text.clone(),
        Event::Note { text } => format!("  note: {text}"),
        Event::Warning { text } => format!("warning: {text}"),
    })
}
