//! Where the bed keeps things: one folder under the user's cache, with everything that is expensive to make, by the
//! hash of its recipe, and the state of the labs.
//!
//! ```text
//! ~/.cache/ferry-vm-tests/       or $FERRY_VM_TESTS
//!   tree-HASH/                   the Debian tree that hosts boot from
//!   components/NAME-HASH/        programs built from their Go modules
//!   images/NAME-HASH/            packed images
//!   labs/LAB/…                   hosts that are up
//! ```

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use ferry_bundle_format::Digest;

use crate::error::Error;

/// The folder of the bed.
#[derive(Debug, Clone)]
pub struct Place {
    root: PathBuf,
}

/// Held for as long as nobody else may work on something.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Place {
    /// `$FERRY_VM_TESTS`, else `ferry-vm-tests` in the user's cache folder.
    pub fn of_user() -> Result<Self, Error> {
        let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = from("FERRY_VM_TESTS")
            .or_else(|| from("XDG_CACHE_HOME").map(|cache| cache.join("ferry-vm-tests")))
            .or_else(|| from("HOME").map(|home| home.join(".cache/ferry-vm-tests")))
            .ok_or_else(|| Error::CannotRun("neither FERRY_VM_TESTS nor HOME says where to keep things".into()))?;
        Ok(Self { root })
    }

    /// In this folder.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path below it.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }

    /// What `make` fills, made once: it gets a folder of its own, which gets its name when it is complete.
    /// Returns the folder and whether it was there already.
    pub fn made(&self, name: &str, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(PathBuf, bool), Error> {
        let path = self.path(name);
        if path.is_dir() {
            return Ok((path, true));
        }
        let _held = self.lock(&format!("{name}.lock"), true)?;
        if path.is_dir() {
            return Ok((path, true));
        }
        let partial = self.path(&format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::file("remove", &partial))?;
        }
        fs::create_dir_all(&partial).map_err(Error::file("create", &partial))?;
        make(&partial)?;
        fs::rename(&partial, &path).map_err(Error::file("rename", &partial))?;
        Ok((path, false))
    }

    /// Takes the lock of that name; waits for it, or refuses at once when somebody has it.
    pub fn lock(&self, name: &str, wait: bool) -> Result<Lock, Error> {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        }
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::file("open", &path))?;
        if wait {
            file.lock().map_err(Error::file("lock", &path))?;
        } else if let Err(refused) = file.try_lock() {
            return Err(match refused {
                TryLockError::WouldBlock => {
                    Error::Asked(format!("another run holds {}; wait for it or take another --lab", path.display()))
                }
                TryLockError::Error(source) => Error::File { doing: "lock", path, source },
            });
        }
        Ok(Lock { _file: file })
    }
}

/// A short hash over the parts of a recipe: what is made from other parts is something else.
#[must_use]
pub fn recipe_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let text: String = parts.into_iter().map(|part| format!("{}:{part}\n", part.len())).collect();
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_made_once_and_only_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path());
        let failed = place.made("a", |partial| {
            fs::write(partial.join("half"), "").unwrap();
            Err(Error::Asked("no".into()))
        });
        assert!(failed.is_err() && !place.path("a").exists());
        let make = |partial: &Path| fs::write(partial.join("whole"), "").map_err(Error::file("write", partial));
        let (path, there) = place.made("a", make).unwrap();
        assert!(!there && path.join("whole").exists() && !path.join("half").exists());
        assert!(place.made("a", |_| panic!("made twice")).unwrap().1);
        assert_ne!(recipe_hash(["ab", "c"]), recipe_hash(["a", "bc"]));
    }

    #[test]
    fn a_lab_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path());
        let held = place.lock("labs/x/lock", false).unwrap();
        assert!(place.lock("labs/x/lock", false).is_err());
        drop(held);
        assert!(place.lock("labs/x/lock", false).is_ok());
    }
}
