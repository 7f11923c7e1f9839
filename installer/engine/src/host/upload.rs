//! A file on its way to a host: where its bytes come from, what they must be, where and how they are to lie.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::compact::StoredBlob;

/// Bytes that can be read from any offset, more than once: an upload that broke goes on.
pub trait Source: Send + Sync {
    /// How many there are.
    fn length(&self) -> u64;
    /// A reader that begins at `offset`.
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct Bytes(pub Arc<Vec<u8>>);

/// A stretch of a file.
#[derive(Debug, Clone)]
pub struct FileRange(pub Region);

/// A blob of a bundle, however it is stored.
#[derive(Debug, Clone)]
pub struct BundleBlob(pub StoredBlob);

impl Source for BundleBlob {
    fn length(&self) -> u64 {
        self.0.size()
    }
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        self.0.reader_at(offset)
    }
}

impl Source for Bytes {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut cursor = io::Cursor::new(SharedBytes(self.0.clone()));
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}

struct SharedBytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Source for FileRange {
    fn length(&self) -> u64 {
        self.0.length()
    }
    fn open_at(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.0.reader_at(offset)))
    }
}

/// A file that is to be brought to a host.
#[derive(Clone)]
pub struct Upload {
    /// Where its bytes come from.
    pub source: Arc<dyn Source>,
    /// Their digest, compared on the host before the file gets its name.
    pub digest: Digest,
    /// Its absolute path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:o} {} {} ({} bytes)", self.path, self.mode, self.owner, self.digest, self.source.length())
    }
}
