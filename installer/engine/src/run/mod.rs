//! Does what a plan says: stage by stage, hosts in parallel, each step looked at before and after.
//!
//! [`Workshop`] is what all of it shares. [`apply`] runs a plan; [`Leases`] keep two engineers from working on one host;
//! [`Stop`] is the way to end early: the action that is under way is finished, nothing new is begun, and a rerun goes on.

mod dispatch;
mod execute;
mod guarded;
pub mod lease;
mod leases;
mod owner;
mod stop;
mod workshop;

pub use dispatch::{Done, apply};
pub use execute::{StepError, step};
pub use guarded::{Gone, Guarded};
pub use leases::{LeaseError, Leases, Terms};
pub use owner::{OwnerError, owner};
pub use stop::Stop;
pub use workshop::Workshop;
