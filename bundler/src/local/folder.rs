//! An OCI layout in a folder: its files are opened without following links.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::archive::Region;
use rustix::fs::OFlags;

use super::error::LocalError;

/// A folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        let metadata = fs::metadata(path).map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
        if metadata.is_dir() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(LocalError::Kind { path: path.to_owned(), found: "no folder", wanted: "a folder" })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file below it. `name` is `/`-separated and made by us: fixed words and hex digits.
    pub(super) fn region(&self, name: &str) -> Result<Region, LocalError> {
        let path = self.path.join(name);
        for above in name.match_indices('/').map(|(at, _)| self.path.join(&name[..at])) {
            match fs::symlink_metadata(&above) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    let why = "a folder is expected there, not a link or a file";
                    return Err(LocalError::Member { path: self.path.clone(), name: name.to_owned(), why });
                }
                Err(error) => return Err(self.failed(name, above, error)),
            }
        }
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            let why = "a regular file is expected there, not a link or anything else";
            return Err(LocalError::Member { path: self.path.clone(), name: name.to_owned(), why });
        }
        let file = match open_file(&path, false) {
            Err(LocalError::Read { path, source }) => return Err(self.failed(name, path, source)),
            other => other?,
        };
        let length = file.metadata().map_err(|source| LocalError::Read { path, source })?.len();
        Ok(Region::new(Arc::new(file), 0, length))
    }

    fn failed(&self, name: &str, path: PathBuf, source: std::io::Error) -> LocalError {
        if source.kind() == std::io::ErrorKind::NotFound {
            LocalError::Missing { path: self.path.clone(), name: name.to_owned() }
        } else {
            LocalError::Read { path, source }
        }
    }
}

/// Opens a regular file; does not wait for the other end of a fifo.
pub(super) fn open_file(path: &Path, follow: bool) -> Result<File, LocalError> {
    let read = |source| LocalError::Read { path: path.to_owned(), source };
    let flags = if follow { OFlags::NONBLOCK } else { OFlags::NONBLOCK | OFlags::NOFOLLOW };
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    if metadata.is_file() {
        return Ok(file);
    }
    let found = if metadata.is_dir() { "a folder" } else { "a device or pipe" };
    Err(LocalError::Kind { path: path.to_owned(), found, wanted: "a file" })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_in_a_layout_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let layout = root.path().join("layout");
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        fs::write(root.path().join("secret"), "secret").unwrap();
        fs::write(layout.join("blobs/sha256/aa"), "blob").unwrap();
        symlink("../../../secret", layout.join("blobs/sha256/bb")).unwrap();
        symlink("blobs", layout.join("other")).unwrap();
        let folder = Folder::open(&layout).unwrap();
        assert_eq!(folder.region("blobs/sha256/aa").unwrap().read_all().unwrap(), b"blob");
        for name in ["blobs/sha256/bb", "other/sha256/aa", "blobs"] {
            assert!(matches!(folder.region(name), Err(LocalError::Member { .. })), "{name}");
        }
        assert!(matches!(folder.region("blobs/sha256/cc"), Err(LocalError::Missing { .. })));
        assert!(matches!(open_file(&layout, true), Err(LocalError::Kind { .. })));
        assert!(Folder::open(&root.path().join("secret")).is_err());
    }
}
