//! The set: what all volumes of one file have in common, and the id that follows from it.
//!
//! The descriptor travels as JSON in every head. The set id is the sha256 of exactly those bytes and of the sha256 of each
//! volume's block table, so whoever lies about a count, a size or a block has another set, and sets are kept apart.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, Hasher};

/// The format this ferry writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// The most volumes of a set, parity included.
pub const MAX_VOLUMES: u32 = 4096;
/// The most stripes: at 32 bytes a block, three tables make a head of 24 MiB.
pub const MAX_STRIPES: u64 = 256 * 1024;
/// The most blocks of a set, parity included: their tables take 128 MiB of memory.
pub const MAX_BLOCKS: u64 = 4 * 1024 * 1024;
/// The most bytes of a stripe: what is in memory while one is made or repaired, twice at most.
pub const MAX_STRIPE: u64 = 128 * 1024 * 1024;
/// The smallest block, in bytes: what the code works on at a time.
pub const MIN_BLOCK: u32 = 64;
/// The largest block, in bytes.
pub const MAX_BLOCK: u32 = 1024 * 1024;
/// The most sets that are looked at in one place.
pub const MAX_SETS: usize = 64;
/// The longest descriptor, in bytes.
pub const MAX_DESCRIPTOR: usize = 16 * 1024;
/// The longest file name that a descriptor gives, in bytes.
const MAX_NAME: usize = 128;

/// How parity is computed. A newer ferry may know more; none changes what it computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// Reed–Solomon over GF(2^16) as Leopard does it, each volume's block a shard.
    LeopardGf16,
}

/// Which bundle a set carries, for people: what is believed of it is in the bundle, under its signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleIdentity {
    /// The bundle's id: the digest of its index.
    pub id: Digest,
    /// The product's name.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Its channel.
    pub channel: String,
    /// Its serial.
    pub serial: u64,
}

/// The descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Set {
    /// The version of the format.
    pub format: u32,
    /// What the file was called.
    pub name: String,
    /// The file's length in bytes.
    pub length: u64,
    /// The file's digest.
    pub sha256: Digest,
    /// How many volumes carry the file's own blocks.
    pub data: u32,
    /// How many carry parity.
    pub parity: u32,
    /// The size of a block in bytes.
    pub block_size: u32,
    /// How parity is computed.
    pub code: Code,
    /// Which bundle the file is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleIdentity>,
}

/// Why a descriptor is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Not JSON of this shape.
    #[error("the descriptor can't be read: {0}")]
    Malformed(String),
    /// Made by a newer ferry.
    #[error("format {0} is newer than this ferry, which reads up to {FORMAT}")]
    Newer(u32),
    /// A count or a size out of bounds.
    #[error("the descriptor says {0}")]
    Bounds(String),
}

impl Set {
    /// Reads and checks a descriptor.
    pub fn parse(bytes: &[u8]) -> Result<Self, SetError> {
        let set: Self = serde_json::from_slice(bytes).map_err(|error| SetError::Malformed(error.to_string()))?;
        if set.format > FORMAT {
            return Err(SetError::Newer(set.format));
        }
        set.check()?;
        Ok(set)
    }

    /// The bytes that travel.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, digests and texts can always be written")
    }

    /// Whether every count and size is within what ferry can hold in memory.
    pub fn check(&self) -> Result<(), SetError> {
        let bad = |text: String| Err(SetError::Bounds(text));
        if !is_name(&self.name) {
            return bad(format!("a name that is none: {:?}", self.name.chars().take(80).collect::<String>()));
        }
        if self.format == 0 || self.length == 0 || self.data == 0 {
            return bad("that there is nothing".into());
        }
        let volumes = u64::from(self.data) + u64::from(self.parity);
        if volumes > u64::from(MAX_VOLUMES) {
            return bad(format!("{volumes} volumes, more than {MAX_VOLUMES}"));
        }
        if !self.block_size.is_power_of_two() || !(MIN_BLOCK..=MAX_BLOCK).contains(&self.block_size) {
            return bad(format!(
                "blocks of {} bytes: not a power of two from {MIN_BLOCK} to {MAX_BLOCK}",
                self.block_size
            ));
        }
        if volumes * u64::from(self.block_size) > MAX_STRIPE {
            return bad(format!("stripes of {} bytes, more than {MAX_STRIPE}", volumes * u64::from(self.block_size)));
        }
        let stripes = self.length.div_ceil(u64::from(self.data) * u64::from(self.block_size));
        if stripes > MAX_STRIPES || stripes * volumes > MAX_BLOCKS {
            return bad(format!("{stripes} stripes of {volumes} blocks: more than ferry holds in memory"));
        }
        if self.to_bytes().len() > MAX_DESCRIPTOR {
            return bad(format!("more than {MAX_DESCRIPTOR} bytes about itself"));
        }
        Ok(())
    }

    /// How many volumes there are, parity included.
    #[must_use]
    pub fn volumes(&self) -> u32 {
        self.data + self.parity
    }

    /// How many stripes there are: blocks of each volume.
    #[must_use]
    pub fn stripes(&self) -> u32 {
        let stripes = self.length.div_ceil(u64::from(self.data) * u64::from(self.block_size));
        u32::try_from(stripes).expect("checked when the descriptor was made")
    }

    /// The size of a block, for slices.
    #[must_use]
    pub fn block(&self) -> usize {
        self.block_size as usize
    }

    /// Where the stripe's first byte stands in the file.
    #[must_use]
    pub fn stripe_at(&self, stripe: u32) -> u64 {
        u64::from(stripe) * u64::from(self.data) * u64::from(self.block_size)
    }
}

