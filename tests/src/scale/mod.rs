//! A site of any number of hosts, all in one other process, and the engine driven over them as `ferry-install` drives it.
//!
//! ```text
//! scale (the engine) ── SSH on loopback, a connection a host ──► sshfarm (N scripted hosts)
//!    └─ Cost: seconds by phase, peak memory, bytes and commands by host, as the farm has counted them
//! ```

pub mod bundle;
pub mod cost;
pub mod drive;
pub mod farm;
pub mod scripted;
pub mod site;
