//! Volumes: one file as many, for gates, discs and sticks. Any `data` good ones of `data + parity` give it back.
//!
//! ```text
//! file   ─► blocks ─► stripe 0: block 0 … block k-1 │ parity 0 … parity m-1        one block of each volume
//!                     stripe 1: block k … block 2k-1│ …
//! volume    head │ its block of each stripe, in order │ head again │ end mark      see `head`
//! set       descriptor ‖ sha256 of each volume's block table ── sha256 ──► set id  see `set`
//! ```
//! A head carries the table of its own blocks and of the two next volumes', all of them bound to the set id: a block is
//! good if it is what a table of its set says, wherever it was found and whatever its file is called. What is repaired
//! follows from good blocks only, and nothing is published before the whole file's sha256 has been compared.

pub mod carrier;
pub mod code;
pub mod custody;
pub mod error;
pub mod folder;
pub mod gate;
pub mod gather;
pub mod head;
pub mod join;
pub mod list;
pub mod look;
pub mod need;
pub mod parity;
pub mod picture;
pub mod place;
pub mod reader;
pub mod receive;
pub mod resend;
pub mod say;
pub mod scan;
pub mod set;
pub mod shape;
pub mod split;

pub use error::VolumeError;
pub use set::{BundleIdentity, Set, SetPlan};
