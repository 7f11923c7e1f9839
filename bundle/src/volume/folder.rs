//! A folder of volumes: split into, and never half there.
//!
//! ```text
//! DIR/UNFINISHED          stands there from before the first byte until all is synced and has its name
//! DIR/<n>.volume.partial  a volume in the making
//! DIR/[batch-01/]v001.bin a volume: renamed when its blocks and heads are written and synced
//! DIR/SHA256SUMS, …       the lists, when every volume has been read back
//! ```
//! The same file through the same gate gives the same folder, so a run that was ended is simply run again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{VolumeError, io};
use super::gate::Gate;
use super::head::{Head, head_length};
use super::set::Set;
use super::shape::length_of;
use super::split::{Sink, Tables, split};
use crate::digest::{Digest, digest_reader};
use crate::hold::{Held, no_links};
use crate::room;
use crate::store::{TEMPORARY, create_beside, sync_folder_of, write_atomically};

/// Says that a folder is not finished.
const MARK: &str = "UNFINISHED";
/// Held by whoever writes to it.
const LOCK: &str = ".lock";

/// A volume in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number, from 1.
    pub number: u32,
    /// Whether it carries parity.
    pub parity: bool,
    /// Its path below the folder.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its digest as a file.
    pub sha256: Digest,
    /// Which batch it goes with, from 1.
    pub batch: u64,
    /// On which day of the quota, from 1.
    pub day: u64,
}

/// A folder that volumes are written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    held: Held,
}

/// Writes blocks to their places, before the heads are known. Files are opened for each block: a set may have thousands.
struct Writer<'a> {
    folder: &'a Folder,
    first: u64,
    block: u64,
}

impl Sink for Writer<'_> {
    fn block(&mut self, volume: u32, stripe: u32, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.partial(volume);
        let mut open = OpenOptions::new();
        let file =
            open.create(true).truncate(stripe == 0).write(true).mode(0o644).custom_flags(no_links()).open(path)?;
        file.write_all_at(bytes, self.first + u64::from(stripe) * self.block)
    }
}

