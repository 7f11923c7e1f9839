//! Where an upload is kept while it arrives: memory first, an unnamed file once it is large.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::distribution::BlobReader;

/// A blob in a file. The size is that at opening.
#[derive(Debug)]
pub struct FileBlob {
    file: File,
    size: u64,
}

impl FileBlob {
    /// Takes an open file.
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }

    /// Opens `path` for reading.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::new(File::open(path)?)
    }
}

impl BlobReader for FileBlob {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// Bytes that are still arriving.
#[derive(Debug)]
pub(crate) enum Spool {
    Memory(Vec<u8>),
    File(File),
}

impl Default for Spool {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl Spool {
    /// Appends; moves to an unnamed file in `scratch` before memory would exceed `limit` bytes.
    pub(crate) fn append(&mut self, bytes: &[u8], limit: u64, scratch: &Path) -> io::Result<()> {
        match self {
            Self::Memory(held) if (held.len() + bytes.len()) as u64 <= limit => held.extend_from_slice(bytes),
            Self::Memory(held) => {
                let mut file = unnamed_file(scratch)?;
                file.write_all(held)?;
                file.write_all(bytes)?;
                *self = Self::File(file);
            }
            Self::File(file) => file.write_all(bytes)?,
        }
        Ok(())
    }

    /// What has arrived, for reading.
    pub(crate) fn freeze(self) -> io::Result<Arc<dyn BlobReader>> {
        Ok(match self {
            Self::Memory(held) => Arc::new(Bytes::from(held)),
            Self::File(file) => Arc::new(FileBlob::new(file)?),
        })
    }
}

/// A file that nothing has to clean up: it has lost its name before anything is in it.
fn unnamed_file(scratch: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = scratch.join(format!(".ferry-spool-{}-{number}", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_upload_moves_to_a_file_without_a_name() {
        let scratch = tempfile::tempdir().unwrap();
        let mut spool = Spool::default();
        spool.append(b"0123", 8, scratch.path()).unwrap();
        assert!(matches!(spool, Spool::Memory(_)));
        spool.append(b"456789", 8, scratch.path()).unwrap();
        spool.append(b"ab", 8, scratch.path()).unwrap();
        assert!(matches!(spool, Spool::File(_)));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        let blob = spool.freeze().unwrap();
        let mut bytes = [0; 12];
        assert_eq!((blob.size(), blob.read_at(0, &mut bytes).unwrap()), (12, 12));
        assert_eq!(&bytes, b"0123456789ab");
    }
}
