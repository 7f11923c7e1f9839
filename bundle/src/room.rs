//! Whether a file system has room for what is about to be written: asked before the first byte, so that nobody waits an hour for
//! a disk to be full. It is a look, not a promise: others write too.

use std::path::{Path, PathBuf};

use crate::documents::human_size;

/// There is not enough room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} has {} free and {} are needed: {} ({} bytes) are missing",
    path.display(), human_size(*free), human_size(*needed), human_size(self.missing()), self.missing()
)]
pub struct NoRoom {
    /// The folder.
    pub path: PathBuf,
    /// Bytes needed.
    pub needed: u64,
    /// Bytes free, for users who are not root.
    pub free: u64,
}

impl NoRoom {
    /// How many bytes are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.needed.saturating_sub(self.free)
    }
}

/// Bytes free in the file system of `folder`, for users who are not root. None where the system does not say.
#[must_use]
pub fn free_in(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// That `folder` has room for `needed` more bytes. A system that does not say is believed to have it.
pub fn check(folder: &Path, needed: u64) -> Result<(), NoRoom> {
    match free_in(folder) {
        Some(free) if free < needed => Err(NoRoom { path: folder.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

/// The folder that a file stands in.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file takes on its disk already, in bytes: a hole takes nothing. 0 if it is not there.
#[must_use]
pub fn taken_by(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    file.symlink_metadata().map_or(0, |metadata| metadata.blocks() * 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_bytes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check(folder.path(), 1), Ok(()));
        let refused = check(folder.path(), u64::MAX).unwrap_err();
        assert_eq!(refused.missing(), u64::MAX - refused.free);
        assert!(refused.to_string().contains(&format!("({} bytes) are missing", refused.missing())), "{refused}");
        assert_eq!(check(&folder.path().join("nowhere"), u64::MAX), Ok(()));
        assert_eq!(folder_of(Path::new("a.ferry")), Path::new("."));
    }

    #[test]
    fn a_hole_takes_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
        assert!(taken_by(&path) < 1 << 20 && taken_by(&folder.path().join("none")) == 0);
    }
}
