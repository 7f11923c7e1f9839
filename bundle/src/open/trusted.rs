//! A bundle whose index is believed: its members can be read, each checked against the index as it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Base;
use super::error::OpenError;
use crate::archive::{Layout, Medium, Region};
use crate::compact::{Rebuilder, StoredBlob};
use crate::digest::Digest;
use crate::index::{Entry, Extent, Index, Storage, blob_name};
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
    by_blob: BTreeMap<Digest, usize>,
    bases: Vec<Arc<dyn Base>>,
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
        let blob = |(n, entry): (usize, &Entry)| Some((entry.blob()?.digest, n));
        let by_blob = index.entries.iter().enumerate().filter_map(blob).collect();
        Self { path, file, length, index, layout, base, assurance, id, by_name, by_blob, bases: Vec::new() }
    }

    /// The same bundle, with places where the blobs are that it leaves out. Asked in this order.
    #[must_use]
    pub fn on(mut self, bases: impl IntoIterator<Item = Arc<dyn Base>>) -> Self {
        self.bases.extend(bases);
        self
    }

    /// Whether it is a package that needs a base.
    #[must_use]
    pub fn needs_base(&self) -> bool {
        !self.index.requires.is_empty()
    }

    /// What it needs and none of its bases has. To be looked at before anything is changed.
    pub fn missing(&self) -> Result<Vec<Extent>, OpenError> {
        let mut missing = Vec::new();
        for extent in &self.index.requires {
            if self.in_bases(extent)?.is_none() {
                missing.push(*extent);
            }
        }
        Ok(missing)
    }

    /// That nothing is missing.
    pub fn check_bases(&self) -> Result<(), OpenError> {
        let missing = self.missing()?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(OpenError::Base { applies_to: self.index.applies_to.clone(), needed: self.index.requires.len(), missing })
    }

    fn in_bases(&self, extent: &Extent) -> Result<Option<StoredBlob>, OpenError> {
        for base in &self.bases {
            if let Some(blob) = base.find(extent)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
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

    /// The entry that a blob is in, as it is or as what it is made from.
    #[must_use]
    pub fn blob_entry(&self, digest: &Digest) -> Option<&Entry> {
        self.by_blob.get(digest).map(|&n| &self.index.entries[n])
    }

    /// Whether the blob can be read: it is carried, or a base is there that should have it.
    #[must_use]
    pub fn has_blob(&self, digest: &Digest) -> bool {
        let required = || self.index.requires.iter().any(|extent| extent.digest == *digest);
        self.by_blob.contains_key(digest) || (!self.bases.is_empty() && required())
    }

    /// The entry of a member.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|&n| &self.index.entries[n])
    }

    /// A blob, however it is stored, or from a base. See [`StoredBlob`] for what has been compared when it is read.
    pub fn blob(&self, digest: &Digest) -> Result<StoredBlob, OpenError> {
        let missing = || OpenError::Missing(blob_name(digest));
        let Some(entry) = self.blob_entry(digest) else {
            let required = self.index.requires.iter().find(|extent| extent.digest == *digest);
            return self.in_bases(required.ok_or_else(missing)?)?.ok_or_else(missing);
        };
        match &entry.storage {
            Storage::Verbatim => Ok(self.region(entry).into()),
            Storage::Rebuilt(how) => {
                let older = how.leans_on.as_ref().map(|leans| self.in_bases(&leans.blob)).transpose()?.flatten();
                let rebuilder = Rebuilder::new(self.region(entry), (**how).clone(), older);
                let rebuilder = rebuilder.map_err(|source| OpenError::Rebuild { name: blob_name(digest), source })?;
                Ok(rebuilder.into())
            }
        }
    }

    /// A blob that is carried and leans on `older`, which is not in a base.
    pub fn blob_leaning(&self, digest: &Digest, older: StoredBlob) -> Result<StoredBlob, OpenError> {
        let entry = self.blob_entry(digest).ok_or_else(|| OpenError::Missing(blob_name(digest)))?;
        let Some(how) = entry.rebuilt() else { return self.blob(digest) };
        let rebuilder = Rebuilder::new(self.region(entry), how.clone(), Some(older));
        Ok(rebuilder.map_err(|source| OpenError::Rebuild { name: blob_name(digest), source })?.into())
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
        let blob = self.blob(digest)?;
        if blob.size() > limit {
            let name = blob_name(digest);
            return Err(OpenError::Missing(format!("{name} of at most {limit} bytes (it has {})", blob.size())));
        }
        let bytes = blob.read_all().map_err(|source| OpenError::Read { path: self.path.clone(), source })?;
        if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(self.changed_blob(digest)) }
    }

    /// Reads a blob to its end and compares its digest.
    pub fn check_blob(&self, digest: &Digest) -> Result<(), OpenError> {
        let read = self.blob(digest)?.digest();
        let actual = read.map_err(|source| OpenError::Rebuild { name: blob_name(digest), source })?;
        if actual == *digest { Ok(()) } else { Err(self.changed_blob(digest)) }
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

    fn changed_blob(&self, digest: &Digest) -> OpenError {
        match self.blob_entry(digest) {
            Some(entry) => self.changed(entry),
            None => OpenError::Content { name: blob_name(digest), from: 0, to: 0 },
        }
    }

    fn changed(&self, entry: &Entry) -> OpenError {
        let from = self.base + entry.offset;
        OpenError::Content { name: entry.name.clone(), from, to: from + entry.size }
    }
}
