//! What a host is like, read once and without changing it.
//!
//! One shell script ([`SCRIPT`]) prints everything in named sections, `frame` takes them apart, `parse` and its parts
//! understand them, and the result is [`Facts`]: plain data that preflight, plan and drift checks are functions of.
//! What a host does not tell is empty or `None`, never guessed.

mod frame;
mod gather;
mod model;
mod parse;
mod parse_network;
mod parse_storage;
mod parse_system;
mod queries;

pub use gather::{SCRIPT, gather, gather_about, paths_of, script_about};
pub use model::{
    Account, CgroupVersion, Cgroups, Clock, Facts, Firewall, Identity, Init, Interface, Kernel, Leftover, Memory,
    ModuleState, Mount, Names, Network, Os, PathFact, PathKind, Protocol, Route, Security, Socket, Space, Sshd, Time,
};
#[cfg(test)]
pub(crate) use parse::tests::{debian, open_euler};
pub use parse::{FactsError, parse};
