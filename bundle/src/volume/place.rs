//! The place of a file that is received: its temporary name, what is kept of earlier rounds, and who holds it.
//!
//! ```text
//! FILE                      appears by rename, whole and compared
//! FILE.partial              what is joined so far; compared before it is used
//! FILE.receiving/volume-…   good blocks of earlier rounds, as volumes like any others; believed no more than those
//! FILE.receiving/lock       held by whoever receives
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::{VolumeError, io};
use super::gather::Assembly;
use super::head::{Head, Run, head_length, neighbours_of, volume_length};
use super::join::{JoinError, join};
use crate::digest::digest_reader;
use crate::hold::{Held, no_links};
use crate::room;
use crate::store::sync_folder_of;

/// The lock file's name.
const LOCK: &str = "lock";

/// A claim on a file that is to be received.
#[derive(Debug)]
pub struct Place {
    output: PathBuf,
    kept: PathBuf,
    held: Held,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

impl Place {
    /// Claims `output`.
    pub fn claim(output: &Path) -> Result<Self, VolumeError> {
        if output.file_name().is_none() || output.is_dir() {
            return Err(VolumeError::Exists { path: output.to_owned() });
        }
        let kept = beside(output, ".receiving");
        let lock = kept.join(LOCK);
        let held = loop {
            fs::create_dir_all(&kept).map_err(io("make", &kept))?;
            match Held::take(&lock) {
                Ok(held) => break held,
                // Another receiver has just ended and removed the folder.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(io("lock", &lock)(error)),
            }
        };
        let held = held.ok_or_else(|| VolumeError::Busy { path: output.to_owned() })?;
        Ok(Self { output: output.to_owned(), kept, held })
    }

    /// Where blocks of earlier rounds are.
    #[must_use]
    pub fn kept(&self) -> &Path {
        &self.kept
    }

