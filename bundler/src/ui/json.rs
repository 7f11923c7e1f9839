//! JSON lines on standard output: one event a line, ticks left out.

use crate::event::{Event, Reporter};

pub(super) struct Json;

impl Reporter for Json {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Moved { .. }) {
            return;
        }
        if let Ok(line) = serde_json::to_string(event) {
            super::out(&line);
        }
    }
}
