//! The file in the making: its temporary name beside the final one, held by one process, renamed at the end.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::assemble::SignedBundle;
use ferry_bundle_format::hold::{Held, no_links};
use ferry_bundle_format::room;
use ferry_bundle_format::store::sync_folder_of;

use super::PackError;

/// Whether `path` already is this bundle: an earlier run was ended between the last two of its steps, or there is nothing
/// new. What that run left beside it is cleared away.
pub fn is_there(bundle: &SignedBundle, path: &Path) -> Result<bool, PackError> {
    let same = match File::open(path) {
        Ok(file) => bundle.is_at_head_of(&file).map_err(error("read", path))?,
        Err(_) => false,
    };
    if same {
        // Only while nobody else holds it.
        let output = Output::claim(path, true)?;
        remove(&output.temporary)?;
        remove(&output.journal)?;
    }
    Ok(same)
}

/// A claim on a file to be made.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    temporary: PathBuf,
    journal: PathBuf,
    held: Held,
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

fn error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> PackError + 'a {
    move |source| PackError::Io { doing, path: path.to_owned(), source }
}

impl Output {
    /// Claims `path`. Refuses if something stands there already and `force` is not set, or if another process is
    /// making the same file.
    pub fn claim(path: &Path, force: bool) -> Result<Self, PackError> {
        if path.file_name().is_none() {
            return Err(PackError::Exists { path: path.to_owned(), what: "a folder" });
        }
        match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => {
                return Err(PackError::Exists { path: path.to_owned(), what: "a folder" });
            }
            Ok(_) if !force => return Err(PackError::Exists { path: path.to_owned(), what: "a file" }),
            _ => {}
        }
        let lock = with_suffix(path, ".lock");
        let held = Held::take(&lock).map_err(error("lock", &lock))?;
        let held = held.ok_or_else(|| PackError::Busy { path: path.to_owned() })?;
        let (temporary, journal) = (with_suffix(path, ".partial"), with_suffix(path, ".partial.journal"));
        Ok(Self { path: path.to_owned(), temporary, journal, held })
    }

    /// The folder it will stand in.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
    }

    pub(crate) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn journal(&self) -> &Path {
        &self.journal
    }

    /// Fails before the first byte if there is no room for `needed` bytes.
    pub(super) fn check_space(&self, needed: u64) -> Result<(), PackError> {
        Ok(room::check(&self.folder(), needed)?)
    }

    /// The temporary file, empty.
    pub(crate) fn create(&self) -> Result<File, PackError> {
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(true).read(true).write(true).mode(0o644).custom_flags(no_links());
        open.open(&self.temporary).map_err(error("create", &self.temporary))
    }

    /// Syncs, gives the file its name, and leaves nothing else behind.
    pub(crate) fn publish(&self, file: &File) -> Result<(), PackError> {
        file.sync_all().map_err(error("sync", &self.temporary))?;
        std::fs::rename(&self.temporary, &self.path).map_err(error("rename", &self.temporary))?;
        sync_folder_of(&self.path).map_err(error("sync the folder of", &self.path))?;
        remove(&self.journal)
    }

    /// Removes the temporary file and its journal.
    pub(crate) fn discard(&self) {
        // Best effort: the error that led here is the one to tell.
        let (_, _) = (remove(&self.temporary), remove(&self.journal));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A leftover would do no harm.
        let _ = self.held.remove();
    }
}

fn remove(path: &Path) -> Result<(), PackError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(PackError::Io { doing: "remove", path: path.to_owned(), source: e })
        }
        _ => Ok(()),
    }
}
