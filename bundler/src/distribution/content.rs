//! What can be served: the [`Content`] trait and the types that pass through it.
//!
//! All methods may block on a disk; the service calls them on blocking threads only. Names and digests that
//! reach an implementation have passed the distribution grammar.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::digest::{Hasher, READ_CHUNK};
use ferry_bundle_format::oci::Descriptor;
use ferry_bundle_format::reference::is_tag;

/// Repositories that can be read: the source side of the distribution API.
pub trait Content: Send + Sync + 'static {
    /// The manifest or index behind a tag or digest. `Ok(None)` is a 404, an error a 500.
    fn manifest(&self, repository: &str, selector: &Selector) -> io::Result<Option<StoredManifest>>;

    /// A blob of this repository. `Ok(None)` is a 404, an error a 500.
    fn blob(&self, repository: &str, digest: &Digest) -> io::Result<Option<Arc<dyn BlobReader>>>;

    /// All repositories, in any order.
    fn repositories(&self) -> Vec<String>;

    /// The tags of a repository in any order; `None` when there is no such repository.
    fn tags(&self, repository: &str) -> Option<Vec<String>>;

    /// The manifests of this repository whose `subject` is `digest`, each with its artifact type.
    fn referrers(&self, repository: &str, digest: &Digest) -> Vec<Descriptor>;
}

/// Random access to a blob of known size. Reading may block.
pub trait BlobReader: Send + Sync + 'static {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Fills the start of `buffer` with what stands at `offset`; returns how much, 0 only at or after the end
    /// or for an empty buffer. Short reads are allowed.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// All of it, for what is known to be small.
    fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        each_chunk(|offset, buffer| self.read_at(offset, buffer), |chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }

    /// The digest of all of it.
    fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::new();
        each_chunk(|offset, buffer| self.read_at(offset, buffer), |chunk| hasher.update(chunk))?;
        Ok(hasher.finish())
    }
}

fn each_chunk(read_at: impl Fn(u64, &mut [u8]) -> io::Result<usize>, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let (mut buffer, mut offset) = (vec![0; READ_CHUNK], 0);
    loop {
        let count = read_at(offset, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        take(&buffer[..count]);
        offset += count as u64;
    }
}

/// A manifest as it is stored: the bytes are served verbatim.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Served as `Content-Type`.
    pub media_type: String,
    /// Served as `Docker-Content-Digest`.
    pub digest: Digest,
    /// The document.
    pub bytes: Bytes,
}

impl StoredManifest {
    /// A manifest with the digest of its bytes.
    #[must_use]
    pub fn new(media_type: &str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes }
    }

    /// The descriptor by which an index refers to it.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest, self.bytes.len() as u64)
    }
}

impl fmt::Debug for StoredManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.media_type, self.digest, self.bytes.len())
    }
}

/// What follows `/manifests/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// A tag of the distribution grammar.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

impl Selector {
    /// Reads a tag or digest; `None` for what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            Digest::parse(text).ok().map(Self::Digest)
        } else {
            is_tag(text).then(|| Self::Tag(text.to_owned()))
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl BlobReader for Bytes {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let count = buffer.len().min(self.len() - start);
        buffer[..count].copy_from_slice(&self[start..start + count]);
        Ok(count)
    }
}
