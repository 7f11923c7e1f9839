//! The test bed: real systemd hosts without a way out to a network, an origin that stands for the internet, and
//! scenarios that run the shipped programs as a customer would.
//!
//! ```text
//! hosts    N Debian hosts on a bridge without uplink; faults; what tried to get out
//! origin   components built from their Go modules, packed into images, served on loopback
//! run      origin ─► ferry-bundle ─► bundle ─► hosts ─► ferry-install ─► checks that do not trust ferry ─► evidence
//! ```
//! A machine that can't do this says so and ends with 77; that is never a pass.

pub mod cli;
pub mod error;
pub mod hosts;
pub mod installer;
pub mod origin;
pub mod place;
pub mod program;
pub mod run;
pub mod ui;
