//! Events as JSON, one object a line, on standard output.

use ferry_engine::event::{Display, Event};

/// Shows events as JSON.
pub(crate) struct Json;

impl Display for Json {
    fn show(&self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            super::text(&(line + "\n"));
        }
    }
}
