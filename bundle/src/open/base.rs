//! What a package is applied to: somewhere that has the blobs it leaves out, or that its own lean on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{OpenError, Silent, TrustedBundle, UnverifiedBundle};
use crate::archive::Region;
use crate::compact::StoredBlob;
use crate::index::Extent;
use crate::store::Store;
use crate::trust::TrustPolicy;

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

impl TrustedBundle {
    /// The same bundle on what stands at `paths`: bundles that it applies to, trusted by the same keys, or folders of stores.
    pub fn on_files(self, paths: &[PathBuf], policy: &TrustPolicy) -> Result<Self, OpenError> {
        let mut bases: Vec<Arc<dyn Base>> = Vec::new();
        for path in paths {
            if path.join("blobs/sha256").is_dir() {
                bases.push(Arc::new(Store::open_existing(path)));
                continue;
            }
            // An older bundle is what a base is: what the site has seen since does not count against it.
            let policy = TrustPolicy { seen: Vec::new(), ..policy.clone() };
            let base = UnverifiedBundle::open(path)?.trust(&policy, &Silent)?;
            self.fits(&base, path)?;
            bases.push(Arc::new(base));
        }
        Ok(self.on(bases))
    }

    /// Whether it names the base's serial.
    fn fits(&self, base: &Self, path: &Path) -> Result<(), OpenError> {
        let (package, base) = (self.index(), base.index());
        let same = (&package.product.name, &package.product.channel) == (&base.product.name, &base.product.channel);
        if package.applies_to.is_empty() || (same && package.applies_to.contains(&base.serial)) {
            return Ok(());
        }
        let serials: Vec<String> = package.applies_to.iter().map(u64::to_string).collect();
        Err(OpenError::Unfit(format!(
            "{} is {} ({}) serial {}, but the package applies to {} ({}) serial {}",
            path.display(),
            base.product.name,
            base.product.channel,
            base.serial,
            package.product.name,
            package.product.channel,
            serials.join(" or ")
        )))
    }
}
