//! A bundle whose index is believed: its members can be read, each checked against the index as it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::OpenError;
use crate::archive::{Layout, Medium, Region};
use crate::digest::{Digest, digest_reader};
use crate::index::{Entry, Index, blob_name};
use crate::lock::Lock;
use crate::trust::Assurance;

/// A bundle whose index has been believed on the grounds that [`TrustedBundle::assurance`] tells.
#[derive(Debug)]
pub struct TrustedBundle {
    path: PathBuf,
    file: Medium,
    length: u64,
    index: Index,
    layout: Layout,
    base: u64,
    assurance: Assurance,
    id: Digest,
    by_name: BTreeMap<String, usize>,
}

impl TrustedBundle {
    #[expect(clippy::too_many_arguments, reason = "called once, by the steps that produced each of these")]
    pub(super) fn new(
        path: PathBuf,
        file: Medium,
        length: u64,
        index: Index,
        layout: Layout,
        base: u64,
        assurance: Assurance,
        id: Digest,
    ) -> Self {
        let by_name = index.entries.iter().enumerate().map(|(n, entry)| (entry.name.clone(), n)).collect();
        Self { path, file, length, index, layout, base, assurance, id, by_name }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The signed index.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// On what grounds the index is believed.
    #[must_use]
    pub fn assurance(&self) -> &Assurance {
        &self.assurance
    }

    /// The digest of `bundle.json`: the bundle's identity.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// The entry of a blob.
    #[must_use]
    pub fn blob_entry(&self, digest: &Digest) -> Option<&Entry> {
        self.entry(&blob_name(digest))
    }

    /// The entry of a member.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&n| &self.index.entries[n])
    }

    /// The bytes of a blob, not yet checked: whoever reads them all compares the digest, or the receiver does.
    pub fn blob(&self, digest: &Digest) -> Result<Region, OpenError> {
        let entry = self.blob_entry(digest).ok_or_else(|| OpenError::Missing(blob_name(digest)))?;
        Ok(self.region(entry))
    }

    /// A whole member in memory, checked against the index. For documents of at most `limit` bytes.
    pub fn document(&self, name: &str, limit: u64) -> Result<Vec<u8>, OpenError> {
        let entry = self.entry(name).ok_or_else(|| OpenError::Missing(name.to_owned()))?;
        if entry.size > limit {
            return Err(OpenError::Missing(format!("{name} of at most {limit} bytes (it has {})", entry.size)));
        }
        let bytes =
            self.region(entry).read_all().map_err(|source| OpenError::Read { path: self.path.clone(), source })?;
        if Digest::of(&bytes) == entry.digest { Ok(bytes) } else { Err(self.changed(entry)) }
    }

    /// A blob in memory, checked. For documents of at most `limit` bytes.
    pub fn blob_document(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, OpenError> {
        self.document(&blob_name(digest), limit)
    }

    /// Reads a blob to its end and compares its digest.
    pub fn check_blob(&self, digest: &Digest) -> Result<(), OpenError> {
        let entry = self.blob_entry(digest).ok_or_else(|| OpenError::Missing(blob_name(digest)))?;
        let read = digest_reader(self.region(entry).reader());
        let (actual, _) = read.map_err(|source| OpenError::Read { path: self.path.clone(), source })?;
        if actual == entry.digest { Ok(()) } else { Err(self.changed(entry)) }
    }

    /// The lock that travelled with the bundle.
    pub fn lock(&self) -> Result<Lock, OpenError> {
        let bytes = self.document("lock.yaml", crate::yaml::MAX_BYTES)?;
        let name = self.path.join("lock.yaml");
        let text = String::from_utf8(bytes).map_err(|_| OpenError::Disagree("lock.yaml is not UTF-8".into()))?;
        Lock::parse(&name, &text).map_err(OpenError::Lock)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn file(&self) -> &Medium {
        &self.file
    }

    fn region(&self, entry: &Entry) -> Region {
        Region::new(self.file.clone(), self.base + entry.offset, entry.size)
    }

    fn changed(&self, entry: &Entry) -> OpenError {
        let from = self.base + entry.offset;
        OpenError::Content { name: entry.name.clone(), from, to: from + entry.size }
    }
}
