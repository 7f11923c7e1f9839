//! The zstd frames: how they are written, always alike, and how they are read, never larger than was said.
//!
//! One frame holds at most [`SEGMENT`] plain bytes, so that a reader's window is bounded. Level, window, long-distance
//! matching and checksum are fixed, one thread writes: the same plain bytes give the same frame.

use std::io::{self, BufRead, BufReader, Read, Write};

use zstd::stream::{read, write};

use crate::digest::READ_CHUNK;

/// The most plain bytes of a frame: 128 MiB, the largest window that every stock `zstd -d` accepts.
pub const SEGMENT: u64 = 128 << 20;

/// The level. Measured on layers of Debian and Go: 72 % of the gzip sum at 20 to 33 MB/s; level 3 gives 80 %, level 19
/// ten points less at a fifteenth of the speed.
pub const LEVEL: i32 = 9;

/// The window of a frame that stands alone, as a power of two.
const WINDOW: u32 = 27;

/// The window of a frame that refers to an older layer's stretch: it covers that and the frame itself.
const WINDOW_WITH_OLDER: u32 = 28;

/// Reads until the buffer is full or the reader has ended.
pub(super) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes the next frame of `plain`, which must give `length` bytes; `older` is what it may refer to. Returns the
/// frame's length.
pub(super) fn write_frame(
    plain: &mut impl Read,
    length: u64,
    older: Option<&[u8]>,
    out: impl Write,
) -> io::Result<u64> {
    let out = Counted { out, written: 0 };
    let (mut encoder, window) = match older {
        Some(older) => (write::Encoder::with_ref_prefix(out, LEVEL, older)?, WINDOW_WITH_OLDER),
        None => (write::Encoder::new(out, LEVEL)?, WINDOW),
    };
    encoder.long_distance_matching(true)?;
    encoder.window_log(window)?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(length))?;
    let mut buffer = vec![0; READ_CHUNK];
    let mut left = length;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let filled = fill(plain, &mut buffer[..wanted])?;
        if filled < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        encoder.write_all(&buffer[..filled])?;
        left -= filled as u64;
    }
    Ok(encoder.finish()?.written)
}

struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads one frame: exactly `length` plain bytes out of exactly `stored` bytes, or an error.
pub(super) struct Frame<'a, R: Read> {
    decoder: read::Decoder<'a, BufReader<io::Take<R>>>,
    left: u64,
    ended: bool,
}

impl<'a, R: Read> Frame<'a, R> {
    pub(super) fn open(from: R, stored: u64, length: u64, older: Option<&'a [u8]>) -> io::Result<Self> {
        let from = BufReader::with_capacity(READ_CHUNK, from.take(stored));
        let mut decoder = match older {
            Some(older) => read::Decoder::with_ref_prefix(from, older)?,
            None => read::Decoder::with_buffer(from)?,
        }
        .single_frame();
        // A frame that was written here has a window of just its content, at most a segment.
        decoder.window_log_max(WINDOW)?;
        Ok(Self { decoder, left: length, ended: false })
    }

    /// Whether all of the frame was read and nothing stands behind it.
    fn end(&mut self) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        let lie = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        if self.decoder.read(&mut [0])? != 0 {
            return Err(lie("a frame holds more than the index says"));
        }
        let from = self.decoder.get_mut();
        if !from.fill_buf()?.is_empty() {
            return Err(lie("something stands behind a frame"));
        }
        self.ended = true;
        Ok(())
    }
}

impl<R: Read> Read for Frame<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.end()?;
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.decoder.read(&mut buffer[..wanted])?;
        if n == 0 && wanted > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame holds less than the index says"));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// A small document under zstd's best common level, referring to `older`.
pub fn squeeze_small(bytes: &[u8], older: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = write::Encoder::with_ref_prefix(Vec::new(), 19, older)?;
    encoder.window_log(WINDOW)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What [`squeeze_small`] was given, if it has at most `limit` bytes.
pub fn decompress_small(squeezed: &[u8], older: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut decoder = read::Decoder::with_ref_prefix(squeezed, older)?.single_frame();
    decoder.window_log_max(WINDOW)?;
    let mut bytes = Vec::new();
    decoder.by_ref().take(limit + 1).read_to_end(&mut bytes)?;
    let more = bytes.len() as u64 > limit || !decoder.get_ref().is_empty();
    if more { Err(io::Error::new(io::ErrorKind::InvalidData, "it holds more than it may")) } else { Ok(bytes) }
}
