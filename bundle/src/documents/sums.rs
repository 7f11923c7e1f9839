//! SHA256SUMS: the digests of all other members, in the form that `sha256sum -c` reads.

use std::fmt::Write as _;

use crate::digest::Digest;
use crate::index::Index;

/// The file for this index, whose exact bytes are `index_bytes`.
#[must_use]
pub fn sums(index: &Index, index_bytes: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{}  README.txt\n{}  bundle.json\n", index.readme.digest.hex(), Digest::of(index_bytes).hex());
    for entry in &index.entries {
        writeln!(text, "{}  {}", entry.digest.hex(), entry.name).expect("a String can always be written to");
    }
    text.into_bytes()
}
