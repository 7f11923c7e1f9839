//! The texts and numbers of a site file as types that cannot break what they are written into: a shell script, a systemd unit,
//! a YAML document, a Corefile, a line of the ledger. Each is checked as its consumer would check it, when the file is read.
//!
//! All are parsed by `FromStr` (numbers by `TryFrom`), and carry their rule as a pattern into the JSON Schema.

mod address;
mod count;
mod data_dir;
pub(super) mod dns_name;
mod fingerprint;
#[cfg(test)]
mod hostile;
mod interface;
mod label;
mod line;
mod port;
mod taint;
pub(super) mod text;

pub use address::{Address, SubjectName};
pub use count::Count;
pub use data_dir::{AbsolutePath, DataDir};
pub use dns_name::DnsName;
pub use fingerprint::SshFingerprint;
pub use interface::Interface;
pub use label::{LabelKey, LabelValue};
pub use line::{CheckId, EnvironmentName, FileName, Line, UserName};
pub use port::Port;
pub use taint::{Effect, Taint};
pub use text::Invalid;
