//! The site file: which hosts there are, what each is for, and what the cluster is to be like.
//!
//! [`file`] is the file as a person writes it (and its JSON Schema). [`Site::read`] understands it strictly, fills
//! in what follows from the rest, and collects everything that is wrong with its place. Secrets stand in it by
//! reference only ([`file::SecretRef`]).

mod check;
mod cidr;
pub mod file;
mod resolved;
mod settings;

pub use check::read;
pub use cidr::{Cidr, CidrError};
pub use resolved::{Endpoint, Host, Jump, Registry, Site};
