//! What has been made compact, kept beside the store: a rerun, or the next bundle, finds it.
//!
//! ```text
//! STORE/compact/<parameters>/<hex>[-<hex of the older blob>].json     the verdict: a digest, then one line of JSON
//!                            …same name….zst                          the frames, if it is compact
//!                            partial                                  what is being written
//! ```
//! The verdict is written last, so a kill leaves nothing that is believed. Parameters that change what comes out are in
//! the folder's name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ferry_recompress::EncoderId;
use serde::{Deserialize, Serialize};

use super::blob::StoredBlob;
use super::frames::LEVEL;
use super::make::{Limits, Made, MakeError, Older, make};
use super::rebuilt::Rebuilt;
use crate::archive::Region;
use crate::digest::Digest;
use crate::index::Extent;
use crate::store::{sync_folder_of, write_atomically};

/// Why the cache fails.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
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
    /// Making it failed.
    #[error(transparent)]
    Make(#[from] MakeError),
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CacheError + 'a {
    move |source| CacheError::Io { doing, path: path.to_owned(), source }
}

/// A folder of blobs made compact.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    limits: Limits,
    writers: AtomicU64,
}

/// A blob made compact, in the cache.
#[derive(Debug, Clone)]
pub struct Kept {
    /// What it is.
    pub made: Made,
    /// Where its frames are.
    pub path: PathBuf,
}

/// The verdict's line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    /// The frames; none: it stays as it is.
    stored: Option<Extent>,
    how: Option<Rebuilt>,
}

impl Cache {
    /// The cache of the store at `root`.
    pub fn open(root: &Path, limits: Limits) -> Result<Self, CacheError> {
        // More levels find more recipes, so their number counts.
        let levels = EncoderId::levels_in_all();
        let parameters = format!("v3-zstd-{LEVEL}-levels-{levels}-{}-{}", limits.bytes, limits.percent);
        let folder = root.join("compact").join(parameters);
        fs::create_dir_all(&folder).map_err(io_error("make folder", &folder))?;
        Ok(Self { folder, limits, writers: AtomicU64::new(0) })
    }

    /// The blob made compact, from an earlier run or now. `None`: it stays as it is. The store must be held.
    pub fn get(&self, blob: Extent, source: &StoredBlob, older: Option<&Older>) -> Result<Option<Kept>, CacheError> {
        let mut name = blob.digest.hex();
        if let Some(older) = older {
            name = format!("{name}-{}", older.blob.digest.hex());
        }
        let (verdict, frames) = (self.folder.join(format!("{name}.json")), self.folder.join(format!("{name}.zst")));
        match read(&verdict, &frames, blob) {
            Known::Packed(made) => return Ok(Some(Kept { made: *made, path: frames })),
            Known::AsItIs => return Ok(None),
            Known::Nothing => {}
        }
        let partial = self.folder.join(format!("partial-{}", self.writers.fetch_add(1, Ordering::Relaxed)));
        // What a run that was ended has left. The store is held, so nobody writes to it.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("remove", &partial)(error)),
            _ => {}
        }
        let open = OpenOptions::new().create_new(true).read(true).write(true).open(&partial);
        let file = open.map_err(io_error("create", &partial))?;
        let made = make(blob, source, older, self.limits, &file)?;
        if made.is_some() {
            file.sync_all().map_err(io_error("sync", &partial))?;
            fs::rename(&partial, &frames).map_err(io_error("rename", &partial))?;
            sync_folder_of(&frames).map_err(io_error("sync the folder of", &frames))?;
        } else {
            fs::remove_file(&partial).map_err(io_error("remove", &partial))?;
        }
        let line = Verdict { stored: made.as_ref().map(|m| m.stored), how: made.as_ref().map(|m| m.how.clone()) };
        let json = serde_json::to_string(&line).expect("strings, numbers, lists and maps with text keys");
        let text = format!("{}\n{json}\n", Digest::of(json.as_bytes()).hex());
        write_atomically(&verdict, text.as_bytes()).map_err(io_error("write", &verdict))?;
        Ok(made.map(|made| Kept { made, path: frames }))
    }
}

/// What an earlier run found.
enum Known {
    /// Nothing, or something about it is not as it was left.
    Nothing,
    /// The blob stays as it is.
    AsItIs,
    /// It is packed.
    Packed(Box<Made>),
}

fn read(verdict: &Path, frames: &Path, blob: Extent) -> Known {
    let text = fs::read_to_string(verdict).unwrap_or_default();
    let lines = text.strip_suffix('\n').and_then(|text| text.split_once('\n'));
    let Some((_, json)) = lines.filter(|(sum, json)| Digest::of(json.as_bytes()).hex() == *sum) else {
        return Known::Nothing;
    };
    match serde_json::from_str(json) {
        Ok(Verdict { stored: Some(stored), how: Some(how) }) => {
            let there = fs::metadata(frames).is_ok_and(|metadata| metadata.len() == stored.size);
            let fits = there && how.blob == blob && how.check(stored.size).is_ok();
            if fits { Known::Packed(Box::new(Made { stored, how })) } else { Known::Nothing }
        }
        Ok(_) => Known::AsItIs,
        Err(_) => Known::Nothing,
    }
}

impl Kept {
    /// Its frames, not yet checked: whoever copies them hashes them.
    pub fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// The blob that they make; `older` is the one that it leans on.
    pub fn blob(&self, older: Option<StoredBlob>) -> io::Result<StoredBlob> {
        let region = Region::new(Arc::new(self.open()?), 0, self.made.stored.size);
        Ok(super::Rebuilder::new(region, self.made.how.clone(), older)?.into())
    }
}
