//! `bundle.json`: what the signatures cover. Product, serial, and every member's digest, size and place.
//!
//! Offsets count from the end of the envelope (README, index, signatures, checksums), so that another
//! signature can be added without changing what is signed. Unknown members are ignored, an unknown
//! `format` is refused: machines read this file, and newer ferries may say more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::compact::Rebuilt;
use crate::digest::Digest;
use crate::lock::{Lock, Timestamp, derived};
use crate::manifest::file::Product;
use crate::platform::Arch;

/// The newest format this ferry reads, and writes where the content needs it: 2 knows blobs that are rebuilt and
/// packages that need a base. What can be said in format 1 is still written in it.
pub const FORMAT: u32 = 2;

/// The largest index that is read, in bytes: 50,000 entries.
pub const MAX_INDEX: u64 = 16 * 1024 * 1024;

/// The part of the index that is looked at before all else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The version of the format.
    pub format: u32,
    /// What is delivered.
    pub product: Product,
    /// Rises with every change of content, within product and channel.
    pub serial: u64,
}

/// The signed index of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// The version of the format.
    pub format: u32,
    /// What is delivered.
    pub product: Product,
    /// Rises with every change of content, within product and channel.
    pub serial: u64,
    /// When the content was locked.
    pub created: Timestamp,
    /// After how many days a site is warned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for_days: Option<u32>,
    /// Serials that this bundle can be applied to; empty: it is complete in itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applies_to: Vec<u64>,
    /// Blobs that are not carried and must be where the bundle is applied: content that has not changed, and older
    /// layers that newer ones lean on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Extent>,
    /// The architectures carried.
    pub arches: Vec<Arch>,
    /// The digest of the lock: the content's identity.
    pub lock: Digest,
    /// README.txt, which stands before the index.
    pub readme: Extent,
    /// What is carried, by name.
    pub artifacts: Vec<Artifact>,
    /// Every member behind the envelope, in the order of the archive.
    pub entries: Vec<Entry>,
}

/// A digest and a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Extent {
    /// The digest.
    pub digest: Digest,
    /// The size in bytes.
    pub size: u64,
}

impl Extent {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), size: bytes.len() as u64 }
    }
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The digest of its content.
    pub digest: Digest,
    /// The size of its content in bytes.
    pub size: u64,
    /// Where its content begins, in bytes from the end of the envelope.
    pub offset: u64,
    /// How it is stored; verbatim where absent.
    #[serde(default, skip_serializing_if = "Storage::is_verbatim")]
    pub storage: Storage,
}

/// How a member's content is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Storage {
    /// As it is.
    #[default]
    Verbatim,
    /// It is what a blob is made from.
    Rebuilt(Box<Rebuilt>),
}

impl Entry {
    /// The blob that this member supplies, as it is or made again; `None` for a document.
    #[must_use]
    pub fn blob(&self) -> Option<Extent> {
        match &self.storage {
            Storage::Rebuilt(how) => Some(how.blob),
            Storage::Verbatim if self.name.starts_with("blobs/") => {
                Some(Extent { digest: self.digest, size: self.size })
            }
            Storage::Verbatim => None,
        }
    }

    /// How the blob is made from this member, if it is not the blob itself.
    #[must_use]
    pub fn rebuilt(&self) -> Option<&Rebuilt> {
        match &self.storage {
            Storage::Rebuilt(how) => Some(how),
            Storage::Verbatim => None,
        }
    }

    /// What can't be said of an entry beside its place.
    fn check(&self, index: &Index) -> Result<(), String> {
        if let Some(hex) = self.name.strip_prefix("blobs/")
            && hex != format!("sha256/{}", self.digest.hex())
        {
            return Err("a blob is named after its digest".into());
        }
        let Some(how) = self.rebuilt() else {
            let pack = self.name.starts_with("packs/");
            return if pack { Err("nothing says what is made from it".into()) } else { Ok(()) };
        };
        if index.format < 2 {
            return Err("format 1 has no blobs that are rebuilt".into());
        }
        if self.name != pack_name(&how.blob.digest) {
            return Err("what a blob is made from is named after the blob".into());
        }
        match &how.leans_on {
            Some(leans) if !index.requires.contains(&leans.blob) => {
                Err(format!("it leans on {}, which is not listed as required", leans.blob.digest))
            }
            _ => how.check(self.size),
        }
    }
}

impl Storage {
    fn is_verbatim(&self) -> bool {
        *self == Self::Verbatim
    }
}

/// Something carried, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// `image`, `chart`, `file`; newer ferries may say more.
    pub kind: String,
    /// Its name, as the OCI layout lists it.
    pub name: String,
    /// The manifest or index under that name.
    pub digest: Digest,
    /// The sum of the sizes of all its blobs in bytes, shared ones included.
    pub size: u64,
    /// For images: the manifests by architecture.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub platforms: BTreeMap<String, Digest>,
    /// For files: the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
}

