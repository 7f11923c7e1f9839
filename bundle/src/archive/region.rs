//! A stretch of a medium, read by position: many readers can share one open file.

use std::io::{self, Read};

use super::medium::Medium;

/// `length` bytes of `file`, beginning at `start`.
#[derive(Debug, Clone)]
pub struct Region {
    file: Medium,
    start: u64,
    length: u64,
}

impl Region {
    /// A stretch of an open file, or of what stands for one.
    #[must_use]
    pub fn new(file: Medium, start: u64, length: u64) -> Self {
        Self { file, start, length }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads at `offset` from the region's start; fewer bytes than asked only at its end or as the system likes.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(offset);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..wanted], self.start + offset)? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before the region does")),
            n => Ok(n),
        }
    }

    /// A reader from the region's start to its end.
    #[must_use]
    pub fn reader(&self) -> RegionReader {
        self.reader_at(0)
    }

    /// A reader from `offset` in the region to its end.
    #[must_use]
    pub fn reader_at(&self, offset: u64) -> RegionReader {
        RegionReader { region: self.clone(), offset }
    }

    /// The whole region in memory. For documents, whose sizes have been limited before.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.length).unwrap_or(0));
        self.reader().read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a [`Region`] from its start.
#[derive(Debug)]
pub struct RegionReader {
    region: Region,
    offset: u64,
}

impl Read for RegionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.region.read_at(self.offset, buffer)?;
        self.offset += n as u64;
        Ok(n)
    }
}
