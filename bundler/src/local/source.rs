//! An archive or a folder: members by name, documents within limits and by digest.

use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;

use super::archive::{Archive, Links};
use super::error::LocalError;
use super::folder::Folder;

/// Where members lie.
#[derive(Debug)]
pub(super) enum Source {
    Archive(Archive),
    Folder(Folder),
}

impl Source {
    /// A tar archive.
    pub(super) fn archive(path: &Path, links: Links) -> Result<Self, LocalError> {
        Archive::open(path, links).map(Self::Archive)
    }

    /// A folder.
    pub(super) fn folder(path: &Path) -> Result<Self, LocalError> {
        Folder::open(path).map(Self::Folder)
    }

    /// The archive's or folder's path.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Archive(archive) => archive.path(),
            Self::Folder(folder) => folder.path(),
        }
    }

    /// Where a member lies.
    pub(super) fn region(&self, name: &str) -> Result<Region, LocalError> {
        match self {
            Self::Archive(archive) => archive.region(name),
            Self::Folder(folder) => folder.region(name),
        }
    }

    /// Where a blob lies, whose size is known.
    pub(super) fn blob(&self, digest: &Digest, size: u64) -> Result<Region, LocalError> {
        let name = blob_name(digest);
        let region = self.region(&name)?;
        if region.length() == size {
            return Ok(region);
        }
        Err(LocalError::Size { path: self.path().to_owned(), name, expected: size, actual: region.length() })
    }

    /// A whole member of at most `limit` bytes.
    pub(super) fn document(&self, name: &str, limit: u64) -> Result<Vec<u8>, LocalError> {
        let region = self.region(name)?;
        if region.length() > limit {
            let (path, name, size) = (self.path().to_owned(), name.to_owned(), region.length());
            return Err(LocalError::TooLarge { path, name, size, limit });
        }
        region.read_all().map_err(|source| LocalError::Read { path: self.path().to_owned(), source })
    }

    /// A blob in memory, its size and digest checked.
    pub(super) fn blob_document(&self, digest: &Digest, size: u64, limit: u64) -> Result<Vec<u8>, LocalError> {
        self.blob(digest, size)?;
        let name = blob_name(digest);
        let bytes = self.document(&name, limit)?;
        self.expect(name, *digest, Digest::of(&bytes))?;
        Ok(bytes)
    }

    /// Whether content is what it should be.
    pub(super) fn expect(&self, name: String, expected: Digest, actual: Digest) -> Result<(), LocalError> {
        if expected == actual {
            return Ok(());
        }
        Err(LocalError::Digest { path: self.path().to_owned(), name, expected, actual })
    }
}

/// The member name of a blob in an OCI layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
