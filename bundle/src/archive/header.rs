//! One ustar header: written, and recognised when it is exactly what would have been written.

/// The size of a tar block in bytes.
pub const BLOCK: u64 = 512;

/// The time in every header: 1980-01-01 00:00:00 UTC. Not zero, because GNU tar warns of times that old.
const MTIME: u64 = 315_532_800;

/// The bytes of padding behind a member of `size` bytes.
#[must_use]
pub fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// The header of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The member's name, at most 100 bytes of printable ASCII.
    pub name: String,
    /// Its size in bytes, at most [`crate::lock::MAX_MEMBER`].
    pub size: u64,
}

/// Why a block is not a header of our profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A link, device, directory or extension header.
    #[error("{name:?} is a {kind}; only regular files are allowed")]
    NotRegular {
        /// Its name, printable.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// A name that could leave the folder, or that screens could not show.
    #[error("member name {name:?} is refused: {why}")]
    Name {
        /// The name, printable.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Anything else that differs.
    #[error("the header of {name:?} differs from what ferry writes (at byte {at}: {field})")]
    Differs {
        /// The name, printable.
        name: String,
        /// The first byte that differs.
        at: usize,
        /// The field it belongs to.
        field: &'static str,
    },
}

impl HeaderError {
    /// A stable word for the refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRegular { .. } => "tar-not-regular",
            Self::Name { .. } => "tar-name",
            Self::Differs { .. } => "tar-header",
        }
    }
}

impl Header {
    /// The 512 bytes.
    ///
    /// # Panics
    /// If the name is longer than 100 bytes or the size does not fit: [`crate::lock`] checks both before.
    #[must_use]
    pub fn encode(&self) -> [u8; 512] {
        assert!(self.name.len() <= 100 && self.size <= crate::lock::MAX_MEMBER, "checked by the lock");
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, self.name.as_bytes());
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", self.size).as_bytes());
        put(136, format!("{MTIME:011o}\0").as_bytes());
        put(148, b"        ");
        put(156, b"0");
        put(257, b"ustar\x0000");
        put(329, b"0000000\0");
        put(337, b"0000000\0");
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }

    /// Reads a header that must be exactly of our profile. What is not is named by its kind.
    pub fn decode(block: &[u8; 512]) -> Result<Self, HeaderError> {
        let end = block[..100].iter().position(|&b| b == 0).unwrap_or(100);
        let shown = printable(&block[..end]);
        if let Some(kind) = special_kind(block[156]) {
            return Err(HeaderError::NotRegular { name: shown, kind });
        }
        let name = std::str::from_utf8(&block[..end]).unwrap_or_default();
        if let Some(why) = bad_name(name) {
            return Err(HeaderError::Name { name: shown, why });
        }
        let octal =
            std::str::from_utf8(&block[124..135]).ok().filter(|t| t.bytes().all(|b| (b'0'..=b'7').contains(&b)));
        let size = octal.and_then(|text| u64::from_str_radix(text, 8).ok());
        let Some(size) = size else {
            return Err(HeaderError::Differs { name: shown, at: 124, field: "size" });
        };
        let header = Self { name: name.to_owned(), size };
        match header.encode().iter().zip(block).position(|(a, b)| a != b) {
            None => Ok(header),
            Some(at) => Err(HeaderError::Differs { name: shown, at, field: field_at(at) }),
        }
    }
}

fn special_kind(flag: u8) -> Option<&'static str> {
    Some(match flag {
        b'0' => return None,
        b'1' => "hard link",
        b'2' => "symbolic link",
        b'3' | b'4' => "device",
        b'5' => "directory",
        b'6' => "fifo",
        b'x' | b'g' | b'X' => "PAX extension header",
        b'L' | b'K' | b'S' | b'M' | b'V' | b'D' => "GNU extension header",
        _ => "member of unknown type",
    })
}

fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
        Some("it is empty or has bytes that are not printable ASCII")
    } else if name.starts_with('/') || name.contains('\\') || name.contains(':') {
        Some("absolute paths, backslashes and drive letters are not allowed")
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("empty, `.` and `..` components are not allowed")
    } else {
        None
    }
}

fn field_at(at: usize) -> &'static str {
    match at {
        0..100 => "name",
        100..108 => "mode",
        108..124 => "owner",
        124..136 => "size",
        136..148 => "time",
        148..156 => "checksum",
        156 => "type",
        157..257 => "link name",
        257..265 => "magic",
        265..345 => "owner names and device",
        345..500 => "prefix",
        _ => "reserved bytes",
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '\u{fffd}' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tar_crate_reads_what_we_write() {
        let header = Header { name: "blobs/sha256/abc".into(), size: 5 };
        let mut tar = header.encode().to_vec();
        tar.extend_from_slice(b"hello");
        tar.resize(512 + 512 + 1024, 0);
        let mut archive = tar::Archive::new(&tar[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("blobs/sha256/abc"));
        assert_eq!((entry.size(), entry.header().mtime().unwrap()), (5, MTIME));
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let header = Header { name: "lock.yaml".into(), size: 12_345 };
        let good = header.encode();
        for bit in 0..512 * 8 {
            let mut block = good;
            block[bit / 8] ^= 1 << (bit % 8);
            // A header that still decodes must at least say something else: then the layout notices.
            assert!(Header::decode(&block).as_ref() != Ok(&header), "bit {bit}");
        }
    }
}