    /// Whether the output already is the file of this set. Something else under its name is an error, unless `force`.
    pub fn is_there(&self, assembly: &Assembly, force: bool) -> Result<bool, VolumeError> {
        let set = &assembly.plan.set;
        let metadata = match self.output.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io("look at", &self.output)(error)),
        };
        let same = metadata.is_file() && metadata.len() == set.length && {
            let file = File::open(&self.output).map_err(io("read", &self.output))?;
            digest_reader(file).map_err(io("read", &self.output))?.0 == set.sha256
        };
        if same || force { Ok(same) } else { Err(VolumeError::Exists { path: self.output.clone() }) }
    }

    /// Joins the file under its temporary name and publishes it. Returns how many blocks were repaired.
    pub fn join(&self, assembly: &Assembly, passed: &dyn Fn(u64)) -> Result<u64, VolumeError> {
        let partial = beside(&self.output, ".partial");
        // What an earlier run has joined is written over.
        let needed = assembly.plan.set.length.saturating_sub(room::taken_by(&partial));
        room::check(room::folder_of(&self.output), needed)?;
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(false).read(true).write(true).mode(0o644).custom_flags(no_links());
        let file = open.open(&partial);
        let file = file.map_err(io("open", &partial))?;
        let mut there = Vec::new();
        let repaired = join(assembly, |at, piece| {
            there.resize(piece.len(), 0);
            // What an earlier run has written is compared instead of written again.
            if file.read_exact_at(&mut there, at).is_err() || there != piece {
                file.write_all_at(piece, at)?;
            }
            passed(piece.len() as u64);
            Ok(())
        });
        let repaired = repaired.map_err(|source| {
            if matches!(source, JoinError::Wrong { .. }) {
                // Nothing of it can be of use; the error that led here is the one to tell.
                drop(fs::remove_file(&partial));
            }
            match source {
                JoinError::Write(source) => VolumeError::Io { doing: "write", path: partial.clone(), source },
                source => VolumeError::Join { name: assembly.plan.set.name.clone(), source },
            }
        })?;
        file.set_len(assembly.plan.set.length).map_err(io("shorten", &partial))?;
        file.sync_all().map_err(io("sync", &partial))?;
        fs::rename(&partial, &self.output).map_err(io("rename", &partial))?;
        sync_folder_of(&self.output).map_err(io("sync the folder of", &self.output))?;
        Ok(repaired)
    }

    /// Keeps every good block that is not kept yet, so that media can be taken out. Returns how many bytes were added.
    pub fn keep(&self, assembly: &Assembly) -> Result<u64, VolumeError> {
        let set = &assembly.plan.set;
        let new = Self::unkept(assembly);
        let needed = new.values().map(|stripes| stripes.len() as u64 * u64::from(set.block_size)).sum();
        room::check(&self.kept, needed)?;
        let (mut added, mut block) = (0, vec![0; set.block()]);
        for (index, stripes) in new {
            let path = self.kept.join(format!("volume-{}-{index:04}", assembly.plan.short()));
            let file = Self::volume(&path, assembly, index)?;
            let first = head_length(assembly.plan.bytes.len(), set.volumes(), set.stripes(), 1);
            for stripe in stripes {
                if assembly.read(index, stripe, &mut block) {
                    let at = first + u64::from(stripe) * u64::from(set.block_size);
                    file.write_all_at(&block, at).map_err(io("write", &path))?;
                    added += u64::from(set.block_size);
                }
            }
            file.sync_all().map_err(io("sync", &path))?;
        }
        sync_folder_of(&self.kept.join("lock")).map_err(io("sync", &self.kept))?;
        Ok(added)
    }

    /// The good blocks that are not kept yet, by volume.
    fn unkept(assembly: &Assembly) -> BTreeMap<u32, Vec<u32>> {
        let set = &assembly.plan.set;
        let mut all = BTreeMap::new();
        for index in 0..set.volumes() {
            let is_kept = |stripe| {
                let mut holders = assembly.holders[index as usize].iter();
                holders.any(|holder| holder.carrier.is_kept() && holder.holding.has(stripe))
            };
            let new: Vec<u32> =
                (0..set.stripes()).filter(|&stripe| assembly.has(index, stripe) && !is_kept(stripe)).collect();
            if !new.is_empty() {
                all.insert(index, new);
            }
        }
        all
    }

    /// A volume's file with heads and no blocks, or as it is. Where a table is not known there is no head: the volume is
    /// then found by its blocks, as it was now.
    fn volume(path: &Path, assembly: &Assembly, index: u32) -> Result<File, VolumeError> {
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(false).read(true).write(true).mode(0o644).custom_flags(no_links());
        let file = open.open(path);
        let file = file.map_err(io("open", path))?;
        let (plan, set) = (&assembly.plan, &assembly.plan.set);
        let length = volume_length(plan.bytes.len(), set.volumes(), set.stripes(), set.block_size);
        file.set_len(length).map_err(io("make room in", path))?;
        let table = |volume: u32| Some((volume, assembly.tables[volume as usize].as_ref()?.to_vec()));
        let neighbours: Option<Vec<_>> = neighbours_of(index, set.volumes()).map(table).collect();
        if let (Some((_, table)), Some(neighbours)) = (table(index), neighbours) {
            let runs = vec![Run { start: 0, count: set.stripes() }];
            let head = Head { plan: plan.clone(), index, runs, table, neighbours };
            let (bytes, mark) = (head.encode(), head.end_mark());
            let end = length - (bytes.len() + mark.len()) as u64;
            for (bytes, at) in [(&bytes[..], 0), (&bytes, end), (&mark, length - mark.len() as u64)] {
                file.write_all_at(bytes, at).map_err(io("write", path))?;
            }
        }
        Ok(file)
    }

    /// Removes what was kept for the file, which is published now.
    pub fn clear(self) -> Result<(), VolumeError> {
        let partial = beside(&self.output, ".partial");
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &partial)(error)),
            _ => {}
        }
        for entry in fs::read_dir(&self.kept).map_err(io("list", &self.kept))?.flatten() {
            if entry.file_name() != LOCK {
                fs::remove_file(entry.path()).map_err(io("remove", &entry.path()))?;
            }
        }
        self.leave();
        Ok(())
    }

    /// Lets go of the place; the folder goes if nothing is kept in it.
    pub fn release(self) {
        let empty = fs::read_dir(&self.kept)
            .is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK)));
        if empty {
            self.leave();
        }
    }

    /// Removes the lock, and the folder unless the next receiver is in it already. A leftover does no harm.
    fn leave(self) {
        drop(self.held.remove());
        drop(fs::remove_dir(&self.kept));
    }
}
