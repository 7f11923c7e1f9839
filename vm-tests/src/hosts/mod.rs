//! Hosts to test on: how they are named and reached, what they can be told, and one way to make them.
//!
//! ```text
//! Driver (trait) ◄── Nspawn     tree: the Debian tree    boot: overlay, cgroups, start, power cut
//!                               network: namespaces       egress: what tried to get out
//!                               fault: what can be broken
//! ```

mod boot;
mod cgroup;
mod driver;
mod egress;
mod fault;
mod lab;
mod network;
mod nspawn;
mod tree;

pub use driver::Driver;
pub use egress::{Attempt, Egress, self_test};
pub use fault::{Fault, help as faults};
pub use lab::{HostPlace, Lab, USER_PASSWORD};
pub use nspawn::Nspawn;

use std::path::PathBuf;

use crate::error::Error;
use crate::place::Place;

/// The Debian tree that hosts boot from, made if it is not there: images take their user land from it.
pub fn tree(place: &Place) -> Result<PathBuf, Error> {
    Ok(tree::tree(place)?.0)
}
