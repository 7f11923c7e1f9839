//! Where fetched blobs go. The store is one; the archive in the making ([`crate::pack`]) is the other.

use std::path::PathBuf;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::contents::Blob;
use ferry_bundle_format::store::{Partial, Store, StoreError};

use super::FetchError;

/// A place for blobs. Its methods block; they are called on threads that may.
pub trait Target: Send + Sync {
    /// Whether this blob still has to be brought.
    fn wants(&self, digest: &Digest, blob: &Blob) -> bool;
    /// Begins or goes on with a blob. `None`: it turns out to be complete.
    fn begin(&self, digest: &Digest, size: u64) -> Result<Option<Box<dyn Sink>>, FetchError>;
    /// The folder whose free space counts.
    fn folder(&self) -> PathBuf;
    /// Bytes needed beside the blobs.
    fn overhead(&self) -> u64 {
        0
    }
    /// Bytes already set aside on disk for the blobs.
    fn reserved(&self) -> u64 {
        0
    }
}

/// One blob on its way in. What it has is hashed.
pub trait Sink: Send {
    /// How many bytes it has.
    fn length(&self) -> u64;
    /// Throws away what it has.
    fn restart(&mut self) -> Result<(), FetchError>;
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError>;
    /// What was added so far is to be found again after a kill.
    fn checkpoint(&mut self) -> Result<(), FetchError> {
        Ok(())
    }
    /// All is there: compares the digest and makes it last. A wrong blob is thrown away.
    fn publish(self: Box<Self>) -> Result<(), FetchError>;
}

/// The store as a target.
#[derive(Debug)]
pub struct StoreTarget(pub Store);

impl Target for StoreTarget {
    fn wants(&self, digest: &Digest, blob: &Blob) -> bool {
        self.0.size(digest) != Some(blob.size)
    }

    fn begin(&self, digest: &Digest, size: u64) -> Result<Option<Box<dyn Sink>>, FetchError> {
        let mut partial = self.0.partial(digest)?;
        if partial.length() > size {
            partial.restart()?;
        }
        Ok(Some(Box::new(StoreSink { digest: *digest, partial })))
    }

    fn folder(&self) -> PathBuf {
        self.0.root().to_owned()
    }
}

struct StoreSink {
    digest: Digest,
    partial: Partial,
}

impl Sink for StoreSink {
    fn length(&self) -> u64 {
        self.partial.length()
    }
    fn restart(&mut self) -> Result<(), FetchError> {
        Ok(self.partial.restart()?)
    }
    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        Ok(self.partial.append(bytes)?)
    }
    fn publish(self: Box<Self>) -> Result<(), FetchError> {
        self.partial.publish(&self.digest).map_err(|error| match error {
            StoreError::Damaged { expected, actual, .. } => {
                FetchError::Digest { digest: expected, actual, from: String::new() }
            }
            other => other.into(),
        })
    }
}
