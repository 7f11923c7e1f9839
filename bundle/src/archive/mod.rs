//! The archive: a strict ustar profile in which every byte's place follows from names and sizes.
//!
//! Regular files only, names of at most 100 bytes, fixed mode, owner and time, no links, no extensions, two
//! zero blocks at the end and nothing behind them. Because nothing is left to choice, the reader does not
//! interpret headers: it writes the header that must stand there and compares.

mod header;
mod layout;
mod medium;
mod region;

pub use header::{BLOCK, Header, HeaderError, padding};
pub use layout::{Layout, Member};
pub use medium::{Medium, ReadAt};
pub use region::{Region, RegionReader};
