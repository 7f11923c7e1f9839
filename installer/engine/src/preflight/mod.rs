//! Whether a site is ready, said before anything is changed: one check for each thing that has broken an installation.
//!
//! ```text
//! Site ─┬──────────────► measure ──Measurements──┐
//!       │ Facts of each host ────────────────────┼─► check ──Findings──► verdict, table, JSON
//!       └─ Needs of the bundle ──────────────────┘
//! ```
//! [`check`] is pure. [`registry`] is the table of contents; a topic's checks stand in its file, each with its id,
//! severity, limit and the sentence that fixes it. A new check is one such file or constant, one row, one test case.

mod binaries;
mod check;
mod disk;
mod dns;
mod findings;
mod identity;
mod kernel;
mod leftovers;
mod listening;
mod measure;
mod measurements;
mod network;
mod on_host;
mod ports;
mod registry;
mod resources;
mod run;
mod security;
mod settings;
mod site;
mod ssh;
mod sysctls;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod time;
mod ways;

pub use check::{Check, Limit, Needs, Scope, Severity};
pub use findings::{Counts, Finding, Findings, Outcome, Verdict};
pub use measure::{ProbeFile, measure, sweep};
pub use measurements::{Bind, Dial, Dialled, Fsync, HostMeasurement, Measurements, Silence};
pub use ports::{From, PORTS, Port, dials, listens};
pub use registry::CHECKS;
pub use run::check;
pub use settings::{Unknown, say_unknown_names, unknown_names};
pub use sysctls::{Sysctl, Wanted, wanted_sysctls};
pub use table::{document, render};
