//! The parts of DEFLATE (RFC 1951) that every encoder shares: the bit order, the length and distance symbols, and
//! prefix codes of limited length.
//!
//! Nothing here decides anything: which matches are taken, where a block ends and how it is written is what tells one
//! encoder from another, and stands with the encoder.

pub(crate) mod alphabet;
pub(crate) mod bits;
pub(crate) mod compare;
pub(crate) mod count;
pub(crate) mod dynamic;
pub(crate) mod huffman;
pub(crate) mod lengths;
