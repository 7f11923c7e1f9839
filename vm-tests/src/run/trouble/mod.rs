//! Installs that are not left in peace: when and how they are struck, how they run on, and what may have run twice.
//!
//! ```text
//! timeline   an undisturbed install: which mark of the journal came when ─► moments, spread evenly over it
//! run        ferry-install in the background: its marks as they come, its end
//! strike     what is done to it: killed, its connection cut, its host's power cut, asked to stop
//! second     somebody else who comes at random moments, and when two have changed one host at once
//! twice      ledger and plan ─► what was done to its end more than once
//! ```

mod run;
mod second;
mod strike;
mod timeline;
mod twice;

pub use run::{Run, may_end};
pub use second::{HELD, Second, Visit, both_at_work};
pub use strike::Strike;
pub use timeline::{Mark, Moment, Timeline, moments};
pub use twice::{Repeated, repeated};
