//! What a ferry bundle *is*: the documents people write (manifest), the documents ferry writes
//! (lock, index, signatures), the archive that holds them, and every check on the way back in.
//!
//! No network, no SSH, no terminal. [`design`] draws the file format; start there.

pub mod archive;
pub mod assemble;
pub mod compact;
pub mod design;
pub mod digest;
pub mod documents;
pub mod fake;
pub mod hold;
pub mod index;
pub mod lock;
pub mod manifest;
pub mod name;
pub mod oci;
pub mod open;
pub mod platform;
pub mod printable;
pub mod receipt;
pub mod reference;
pub mod room;
pub mod sign;
pub mod spelling;
pub mod store;
pub mod trust;
pub mod volume;
pub mod write;
pub mod yaml;

pub use digest::Digest;
pub use platform::{Arch, Platform};
pub use reference::Reference;
