//! How hosts are changed: from a site file and a verified bundle to a running cluster over SSH.
//!
//! ```text
//! site.yaml ─► site ──Site──┬─► host (SSH) ─► facts ──Facts──► preflight ──Findings──┐
//! bundle ─► supply ─Supply──┴───────────────────────────────────────────► plan ──Plan─┤
//!                                                                                     ▼
//!       report ◄──Report── fold ◄── journal.jsonl ◄──Event── run ──Host──► hosts ◄── accept
//! ```
//! No internet, no terminal. Events are emitted; the installer shows them.

pub mod accept;
pub mod action;
pub mod distro;
pub mod event;
pub mod facts;
pub mod host;
pub mod journal;
pub mod leave;
pub mod pki;
pub mod plan;
pub mod preflight;
pub mod registry;
pub mod report;
pub mod rounds;
pub mod run;
pub mod site;
pub mod snapshot;
pub mod step;
pub mod supply;
pub mod uninstall;
pub mod vault;
