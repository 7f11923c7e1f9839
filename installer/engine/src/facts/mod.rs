//! What a host is like, read once and without changing it.
//!
//! One shell script ([`SCRIPT`]) prints everything in named sections, `frame` takes them apart, `parse` and its parts
//! understand them, and the result is [`Facts`]: plain data that preflight, plan and drift checks are functions of.
//! What a host does not tell is empty or `None`, never guessed.

mod frame;
mod gather;
mod model;
mod model_network;
mod parse;
mod parse_network;
mod parse_storage;
mod parse_system;
mod queries;

pub use gather::{SCRIPT, gather, gather_about, gather_all, paths_of, script_about};
pub use model::{
    Account, CgroupVersion, Cgroups, Clock, DataMark, Facts, Identity, Init, Kernel, Leftover, Memory, ModuleState,
    Mount, Os, PathFact, PathKind, Security, Space, Sshd, Time,
};
pub use model_network::{Firewall, Interface, Names, Network, Protocol, Route, Socket};
#[cfg(test)]
pub(crate) use parse::tests::{debian, open_euler};
pub use parse::{FactsError, parse};