impl Folder {
    /// Claims a folder that is new, empty, or was left unfinished by an earlier run for the same `work` (one line).
    pub fn claim(path: &Path, work: &str) -> Result<Self, VolumeError> {
        fs::create_dir_all(path).map_err(io("make", path))?;
        let (lock, mark) = (path.join(LOCK), path.join(MARK));
        let text = format!(
            "ferry is writing volumes here, or was ended before it was done: carry nothing away yet.\n{work}\n"
        );
        let check = || {
            let mut entries = fs::read_dir(path).map_err(io("list", path))?.flatten();
            let empty = entries.all(|entry| is_ours(&entry.file_name().to_string_lossy()));
            if empty || fs::read(&mark).ok().as_deref() == Some(text.as_bytes()) {
                return Ok(());
            }
            Err(VolumeError::Exists { path: path.to_owned() })
        };
        // Before anything is made in it, and again when nobody else can change it.
        check()?;
        let held = Held::take(&lock).map_err(io("lock", &lock))?;
        let held = held.ok_or_else(|| VolumeError::Busy { path: path.to_owned() })?;
        if let Err(error) = check() {
            held.remove().map_err(io("remove", &lock))?;
            return Err(error);
        }
        write_atomically(&mark, text.as_bytes()).map_err(io("write", &mark))?;
        Ok(Self { path: path.to_owned(), held })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn partial(&self, volume: u32) -> PathBuf {
        self.path.join(format!("{volume}.volume.partial"))
    }

    /// That there is room for all volumes. What an ended run has left of them is written over.
    fn check_room(&self, set: &Set) -> Result<(), VolumeError> {
        let there = (0..set.volumes()).map(|volume| room::taken_by(&self.partial(volume))).sum();
        let needed = length_of(set).saturating_mul(u64::from(set.volumes()));
        Ok(room::check(&self.path, needed.saturating_sub(there))?)
    }

    /// Leaves the folder as it was claimed, if nothing has been written: another gate may be tried in it. What can't be
    /// removed stays, and only means that.
    fn release(&self) {
        let mut entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        if entries.all(|entry| [MARK, LOCK].iter().any(|name| entry.file_name() == *name)) {
            fs::remove_file(self.path.join(MARK)).ok();
            self.held.remove().ok();
        }
    }

    /// Splits `file` into the folder, and reads each volume back. `passed` hears how many bytes were read.
    pub fn split(
        &self,
        file: &Path,
        set: Set,
        gate: &Gate,
        passed: &dyn Fn(u64),
    ) -> Result<(Tables, Vec<Listed>), VolumeError> {
        if let Err(full) = self.check_room(&set) {
            self.release();
            return Err(full);
        }
        let mut source = File::open(file).map_err(io("read", file))?;
        let head = head_length(set.to_bytes().len(), set.volumes(), set.stripes(), 1);
        let mut writer = Writer { folder: self, first: head, block: u64::from(set.block_size) };
        let tables = split(set, &mut source, &mut writer, passed)
            .map_err(|source| VolumeError::Split { path: file.to_owned(), source })?;
        let volumes = tables.plan.set.volumes();
        for index in 0..volumes {
            let path = self.partial(index);
            let file = OpenOptions::new().write(true).open(&path).map_err(io("open", &path))?;
            write_heads(&file, &tables.whole_head(index)).map_err(io("write", &path))?;
            file.sync_all().map_err(io("sync", &path))?;
        }
        let places = places(&tables, gate);
        let mut listed = Vec::new();
        for (index, (name, batch, day)) in (0..volumes).zip(places) {
            let (from, to) = (self.partial(index), self.path.join(&name));
            let folder = to.parent().expect("a name below the folder");
            fs::create_dir_all(folder).map_err(io("make", folder))?;
            fs::rename(&from, &to).map_err(io("rename", &from))?;
            let read = File::open(&to).map_err(io("read", &to))?;
            let (sha256, bytes) = digest_reader(read).map_err(io("read", &to))?;
            let parity = index >= tables.plan.set.data;
            listed.push(Listed { number: index + 1, parity, path: name, bytes, sha256, batch, day });
        }
        for one in &listed {
            let path = self.path.join(&one.path);
            sync_folder_of(&path).map_err(io("sync the folder of", &path))?;
        }
        Ok((tables, listed))
    }

    /// Writes a document beside the volumes.
    pub fn document(&self, name: &str, bytes: &[u8]) -> Result<(), VolumeError> {
        let path = self.path.join(name);
        write_atomically(&path, bytes).map_err(io("write", &path))
    }

    /// Ends the work: what an ended run left goes, then the mark.
    pub fn finish(self) -> Result<(), VolumeError> {
        for entry in fs::read_dir(&self.path).map_err(io("list", &self.path))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "partial" || end == "tmp") {
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        let mark = self.path.join(MARK);
        fs::remove_file(&mark).map_err(io("remove", &mark))?;
        // The lock goes last: until then nobody else takes the folder for one that he may write to.
        self.held.remove().map_err(io("remove the lock of", &self.path))?;
        sync_folder_of(&mark).map_err(io("sync", &self.path))
    }
}

/// Whether a file may stand in a folder that counts as empty: a run that was ended may have left it.
fn is_ours(name: &str) -> bool {
    name == LOCK || (name.strip_prefix('.').is_some_and(|name| name.starts_with(MARK)) && name.ends_with(TEMPORARY))
}

/// Writes a volume's heads and end mark around its blocks.
pub(super) fn write_heads(file: &File, head: &Head) -> io::Result<()> {
    let bytes = head.encode();
    let blocks = u64::from(head.blocks()) * u64::from(head.plan.set.block_size);
    let end = bytes.len() as u64 + blocks;
    file.write_all_at(&bytes, 0)?;
    file.write_all_at(&bytes, end)?;
    file.write_all_at(&head.end_mark(), end + bytes.len() as u64)?;
    file.set_len(end + bytes.len() as u64 + head.end_mark().len() as u64)
}

/// Name, batch and day of each volume.
fn places(tables: &Tables, gate: &Gate) -> Vec<(String, u64, u64)> {
    let set = &tables.plan.set;
    let (volumes, length) = (set.volumes(), length_of(set));
    let batch_of = gate.batch_of(length);
    let batches = u64::from(volumes).div_ceil(batch_of);
    let per_day = gate.bytes_per_day.map_or(u64::MAX, |bytes| (bytes / length).max(1));
    let width = batches.to_string().len().max(2);
    let place = |index: u32| {
        let name = gate.name_of(index + 1, volumes, &tables.plan.short());
        let batch = u64::from(index) / batch_of + 1;
        let day = u64::from(index) / per_day + 1;
        let name = if gate.has_batches() && batches > 1 { format!("batch-{batch:0width$}/{name}") } else { name };
        (name, batch, day)
    };
    (0..volumes).map(place).collect()
}

/// What stands in a finished folder: whether it holds all of this set's volumes, as its own list says.
pub fn is_finished(path: &Path) -> bool {
    path.join("SHA256SUMS").is_file() && !path.join(MARK).exists()
}

/// Creates a file under a name of its own, writes through `fill`, syncs, and gives it its name.
pub(super) fn create(path: &Path, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<(), VolumeError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io("make", folder))?;
    }
    let (mut file, temporary) = create_beside(path, 0o644).map_err(io("create a file beside", path))?;
    let written = fill(&file).and_then(|()| file.flush()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error that led here is the one to tell.
        drop(fs::remove_file(&temporary));
    }
    written.map_err(io("write", path))?;
    sync_folder_of(path).map_err(io("sync the folder of", path))
}
