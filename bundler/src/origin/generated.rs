//! Blobs that are computed when they are read: gigabytes without memory or disk.
//!
//! [`GeneratedBlob`] is noise, a function of seed and offset. [`Concatenated`] puts blobs in a row (a tar
//! header and its noise). [`StoredGzip`] wraps any blob in a real gzip stream of stored blocks, whose every
//! byte can be told from its offset, so that a huge layer is still a layer.

use std::io;
use std::sync::Arc;

use crate::distribution::BlobReader;

/// Incompressible bytes, the same for the same seed wherever they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedBlob {
    seed: u64,
    size: u64,
}

impl GeneratedBlob {
    /// `size` bytes of the noise of `seed`.
    #[must_use]
    pub fn new(seed: u64, size: u64) -> Self {
        Self { seed, size }
    }

    fn word(&self, index: u64) -> [u8; 8] {
        mix(self.seed.wrapping_add(index.wrapping_mul(GOLDEN))).to_le_bytes()
    }
}

impl BlobReader for GeneratedBlob {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = available(self.size, offset, buffer.len());
        let buffer = &mut buffer[..count];
        // Up to the next word boundary, whole words, and the rest.
        let (mut index, skip) = (offset / 8, (offset % 8) as usize);
        let head = if skip == 0 { 0 } else { (8 - skip).min(count) };
        if head > 0 {
            buffer[..head].copy_from_slice(&self.word(index)[skip..skip + head]);
            index += 1;
        }
        for chunk in buffer[head..].chunks_mut(8) {
            chunk.copy_from_slice(&self.word(index)[..chunk.len()]);
            index += 1;
        }
        Ok(count)
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: one well-mixed word for each input.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// How much of `wanted` there is at `offset` in `size` bytes.
fn available(size: u64, offset: u64, wanted: usize) -> usize {
    usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(wanted)
}

/// Several blobs in a row.
#[derive(Clone)]
pub struct Concatenated {
    parts: Vec<(u64, Arc<dyn BlobReader>)>,
    size: u64,
}

impl Concatenated {
    /// The blobs of `parts`, one after the other.
    #[must_use]
    pub fn new(parts: impl IntoIterator<Item = Arc<dyn BlobReader>>) -> Self {
        let mut size = 0;
        let place = |part: Arc<dyn BlobReader>| {
            let start = size;
            size += part.size();
            (start, part)
        };
        let parts = parts.into_iter().map(place).collect();
        Self { parts, size }
    }
}

impl std::fmt::Debug for Concatenated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Concatenated({} parts, {} bytes)", self.parts.len(), self.size)
    }
}

impl BlobReader for Concatenated {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        let after = self.parts.partition_point(|(start, _)| *start <= offset);
        let (start, part) = &self.parts[after - 1];
        part.read_at(offset - start, buffer)
    }
}

/// A gzip stream of stored (uncompressed) deflate blocks around another blob.
#[derive(Debug, Clone)]
pub struct StoredGzip<B> {
    plain: B,
    trailer: [u8; 8],
}

/// A gzip member without name and time, "fastest".
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];
/// The most a stored block holds.
const BLOCK: u64 = 65_535;
/// Length fields in front of each block.
const BLOCK_HEADER: u64 = 5;

impl<B: BlobReader> StoredGzip<B> {
    /// Wraps `plain`, which is read once for its checksum.
    pub fn new(plain: B) -> io::Result<Self> {
        let mut crc = flate2::Crc::new();
        let (mut buffer, mut offset) = (vec![0; 256 * 1024], 0);
        while offset < plain.size() {
            let count = plain.read_at(offset, &mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            crc.update(&buffer[..count]);
            offset += count as u64;
        }
        let mut trailer = [0; 8];
        trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
        trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
        Ok(Self { plain, trailer })
    }

    fn blocks(&self) -> u64 {
        self.plain.size().div_ceil(BLOCK).max(1)
    }

    /// Where the trailer starts.
    fn body_end(&self) -> u64 {
        HEADER.len() as u64 + self.blocks() * BLOCK_HEADER + self.plain.size()
    }

    fn block_header(&self, block: u64) -> [u8; 5] {
        let last = block + 1 == self.blocks();
        let length = if last { self.plain.size() - block * BLOCK } else { BLOCK };
        let [low, high, ..] = length.to_le_bytes();
        [u8::from(last), low, high, !low, !high]
    }
}

impl<B: BlobReader> BlobReader for StoredGzip<B> {
    fn size(&self) -> u64 {
        self.body_end() + self.trailer.len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && offset + (filled as u64) < self.size() {
            filled += self.read_piece(offset + filled as u64, &mut buffer[filled..])?;
        }
        Ok(filled)
    }
}

impl<B: BlobReader> StoredGzip<B> {
    /// Reads inside one piece: the header, a block's header, a block, the trailer.
    fn read_piece(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let header = HEADER.len() as u64;
        if offset < header {
            return Ok(copy(&HEADER[as_index(offset)..], buffer));
        }
        if offset >= self.body_end() {
            return Ok(copy(&self.trailer[as_index(offset - self.body_end())..], buffer));
        }
        let (block, inside) = ((offset - header) / (BLOCK + BLOCK_HEADER), (offset - header) % (BLOCK + BLOCK_HEADER));
        if inside < BLOCK_HEADER {
            return Ok(copy(&self.block_header(block)[as_index(inside)..], buffer));
        }
        let inside = inside - BLOCK_HEADER;
        let count = available(BLOCK, inside, buffer.len());
        match self.plain.read_at(block * BLOCK + inside, &mut buffer[..count])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    to[..count].copy_from_slice(&from[..count]);
    count
}

/// An offset into one of the small arrays above.
fn as_index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn read(blob: &dyn BlobReader, offset: u64, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match blob.read_at(offset + out.len() as u64, &mut buffer).unwrap() {
                0 => return out,
                count => out.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn noise_is_the_same_wherever_it_is_read_from() {
        let blob = GeneratedBlob::new(7, 10_003);
        let whole = read(&blob, 0, 1 << 20);
        assert_eq!(whole.len(), 10_003);
        for step in [1, 3, 8, 13, 4096] {
            assert_eq!(read(&blob, 0, step), whole);
            assert_eq!(read(&blob, 4099, step), whole[4099..]);
        }
        assert_ne!(whole, read(&GeneratedBlob::new(8, 10_003), 0, 1 << 20));
        assert_eq!(GeneratedBlob::new(0, 1 << 60).read_at(1 << 60, &mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn stored_gzip_is_gzip() {
        for size in [0, 1, 65_535, 65_536, 200_000] {
            let noise = GeneratedBlob::new(1, size);
            let row = Concatenated::new([Arc::new(noise) as Arc<dyn BlobReader>, Arc::new(noise)]);
            let plain = read(&row, 0, 1000);
            let packed = StoredGzip::new(row).unwrap();
            let bytes = read(&packed, 0, 70_000);
            assert_eq!(bytes.len() as u64, packed.size());
            assert_eq!(read(&packed, 9, 7), bytes[9..]);
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain, "{size}");
        }
    }
}
