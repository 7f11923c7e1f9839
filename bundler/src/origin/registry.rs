//! The registry of the origin: repositories, manifests, tags and blobs in memory.
//!
//! The methods here are for the program that owns it and trust it: `put_*` store what they are given, lies
//! included, because a hostile registry is what tests need. What arrives over HTTP goes through `manifests`
//! and `uploads`, which check as the distribution project's registry does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::{Descriptor, Document};

use super::uploads::Session;
use crate::distribution::{BlobReader, Content, Selector, StoredManifest};

/// How the registry differs from the usual.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Takes indexes whose manifests it does not hold, as some registries do.
    pub sparse_indexes: bool,
    /// Mounts blobs across repositories; if not, a mount request starts an ordinary upload.
    pub mounts: bool,
    /// Answers uploads with absolute `Location` URLs, as the distribution project does, not with paths.
    pub absolute_locations: bool,
    /// Uploads above this many bytes are kept in a file.
    pub memory_limit: u64,
    /// Where those files are made; they have no names.
    pub scratch: PathBuf,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            sparse_indexes: false,
            mounts: true,
            absolute_locations: false,
            memory_limit: 8 * 1024 * 1024,
            scratch: std::env::temp_dir(),
        }
    }
}

/// A writable registry that lives as long as this value.
#[derive(Default)]
pub struct MemoryRegistry {
    pub(super) options: RegistryOptions,
    state: RwLock<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) blobs: HashMap<Digest, Arc<dyn BlobReader>>,
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) sessions: HashMap<String, (String, Arc<Mutex<Session>>)>,
    pub(super) sessions_started: u64,
}

#[derive(Default)]
pub(super) struct Repository {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) manifests: BTreeMap<Digest, StoredManifest>,
    pub(super) tags: BTreeMap<String, Digest>,
}

impl State {
    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    pub(super) fn holds_blob(&self, repository: &str, digest: &Digest) -> bool {
        self.repositories.get(repository).is_some_and(|found| found.blobs.contains(digest))
    }
}

impl std::fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.read();
        write!(f, "MemoryRegistry({} repositories, {} blobs)", state.repositories.len(), state.blobs.len())
    }
}

impl MemoryRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self { options, state: RwLock::default() }
    }

    /// Stores a blob; returns its digest.
    pub fn put_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.put_blob_as(repository, digest, Arc::new(bytes));
        digest
    }

    /// Stores a blob of any size under the digest it is read to have.
    pub fn put_reader(&self, repository: &str, reader: Arc<dyn BlobReader>) -> io::Result<Digest> {
        let digest = reader.digest()?;
        self.put_blob_as(repository, digest, reader);
        Ok(digest)
    }

    /// Stores a blob under a digest that is not checked: it may be a lie.
    pub fn put_blob_as(&self, repository: &str, digest: Digest, reader: Arc<dyn BlobReader>) {
        let mut state = self.write();
        state.repository(repository).blobs.insert(digest);
        state.blobs.insert(digest, reader);
    }

    /// Stores a manifest, unchecked; its `digest` may be a lie.
    pub fn put_manifest(&self, repository: &str, manifest: StoredManifest) {
        self.write().repository(repository).manifests.insert(manifest.digest, manifest);
    }

    /// Points a tag at a digest, whether or not it is there.
    pub fn put_tag(&self, repository: &str, tag: &str, digest: Digest) {
        self.write().repository(repository).tags.insert(tag.to_owned(), digest);
    }

    /// Forgets a blob everywhere: what a damaged registry looks like.
    pub fn remove_blob(&self, digest: &Digest) {
        let mut state = self.write();
        state.blobs.remove(digest);
        for repository in state.repositories.values_mut() {
            repository.blobs.remove(digest);
        }
    }

    /// All bytes of a blob.
    pub fn blob_bytes(&self, repository: &str, digest: &Digest) -> io::Result<Option<Vec<u8>>> {
        self.blob(repository, digest)?.map(|reader| reader.read_all()).transpose()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content for MemoryRegistry {
    fn manifest(&self, repository: &str, selector: &Selector) -> io::Result<Option<StoredManifest>> {
        let state = self.read();
        Ok(state.repositories.get(repository).and_then(|found| {
            let digest = match selector {
                Selector::Tag(tag) => found.tags.get(tag)?,
                Selector::Digest(digest) => digest,
            };
            found.manifests.get(digest).cloned()
        }))
    }

    fn blob(&self, repository: &str, digest: &Digest) -> io::Result<Option<Arc<dyn BlobReader>>> {
        let state = self.read();
        Ok(state.holds_blob(repository, digest).then(|| state.blobs.get(digest).cloned()).flatten())
    }

    fn repositories(&self) -> Vec<String> {
        self.read().repositories.keys().cloned().collect()
    }

    fn tags(&self, repository: &str) -> Option<Vec<String>> {
        self.read().repositories.get(repository).map(|found| found.tags.keys().cloned().collect())
    }

    fn referrers(&self, repository: &str, digest: &Digest) -> Vec<Descriptor> {
        let state = self.read();
        let manifests = state.repositories.get(repository).into_iter().flat_map(|found| found.manifests.values());
        manifests
            .filter_map(|stored| {
                let Ok(Document::Manifest(manifest)) = Document::parse(&stored.bytes, Some(&stored.media_type)) else {
                    return None;
                };
                (manifest.subject?.digest == *digest).then(|| Descriptor {
                    artifact_type: Some(manifest.artifact_type.unwrap_or(manifest.config.media_type)),
                    annotations: manifest.annotations,
                    ..stored.descriptor()
                })
            })
            .collect()
    }
}
