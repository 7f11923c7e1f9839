//! What an archive is read from: a file, or a set of volumes that stands for one. Read by position, from many threads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that are read by position.
pub trait ReadAt: Send + Sync + std::fmt::Debug {
    /// Reads at `offset`: fewer bytes than asked as the medium likes, none only behind its end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

/// A medium that many readers share.
pub type Medium = Arc<dyn ReadAt>;
