//! Holding a place with a lock file: one process at a time, also when lock files are removed at the end of the work.
//!
//! ```text
//! open ─► lock ─► is this file still the one of that name? ─yes─► Held
//!   ▲                └──no, it was removed meanwhile──┘
//! ```
//! A process that opened the file before it was removed would otherwise hold a file without a name, while the next one
//! makes a new file and holds that. [`Held::remove`] is therefore the only way to remove a lock file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// How often a lock file may be removed by others while this process takes it.
const ATTEMPTS: u32 = 1000;

/// A lock that this process holds. It ends when this is dropped, or when the process ends. The file stays, unless
/// [`Held::remove`] is called.
#[derive(Debug)]
pub struct Held {
    file: File,
    path: PathBuf,
}

impl Held {
    /// Takes the lock file at `path`, and makes it if it is not there. `None`: another process holds it.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let file =
                OpenOptions::new().create(true).truncate(false).write(true).custom_flags(no_links()).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if is_at(&file, path)? {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
        Ok(None)
    }

    /// Removes the file while it is held. Who waits for it notices that it has lost its name.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    /// Whether the file still has its name.
    pub fn is_there(&self) -> io::Result<bool> {
        is_at(&self.file, &self.path)
    }
}

/// Whether the open file is the one that stands at `path`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((open.dev(), open.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The flag with which a link in place of the file is refused, for [`OpenOptionsExt::custom_flags`].
#[must_use]
pub fn no_links() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn who_opened_a_lock_file_that_was_removed_does_not_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let first = Held::take(&path).unwrap().unwrap();
        // The second opens the file, and waits; the first removes it and ends; the third makes a new one.
        let second = OpenOptions::new().write(true).open(&path).unwrap();
        first.remove().unwrap();
        drop(first);
        let third = Held::take(&path).unwrap().unwrap();
        second.try_lock().unwrap();
        assert!(!is_at(&second, &path).unwrap(), "the lock of a file without a name counts for nothing");
        assert!(third.is_there().unwrap());
        assert!(Held::take(&path).unwrap().is_none(), "the third holds it");
    }

    #[test]
    fn never_two_holders_though_each_removes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let (inside, taken) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while taken.load(Ordering::Relaxed) < 400 {
                        let Some(held) = Held::take(&path).unwrap() else { continue };
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        taken.fetch_add(1, Ordering::Relaxed);
                        held.remove().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn a_link_in_place_of_the_lock_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("x.lock"), folder.path().join("other"));
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(Held::take(&path).is_err() && !target.exists());
    }
}