/// The artifacts of a lock.
pub(crate) fn artifacts(lock: &Lock) -> Vec<Artifact> {
    let mut names = derived::listed(lock).into_iter();
    let mut next = |kind: &str, size: u64| {
        let listed = names.next().expect("one listed artifact for each of the lock's");
        Artifact {
            kind: kind.to_owned(),
            name: listed.name,
            digest: listed.pin.digest,
            size: size + listed.pin.size,
            platforms: BTreeMap::new(),
            arch: None,
        }
    };
    let mut list = Vec::new();
    for image in &lock.images {
        let own = |m: &crate::lock::LockedManifest| {
            m.manifest.size + m.config.size + m.layers.iter().map(|l| l.size).sum::<u64>()
        };
        let platforms = image.manifests.iter().map(|m| (m.arch.to_string(), m.manifest.digest)).collect();
        let size = image.manifests.iter().map(own).sum();
        list.push(Artifact { platforms, ..next("image", size) });
    }
    for chart in &lock.charts {
        list.push(next("chart", chart.config.size + chart.layers.iter().map(|l| l.size).sum::<u64>()));
    }
    for file in &lock.files {
        list.push(Artifact { arch: file.arch, ..next("file", file.size) });
    }
    list
}

/// Why an index is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// Not the JSON it should be.
    #[error("bundle.json is not a valid index: {0}")]
    Malformed(String),
    /// Written by a newer ferry.
    #[error("the bundle is of format {0}, this ferry reads up to {FORMAT}")]
    Newer(u32),
    /// An entry where it cannot be.
    #[error("entry {name:?}: {why}")]
    Entry {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
}

/// How deep an index may be nested: what is unknown is skipped, but not without end.
const MAX_NESTING: usize = 32;

/// How deep JSON is nested, brackets in strings not counted.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

impl Identity {
    /// Reads only the identity.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        if nesting(bytes) > MAX_NESTING {
            return Err(IndexError::Malformed(format!("it is nested deeper than {MAX_NESTING}")));
        }
        let identity: Self = serde_json::from_slice(bytes).map_err(|e| IndexError::Malformed(e.to_string()))?;
        if identity.format > FORMAT { Err(IndexError::Newer(identity.format)) } else { Ok(identity) }
    }
}

impl Index {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec(self).expect("an index holds only strings, numbers, lists and maps with text keys");
        bytes.push(b'\n');
        bytes
    }

    /// Reads an index whose signatures have been checked, and checks that its entries lie one behind the other
    /// under names of our profile, each once.
    pub fn parse(bytes: &[u8]) -> Result<Self, IndexError> {
        Identity::parse(bytes)?;
        let index: Self = serde_json::from_slice(bytes).map_err(|e| IndexError::Malformed(e.to_string()))?;
        if index.format < 2 && !(index.requires.is_empty() && index.applies_to.is_empty()) {
            return Err(IndexError::Malformed("format 1 has no packages that need a base".into()));
        }
        let (mut names, mut blobs) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let mut expected = 0;
        for entry in &index.entries {
            let fail = |why: String| IndexError::Entry { name: entry.name.chars().take(100).collect(), why };
            if entry.name.len() > 100 || entry.size > crate::lock::MAX_MEMBER {
                return Err(fail("its name or size does not fit into a ustar header".into()));
            }
            let header = crate::archive::Header { name: entry.name.clone(), size: entry.size };
            crate::archive::Header::decode(&header.encode()).map_err(|e| fail(e.to_string()))?;
            expected += crate::archive::BLOCK;
            if entry.offset != expected {
                return Err(fail(format!("it should begin at {expected}, not {}", entry.offset)));
            }
            if !names.insert(&entry.name) {
                return Err(fail("it is listed twice".into()));
            }
            entry.check(&index).map_err(fail)?;
            if entry.blob().is_some_and(|blob| !blobs.insert(blob.digest)) {
                return Err(fail("the blob is supplied twice".into()));
            }
            expected += entry.size + crate::archive::padding(entry.size);
        }
        Ok(index)
    }

    /// The entry of this name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// The member name of a blob.
#[must_use]
pub fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The member name of what a blob is made from.
#[must_use]
pub fn pack_name(digest: &Digest) -> String {
    format!("packs/{}.zst", digest.hex())
}

/// The member that holds the envelope of the same content stored verbatim, squeezed against `lock.yaml`: whoever has
/// all blobs can make that bundle, signed as it was.
pub const VERBATIM_HEAD: &str = "verbatim-head.zst";
