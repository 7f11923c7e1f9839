//! The blobs of a local source by digest: where they lie, not what they are. Whoever reads them hashes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::lock::Origin;

use super::error::LocalError;
use super::image::{Opened, open};
use super::source::{Source, blob_name};

/// The blobs of a local source by digest.
#[derive(Debug)]
pub struct LocalBlobs(Blobs);

#[derive(Debug)]
enum Blobs {
    Docker { path: PathBuf, regions: BTreeMap<Digest, Region> },
    Layout(Source),
}

impl LocalBlobs {
    /// Opens the source, whose path is relative to `base`, and lists what it holds.
    pub fn open(origin: &Origin, base: &Path) -> Result<Self, LocalError> {
        Ok(Self(match open(origin, base)? {
            Opened::Layout(layout) => Blobs::Layout(layout.into_source()),
            Opened::Docker(archive) => {
                Blobs::Docker { path: archive.path().to_owned(), regions: archive.blobs()?.into_iter().collect() }
            }
        }))
    }

    /// Where a blob lies.
    pub fn get(&self, digest: &Digest) -> Result<Region, LocalError> {
        match &self.0 {
            Blobs::Layout(source) => source.region(&blob_name(digest)),
            Blobs::Docker { path, regions } => {
                let missing = || LocalError::Missing { path: path.clone(), name: digest.to_string() };
                regions.get(digest).cloned().ok_or_else(missing)
            }
        }
    }
}
