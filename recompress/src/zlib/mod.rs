//! The encoder of zlib, in C, and that of GNU gzip, from which it came: one algorithm in two dialects.
//!
//! [`matches`] finds matches along chains of places with the same three bytes, [`tree`] fits codes with a heap,
//! [`block`] writes blocks, and [`encoder`] puts them together. Python, Ruby, Java and most tools that are not written
//! in Go link zlib; `tar z` runs GNU gzip. What this code puts out never changes: it stands behind frozen encoder ids.

pub(crate) mod block;
pub(crate) mod dialect;
pub(crate) mod encoder;
pub(crate) mod matches;
pub(crate) mod tree;
