//! The frame around the DEFLATE stream (RFC 1952): a header, kept as it is because producers differ in it, and a
//! trailer, which follows from the plain bytes.

use std::io::{self, Read};

pub(crate) use flate2::Crc;

/// A name, comment or extra field longer than this is nothing a producer of layers writes.
const MOST: usize = 4096;
/// The first second of the year 1, as Go's zero time, in the low 32 bits of seconds since 1970.
const NO_TIME_OF_PGZIP: [u8; 4] = [0x00, 0x09, 0x6e, 0x88];
const HAS_CRC: u8 = 2;
const HAS_EXTRA: u8 = 4;
const HAS_NAME: u8 = 8;
const HAS_COMMENT: u8 = 16;

/// The header of a gzip stream, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GzipHeader(Vec<u8>);

impl GzipHeader {
    /// The header that Go's `compress/gzip` writes at this level when nothing else is set.
    pub fn of_go(level: i8) -> Self {
        let hint = match level {
            1 => 4,
            9 => 2,
            _ => 0,
        };
        Self(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, hint, 255])
    }

    /// The header that pgzip writes at its own level. No time was set, and its number for that is not zero.
    pub fn of_pgzip() -> Self {
        Self([&[0x1f, 0x8b, 8, 0][..], &NO_TIME_OF_PGZIP, &[0, 255]].concat())
    }

    /// Whether the time in the header is the one that only pgzip writes.
    pub(crate) fn is_of_pgzip(&self) -> bool {
        self.0[4..8] == NO_TIME_OF_PGZIP
    }

    /// Reads a header and not a byte more. `None`: these are not the first bytes of a gzip stream that could be made
    /// again.
    pub fn read(mut blob: impl Read) -> io::Result<Option<Self>> {
        let mut bytes = vec![0; 10];
        if !fill(&mut blob, &mut bytes)? {
            return Ok(None);
        }
        let flags = bytes[3];
        if bytes[..3] != [0x1f, 0x8b, 8] || flags & !(1 | HAS_CRC | HAS_EXTRA | HAS_NAME | HAS_COMMENT) != 0 {
            return Ok(None);
        }
        if flags & HAS_EXTRA != 0 {
            let mut length = [0; 2];
            if !fill(&mut blob, &mut length)? {
                return Ok(None);
            }
            bytes.extend_from_slice(&length);
            let mut field = vec![0; usize::from(u16::from_le_bytes(length))];
            if field.len() > MOST || !fill(&mut blob, &mut field)? {
                return Ok(None);
            }
            bytes.append(&mut field);
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text == 0 {
                continue;
            }
            let mut byte = [1];
            let start = bytes.len();
            while byte[0] != 0 {
                if bytes.len() - start > MOST || !fill(&mut blob, &mut byte)? {
                    return Ok(None);
                }
                bytes.push(byte[0]);
            }
        }
        if flags & HAS_CRC != 0 {
            let mut crc = [0; 2];
            if !fill(&mut blob, &mut crc)? {
                return Ok(None);
            }
            bytes.extend_from_slice(&crc);
        }
        Ok(Some(Self(bytes)))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the producer says about its effort: 2 for the most, 4 for the least, 0 for neither.
    pub fn effort_hint(&self) -> u8 {
        self.0[8]
    }

    /// The system the producer says it ran on: 255 (unknown) from Go, 3 (Unix) from zlib.
    pub fn system(&self) -> u8 {
        self.0[9]
    }
}

/// The trailer: checksum and length (modulo 2^32) of the plain bytes.
pub(crate) fn trailer(checksum: &Crc) -> [u8; 8] {
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&checksum.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&checksum.amount().to_le_bytes());
    trailer
}

/// Reads until `buffer` is full; `false` when the reader ends before.
fn fill(mut reader: impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_kept_to_the_byte() {
        let mut blob = vec![0x1f, 0x8b, 8, 4 | 8 | 16 | 2, 1, 2, 3, 4, 0, 3, 2, 0, 9, 9];
        blob.extend_from_slice(b"name\0comment\0\x12\x34rest");
        let header = GzipHeader::read(&blob[..]).expect("memory").expect("a header");
        assert_eq!(header.bytes(), &blob[..blob.len() - 4]);
        assert_eq!((header.system(), header.effort_hint()), (3, 0));
        for cut in 0..header.bytes().len() {
            assert_eq!(GzipHeader::read(&blob[..cut]).expect("memory"), None, "{cut}");
        }
    }

    #[test]
    fn what_is_no_gzip_has_no_header() {
        for blob in [
            &b"PK\x03\x04........"[..],
            &[0x1f, 0x8b, 7, 0, 0, 0, 0, 0, 0, 0],
            &[0x1f, 0x8b, 8, 0x80, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(GzipHeader::read(blob).expect("memory"), None);
        }
    }
}
