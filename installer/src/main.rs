//! `ferry-install`: carries a bundle into a site and hands it over working.
//!
//! ```text
//! main ─► cli ─► commands/<verb> ─► Session (site, bundle, vault, hosts, journal) ─► ferry_engine ─Event─► show
//! ```

mod addresses;
mod cli;
mod commands;
mod console;
mod failure;
mod installed;
mod leased;
mod session;
mod show;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
