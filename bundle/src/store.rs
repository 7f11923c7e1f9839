//! The store: a folder of blobs by digest, where `fetch` puts and `pack` takes.
//!
//! ```text
//! STORE/blobs/sha256/<hex>     complete, verified, synced
//! STORE/partial/<hex>          the beginning of a blob; its length is how far it got
//! STORE/lock                   held by whoever writes
//! ```
//! A blob appears under its name only whole and verified, by rename. A partial file is never trusted: whoever
//! goes on from it reads and hashes it first.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher, READ_CHUNK};
use crate::hold::{Held, no_links};

/// A folder of blobs by digest.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// Why the store fails.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else writes.
    #[error("the store {} is in use by another ferry-bundle", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// A blob that is not what its name says.
    #[error("{} is damaged: it should be {expected} and is {actual}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// By its name.
        expected: Digest,
        /// As read.
        actual: Digest,
    },
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io { doing, path: path.to_owned(), source }
}

/// Held while a store is written to; let go when dropped, or when the process ends.
#[derive(Debug)]
pub struct StoreLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] Held);

impl Store {
    /// Opens the store at `root`, making its folders if there are none.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned() };
        for path in [store.root.join("blobs/sha256"), store.root.join("partial")] {
            fs::create_dir_all(&path).map_err(io_error("make folder", &path))?;
        }
        Ok(store)
    }

    /// A store to read from, without making anything: its medium may be read-only.
    #[must_use]
    pub fn open_existing(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Takes the store for writing.
    pub fn lock(&self) -> Result<StoreLock, StoreError> {
        let path = self.root.join("lock");
        match Held::take(&path).map_err(io_error("lock", &path))? {
            Some(held) => Ok(StoreLock(held)),
            None => Err(StoreError::Busy { path: self.root.clone() }),
        }
    }

    /// Where a complete blob stands.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(digest.hex())
    }

    /// The size of a complete blob, if it is here.
    #[must_use]
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    /// Opens a complete blob. Not hashed: who reads it hashes it.
    pub fn reader(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.path(digest))
    }

    /// Puts `bytes` there, whole.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(bytes);
        if self.size(&digest) != Some(bytes.len() as u64) {
            let mut partial = self.partial(&digest)?;
            partial.restart()?;
            partial.append(bytes)?;
            partial.publish(&digest)?;
        }
        Ok(digest)
    }

    /// Opens a blob's partial file, reading and hashing what is there.
    pub fn partial(&self, digest: &Digest) -> Result<Partial, StoreError> {
        let path = self.partial_path(digest);
        let fail = io_error("open", &path);
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(false).read(true).write(true).custom_flags(no_links());
        let mut file = open.open(&path).map_err(fail)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; READ_CHUNK];
        loop {
            match file.read(&mut buffer).map_err(io_error("read", &path))? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        Ok(Partial { target: self.path(digest), path, file, hasher })
    }
}

/// A blob on its way into the store.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    target: PathBuf,
    file: File,
    hasher: Hasher,
}

impl Partial {
    /// How many bytes are there.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.hasher.length()
    }

    /// Throws away what is there.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).map_err(io_error("empty", &self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(io_error("rewind", &self.path))?;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Adds `bytes` at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(io_error("write", &self.path))?;
        self.hasher.update(bytes);
        Ok(())
    }

    /// Checks the digest, syncs, and gives the blob its name. A wrong one is removed.
    pub fn publish(self, expected: &Digest) -> Result<(), StoreError> {
        let actual = self.hasher.finish();
        if actual != *expected {
            fs::remove_file(&self.path).map_err(io_error("remove", &self.path))?;
            return Err(StoreError::Damaged { path: self.path, expected: *expected, actual });
        }
        self.file.sync_all().map_err(io_error("sync", &self.path))?;
        fs::rename(&self.path, &self.target).map_err(io_error("rename", &self.path))?;
        sync_folder_of(&self.target).map_err(io_error("sync the folder of", &self.target))
    }
}

/// Makes a rename in the folder of `path` last.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A new file beside `path`, under a name that nobody else has: `.NAME.<random>.tmp`. No link is followed, no file opened
/// that is there already. The file gets `mode`, as far as the umask allows.
pub fn create_beside(path: &Path, mode: u32) -> io::Result<(File, PathBuf)> {
    loop {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{:016x}{TEMPORARY}", u64::from_le_bytes(random)));
        let temporary = path.with_file_name(name);
        match OpenOptions::new().create_new(true).read(true).write(true).mode(mode).open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// How the names of [`create_beside`] end.
pub const TEMPORARY: &str = ".tmp";

/// Writes a small file whole or not at all: a temporary name in the same folder, sync, rename, sync. A file that is there
/// keeps its mode; a new one gets what the umask allows. A link that is there is replaced, not followed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let there = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    let mode = there.map(|metadata| metadata.permissions().mode() & 0o777);
    // Never wider than it will be in the end.
    let (mut file, temporary) = create_beside(path, mode.unwrap_or(0o666))?;
    let written = (|| {
        if let Some(mode) = mode {
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The error that led here is the one to tell.
        drop(fs::remove_file(&temporary));
    }
    written?;
    sync_folder_of(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_appears_only_whole_and_right() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = Digest::of(b"hello world");
        let mut partial = store.partial(&digest).unwrap();
        partial.append(b"hello ").unwrap();
        drop(partial);
        assert_eq!(store.size(&digest), None);

        let mut partial = store.partial(&digest).unwrap();
        assert_eq!(partial.length(), 6);
        partial.append(b"world").unwrap();
        partial.publish(&digest).unwrap();
        assert_eq!(store.size(&digest), Some(11));
        assert!(!store.partial_path(&digest).exists());

        let mut partial = store.partial(&digest).unwrap();
        partial.append(b"other").unwrap();
        assert!(matches!(partial.publish(&digest), Err(StoreError::Damaged { .. })));
        assert!(!store.partial_path(&digest).exists() && store.size(&digest) == Some(11));
    }

    #[test]
    fn one_writer_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let held = store.lock().unwrap();
        assert!(matches!(store.lock(), Err(StoreError::Busy { .. })));
        drop(held);
        store.lock().unwrap();
    }

    #[test]
    fn a_small_file_is_written_whole_through_no_link_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("seen.json"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        // The name that used to be taken for the temporary file, and the file itself, lead elsewhere.
        std::os::unix::fs::symlink(&victim, folder.path().join("seen.json.tmp")).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        write_atomically(&path, b"one").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_atomically(&folder.path().join("none/x"), b"x").is_err());
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write_atomically(&folder.path().join("taken"), b"x").is_err());
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["seen.json", "seen.json.tmp", "taken", "victim"], "nothing is left");
    }

    #[test]
    fn writers_of_one_small_file_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::thread::scope(|scope| {
            for n in 0..4_u8 {
                let path = &path;
                scope.spawn(move || (0..25).for_each(|_| write_atomically(path, &vec![n; 20_000]).unwrap()));
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() == 20_000 && bytes.iter().all(|byte| *byte == bytes[0]), "one writer's file, whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_place_of_a_partial_blob_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (digest, victim) = (Digest::of(b"x"), folder.path().join("victim"));
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, store.partial_path(&digest)).unwrap();
        assert!(store.put(b"x").is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    }
}