/// Whether a text may stand as a file name on any screen and system.
fn is_name(name: &str) -> bool {
    let shown =
        |c: char| !c.is_control() && !matches!(c, '/' | '\\' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && name.chars().all(shown)
}

/// A set as all of its heads agree on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetPlan {
    /// The descriptor.
    pub set: Set,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// The sha256 of each volume's block table, by index.
    pub roots: Vec<Digest>,
    /// The set's id.
    pub id: Digest,
}

impl SetPlan {
    /// From the descriptor's bytes and the tables' digests.
    pub fn of(bytes: Vec<u8>, roots: Vec<Digest>) -> Result<Self, SetError> {
        let set = Set::parse(&bytes)?;
        if roots.len() != set.volumes() as usize {
            return Err(SetError::Bounds(format!("{} volumes, and {} tables are listed", set.volumes(), roots.len())));
        }
        let mut hasher = Hasher::new();
        hasher.update(&bytes);
        for root in &roots {
            hasher.update(root.as_bytes());
        }
        Ok(Self { set, bytes, roots, id: hasher.finish() })
    }

    /// Whether `table` is the one of this volume.
    #[must_use]
    pub fn is_table_of(&self, volume: u32, table: &[Digest]) -> bool {
        table.len() == self.set.stripes() as usize && self.roots.get(volume as usize) == Some(&root_of(table))
    }

    /// The set's id as people read it: the first eight hex digits.
    #[must_use]
    pub fn short(&self) -> String {
        self.id.hex()[..8].to_owned()
    }
}

/// The digest of a volume's block table.
#[must_use]
pub fn root_of(table: &[Digest]) -> Digest {
    let mut hasher = Hasher::new();
    for digest in table {
        hasher.update(digest.as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn set() -> Set {
        Set {
            format: FORMAT,
            name: "site-1.0.ferry".into(),
            length: 100_000,
            sha256: Digest::of(b"x"),
            data: 20,
            parity: 4,
            block_size: 512,
            code: Code::LeopardGf16,
            bundle: None,
        }
    }

    #[test]
    fn counts_and_sizes_out_of_bounds_are_refused() {
        assert_eq!(set().stripes(), 10);
        assert_eq!(Set::parse(&set().to_bytes()), Ok(set()));
        let wrong: [fn(&mut Set); 12] = [
            |s| s.format = FORMAT + 1,
            |s| s.length = 0,
            |s| s.length = u64::MAX,
            |s| s.data = 0,
            |s| s.data = u32::MAX,
            |s| s.parity = u32::MAX,
            |s| s.block_size = 0,
            |s| s.block_size = 48,
            |s| s.block_size = 1 << 31,
            |s| (s.data, s.block_size) = (4000, MAX_BLOCK),
            |s| s.name = "../etc/passwd".into(),
            |s| s.name = "a\u{202e}b".into(),
        ];
        for (n, change) in wrong.into_iter().enumerate() {
            let mut set = set();
            change(&mut set);
            assert!(Set::parse(&set.to_bytes()).is_err(), "{n}");
        }
        assert!(Set::parse(b"{}").is_err() && Set::parse(b"").is_err());
        assert!(SetPlan::of(set().to_bytes(), vec![Digest::of(b""); 23]).is_err());
    }
}
