//! The archive as a fetch target: each blob goes straight to its place, so that the disk is needed once and
//! nothing is read twice.
//!
//! ```text
//! NAME.partial           the archive, full length, head and documents in place, blobs as far as they came
//! NAME.partial.journal   line 1: digest of the head. Then one line for each chunk: <hex> <bytes so far>
//! ```
//! The journal says how far a blob came; it is not believed: what is there is read and hashed before the
//! transfer goes on. Its last line may be torn.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::assemble::{Place, SignedBundle};
use ferry_bundle_format::digest::{Hasher, READ_CHUNK};
use ferry_bundle_format::hold::no_links;
use ferry_bundle_format::lock::contents::Blob;
use ferry_bundle_format::room;

use super::{Output, PackError};
use crate::fetch::{FetchError, Sink, Target};

/// An archive in the making.
pub struct Direct {
    output: Output,
    file: Arc<File>,
    places: BTreeMap<Digest, Place>,
    /// How far each blob came in an earlier run, by the journal.
    came: BTreeMap<Digest, u64>,
    journal: Arc<Mutex<File>>,
    length: u64,
    allocated: u64,
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> PackError + 'a {
    move |source| PackError::Io { doing, path: path.to_owned(), source }
}

impl Direct {
    /// Begins the archive of `bundle` at `path`, or goes on with what an earlier run left of the same bundle.
    pub fn begin(bundle: &SignedBundle, path: &Path, force: bool) -> Result<Self, PackError> {
        let output = Output::claim(path, force)?;
        let head = bundle.head_digest().to_string();
        let (length, places) = (bundle.length(), bundle.places());
        let came = read_journal(output.journal(), output.temporary(), &head, length);
        let temporary = output.temporary().to_owned();
        let file = if came.is_some() {
            let mut open = OpenOptions::new();
            let open = open.read(true).write(true).custom_flags(no_links()).open(&temporary);
            open.map_err(io_error("open", &temporary))?
        } else {
            // Before the file is made: nothing is left where there is no room. What an earlier run left is written over.
            output.check_space(length.saturating_sub(room::taken_by(&temporary)))?;
            output.create()?
        };
        let allocated = file.metadata().map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata) * 512);
        // The head and the documents are small: they are written every time, whatever was there.
        file.set_len(length).map_err(io_error("size", &temporary))?;
        for (offset, bytes) in bundle.skeleton() {
            file.write_all_at(&bytes, offset).map_err(io_error("write", &temporary))?;
        }
        let open = OpenOptions::new().create(true).append(true).custom_flags(no_links()).open(output.journal());
        let mut journal = open.map_err(io_error("open", output.journal()))?;
        if came.is_none() {
            journal.set_len(0).map_err(io_error("empty", output.journal()))?;
        }
        // Also after a torn line: what follows stands on a line of its own.
        let line = if came.is_none() { format!("{head}\n") } else { "\n".to_owned() };
        journal.write_all(line.as_bytes()).map_err(io_error("write", output.journal()))?;
        let came = came.unwrap_or_default();
        Ok(Self {
            output,
            file: Arc::new(file),
            places,
            came,
            journal: Arc::new(Mutex::new(journal)),
            length,
            allocated,
        })
    }

    /// All blobs are there and verified: syncs and gives the archive its name.
    pub fn publish(&self) -> Result<(), PackError> {
        self.output.publish(&self.file)
    }
}

/// What an earlier run left, if it was going to be the same archive.
fn read_journal(journal: &Path, temporary: &Path, head: &str, length: u64) -> Option<BTreeMap<Digest, u64>> {
    let text = String::from_utf8(std::fs::read(journal).ok()?).ok()?;
    if std::fs::metadata(temporary).ok()?.len() != length {
        return None;
    }
    // Only whole lines count.
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    if lines.next()? != head {
        return None;
    }
    let mut came = BTreeMap::new();
    for line in lines {
        if let Some((hex, bytes)) = line.split_once(' ')
            && let (Ok(digest), Ok(bytes)) = (Digest::from_hex(hex), bytes.parse())
        {
            came.insert(digest, bytes);
        }
    }
    Some(came)
}

impl Target for Direct {
    fn wants(&self, digest: &Digest, _: &Blob) -> bool {
        self.places.contains_key(digest)
    }

    fn begin(&self, digest: &Digest, size: u64) -> Result<Option<Box<dyn Sink>>, FetchError> {
        let Some(&place) = self.places.get(digest) else { return Ok(None) };
        let mut sink = DirectSink {
            digest: *digest,
            place,
            file: self.file.clone(),
            journal: self.journal.clone(),
            path: self.output.temporary().to_owned(),
            hasher: Hasher::new(),
            noted: 0,
        };
        let came = self.came.get(digest).copied().unwrap_or(0).min(size);
        sink.read_back(came)?;
        if came == size && sink.hasher.clone().finish() == *digest {
            return Ok(None);
        }
        Ok(Some(Box::new(sink)))
    }

