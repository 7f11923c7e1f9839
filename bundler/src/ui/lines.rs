//! Plain lines on standard error, for logs and serial consoles; a line of progress every few seconds.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry_bundle_format::documents::human_size;

use crate::event::{Event, Reporter};

const EVERY: Duration = Duration::from_secs(5);

pub(super) struct Lines {
    quiet: bool,
    progress: Mutex<Progress>,
}

struct Progress {
    phase: &'static str,
    done: u64,
    total: u64,
    shown: Instant,
}

impl Lines {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, progress: Mutex::new(Progress { phase: "", done: 0, total: 0, shown: Instant::now() }) }
    }
}

impl Reporter for Lines {
    fn event(&self, event: &Event) {
        if let Event::Result { text, .. } = event {
            return super::out(text);
        }
        if self.quiet && !matches!(event, Event::Warning { .. } | Event::Change { .. }) {
            return;
        }
        let mut progress = self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Phase { name, bytes, .. } => {
                *progress = Progress { phase: name, done: 0, total: bytes.unwrap_or(0), shown: Instant::now() };
            }
            Event::Moved { bytes } => {
                progress.done += bytes;
                if progress.shown.elapsed() >= EVERY {
                    progress.shown = Instant::now();
                    let percent = (progress.done * 100).checked_div(progress.total).unwrap_or(0).min(100);
                    let text = format!(
                        "  {}: {} of {} ({percent} %)",
                        progress.phase,
                        human_size(progress.done),
                        human_size(progress.total)
                    );
                    super::err(&text);
                }
            }
            _ => {}
        }
        drop(progress);
        if let Some(line) = super::line(event) {
            super::err(&line);
        }
    }
}
