//! The site file: which hosts there are, what each is for, and what the cluster is to be like.
//!
//! [`file`] is the file as a person writes it (and its JSON Schema). [`Site::read`] understands it strictly, fills
//! in what follows from the rest, and collects everything that is wrong with its place. Secrets stand in it by
//! reference only ([`file::SecretRef`]).

mod check;
mod check_settings;
mod cidr;
pub mod file;
#[cfg(test)]
mod mutated;
mod resolved;
mod settings;
mod shape;
pub mod types;

pub use check::{Outside, read, read_with};
pub use cidr::{Cidr, CidrError};
pub use resolved::{Endpoint, Host, Jump, Registry, Site};
pub(crate) use shape::distance;
