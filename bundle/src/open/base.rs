//! What a package is applied to: somewhere that has the blobs it leaves out, or that its own lean on.

use std::sync::Arc;

use super::{OpenError, TrustedBundle};
use crate::archive::Region;
use crate::compact::StoredBlob;
use crate::index::Extent;
use crate::store::Store;

/// Somewhere that has blobs: another bundle, a store.
pub trait Base: std::fmt::Debug + Send + Sync {
    /// The blob, if it is there with this size. Its digest is compared by whoever reads it.
    fn find(&self, blob: &Extent) -> Result<Option<StoredBlob>, OpenError>;
}

impl Base for TrustedBundle {
    fn find(&self, blob: &Extent) -> Result<Option<StoredBlob>, OpenError> {
        let there = self.blob_entry(&blob.digest).and_then(crate::index::Entry::blob);
        if there == Some(*blob) { self.blob(&blob.digest).map(Some) } else { Ok(None) }
    }
}

impl Base for Store {
    fn find(&self, blob: &Extent) -> Result<Option<StoredBlob>, OpenError> {
        if self.size(&blob.digest) != Some(blob.size) {
            return Ok(None);
        }
        let fail = |source| OpenError::Read { path: self.path(&blob.digest), source };
        let file = self.reader(&blob.digest).map_err(fail)?;
        Ok(Some(Region::new(Arc::new(file), 0, blob.size).into()))
    }
}
