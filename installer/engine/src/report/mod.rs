//! What happened at a site, told from its journal: a pure fold over records, then JSON, JUnit and a page to print and sign.
//!
//! ```text
//! journal.jsonl ─► read ──[Record]──► fold ──Report──► json | junit | html ─► write (three files, each whole or not at all)
//! ```
//! The same records give the same bytes: there is no clock here. Secrets were taken out before the journal was written.

mod escape;
mod fold;
mod html;
mod json;
mod junit;
mod model;
mod write;

pub use fold::fold;
pub use html::html;
pub use json::json;
pub use junit::junit;
pub use model::{Check, CheckRun, FORMAT, Report, Run, Step, Tally};
pub use write::{HTML, JSON, JUNIT, write};