    fn folder(&self) -> PathBuf {
        self.output.folder()
    }

    fn overhead(&self) -> u64 {
        self.length.saturating_sub(self.places.values().map(|place| place.size).sum())
    }

    fn reserved(&self) -> u64 {
        self.allocated
    }
}

struct DirectSink {
    digest: Digest,
    place: Place,
    file: Arc<File>,
    journal: Arc<Mutex<File>>,
    path: PathBuf,
    hasher: Hasher,
    /// How far the journal says it came.
    noted: u64,
}

impl DirectSink {
    fn error(&self, doing: &'static str) -> impl FnOnce(std::io::Error) -> FetchError + use<> {
        let path = self.path.clone();
        move |source| FetchError::Target { doing, path, source }
    }

    /// Hashes the first `length` bytes that an earlier run wrote.
    fn read_back(&mut self, length: u64) -> Result<(), FetchError> {
        let region = Region::new(self.file.clone(), self.place.offset, length);
        let mut buffer = vec![0; READ_CHUNK];
        while self.hasher.length() < length {
            let n = region.read_at(self.hasher.length(), &mut buffer).map_err(self.error("read"))?;
            self.hasher.update(&buffer[..n]);
        }
        self.noted = length;
        Ok(())
    }

    fn note(&mut self) -> Result<(), FetchError> {
        let length = self.hasher.length();
        let line = format!("{} {length}\n", self.digest.hex());
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.write_all(line.as_bytes()).map_err(self.error("write the journal of"))?;
        self.noted = length;
        Ok(())
    }
}

impl Sink for DirectSink {
    fn length(&self) -> u64 {
        self.hasher.length()
    }

    fn restart(&mut self) -> Result<(), FetchError> {
        self.hasher = Hasher::new();
        self.note()
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        if self.hasher.length() + bytes.len() as u64 > self.place.size {
            let actual = self.hasher.clone().finish();
            return Err(FetchError::Digest { digest: self.digest, actual, from: String::new() });
        }
        let offset = self.place.offset + self.hasher.length();
        self.file.write_all_at(bytes, offset).map_err(self.error("write"))?;
        self.hasher.update(bytes);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), FetchError> {
        if self.hasher.length() > self.noted { self.note() } else { Ok(()) }
    }

    fn publish(mut self: Box<Self>) -> Result<(), FetchError> {
        let actual = self.hasher.clone().finish();
        if actual != self.digest || self.hasher.length() != self.place.size {
            self.restart()?;
            return Err(FetchError::Digest { digest: self.digest, actual, from: String::new() });
        }
        self.note()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_bundle_format::assemble::UnsignedBundle;
    use ferry_bundle_format::fake::Fake;

    #[test]
    fn nothing_is_left_on_a_disk_that_is_too_small() {
        let mut lock = Fake::new(1, 50).lock;
        let file = lock.files[0].clone();
        // 31 TiB of files.
        for n in 0..4000_u32 {
            let mut huge = file.clone();
            huge.digest = Digest::of(&n.to_le_bytes());
            huge.size = (8 << 30) - 1;
            huge.name = serde_json::from_value(format!("huge-{n}").into()).unwrap();
            lock.files.push(huge);
        }
        let bundle = UnsignedBundle::of(&lock).unwrap().leave_unsigned_insecurely();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.ferry");
        let there = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        let refused = Direct::begin(&bundle, &path, false).map(|_| ());
        assert!(matches!(refused, Err(PackError::Room(_))), "{refused:?}");
        assert_eq!(there(folder.path()), 0);

        // What an earlier run of another lock has left stays as it is.
        let partial = folder.path().join("site.ferry.partial");
        std::fs::write(&partial, "what was brought so far").unwrap();
        assert!(Direct::begin(&bundle, &path, false).is_err());
        assert_eq!(std::fs::read(&partial).unwrap(), b"what was brought so far");
    }

    #[test]
    fn two_makers_of_one_file_never_hold_it_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.ferry");
        let first = Output::claim(&path, false).unwrap();
        assert!(matches!(Output::claim(&path, false), Err(PackError::Busy { .. })));
        // Who waited for the first one's lock file holds a file without a name when the first one ends.
        let waiting = OpenOptions::new().write(true).open(folder.path().join("site.ferry.lock")).unwrap();
        drop(first);
        waiting.try_lock().unwrap();
        let second = Output::claim(&path, false).unwrap();
        assert!(matches!(Output::claim(&path, false), Err(PackError::Busy { .. })));
        drop(second);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
