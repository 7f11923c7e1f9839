//! Does what a plan says: stage by stage, hosts in parallel, each step looked at before and after.
//!
//! [`Workshop`] is what all of it shares. [`apply`] runs a plan; [`lease`] keeps two engineers from working on one host;
//! [`Stop`] is the way to end early: the action in hand is finished, nothing new is begun, and a rerun goes on.

mod dispatch;
mod execute;
pub mod lease;
mod stop;
mod workshop;

pub use dispatch::{Done, apply};
pub use execute::{StepError, step};
pub use stop::Stop;
pub use workshop::Workshop;
