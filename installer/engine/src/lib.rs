//! How hosts are changed: from a site file and a verified bundle to a running cluster over SSH.
//!
//! ```text
//! site.yaml ─► site ──Site──┬─► host (SSH) ─► facts ──Facts──► preflight ──Findings──┐
//! bundle ──► cargo ──Cargo──┴───────────────────────────────────────────► plan ──Plan─┤
//!                                                                                     ▼
//!       report ◄──Report── fold ◄── journal.jsonl ◄──Event── run ──Host──► hosts ◄── accept
//! ```
//! No internet, no terminal. Events are emitted; the installer shows them.

pub mod distro;
pub mod facts;
pub mod host;
pub mod preflight;
pub mod site;
