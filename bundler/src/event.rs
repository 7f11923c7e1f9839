//! What the engines say while they work. They never print: a [`Reporter`] shows bars, lines or JSON.
//!
//! Events serialize, one JSON object a line, with a `event` tag; readers ignore kinds they do not know.

use serde::Serialize;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A phase begins.
    Phase {
        /// Such as `resolve`, `fetch`, `verify`, `push`.
        name: &'static str,
        /// What it is about.
        detail: String,
        /// How many bytes it will move, if that is known.
        bytes: Option<u64>,
    },
    /// This many more bytes have been moved. Only a tick: shown as progress, not kept.
    Moved {
        /// Bytes.
        bytes: u64,
    },
    /// One thing of a phase is done.
    Done {
        /// Such as `image`, `blob`, `manifest`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Its size in bytes, if it has one.
        bytes: Option<u64>,
    },
    /// A step of verification has been passed.
    Step {
        /// Its number, from 1.
        number: u8,
        /// How many there are.
        of: u8,
        /// What was checked.
        title: String,
        /// What was found.
        detail: String,
    },
    /// Something differs from the last lock.
    Change {
        /// `added`, `removed`, `changed`, `moved`.
        kind: &'static str,
        /// One line.
        text: String,
    },
    /// Something failed and will be tried again.
    Retry {
        /// What.
        what: String,
        /// Why.
        why: String,
        /// Which attempt comes next, from 2.
        attempt: u32,
        /// After how many milliseconds.
        after_ms: u64,
    },
    /// The demo runs what a person would type.
    Command {
        /// The command line.
        text: String,
    },
    /// Something a person should know, but nothing failed.
    Note {
        /// One line.
        text: String,
    },
    /// Something a person must know, but nothing failed.
    Warning {
        /// One line.
        text: String,
    },
    /// How volumes stand, as it is now: a display replaces the last one.
    Picture {
        /// Lines for people.
        text: String,
        /// The same for machines.
        picture: serde_json::Value,
    },
    /// The command's result.
    Result {
        /// A line for people.
        text: String,
        /// The same for machines.
        data: serde_json::Value,
    },
}

/// Shows events. Called from many threads.
pub trait Reporter: Send + Sync {
    /// Shows one event.
    fn event(&self, event: &Event);
    /// Ends a progress display, if there is one.
    fn finish(&self) {}
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event) {}
}

/// Keeps what was said, for tests.
#[derive(Debug, Default)]
pub struct Recorder(std::sync::Mutex<Vec<Event>>);

impl Recorder {
    /// Everything said so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

impl Reporter for Recorder {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(event.clone());
    }
}

/// Lets verification report through a [`Reporter`].
#[derive(Clone, Copy)]
pub struct StepsTo<'a>(pub &'a dyn Reporter);

impl ferry_bundle_format::open::Observer for StepsTo<'_> {
    fn step(&self, step: ferry_bundle_format::open::Step) {
        self.0.event(&Event::Step {
            number: step.number,
            of: ferry_bundle_format::open::STEPS,
            title: step.title.to_owned(),
            detail: step.detail,
        });
    }
    fn read(&self, bytes: u64) {
        self.0.event(&Event::Moved { bytes });
    }
}
