//! Small tar archives, byte for byte the same everywhere: ustar, fixed times and owners.
//!
//! Not the bundle's archive writer, which is strict: this one also writes what a hostile archive would hold.

/// 2024-01-01T00:00:00Z, the time of all generated content.
pub(super) const TIME: u64 = 1_704_067_200;

/// The same as RFC 3339.
pub(super) const TIME_TEXT: &str = "2024-01-01T00:00:00Z";

/// The head of one tar member. All fields are written as they are, wise or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; above 100 bytes it is split at a slash, as ustar does, and cut if that is impossible.
    pub path: String,
    /// `b'0'` file, `b'1'` hard link, `b'2'` symbolic link, `b'5'` directory.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Bytes that follow.
    pub size: u64,
    /// The target of a link.
    pub link: String,
}

impl Entry {
    /// A regular file that anybody may read.
    #[must_use]
    pub fn file(path: &str, size: u64) -> Self {
        Self { path: path.to_owned(), kind: b'0', mode: 0o644, size, link: String::new() }
    }

    /// A directory; its name gets a slash at the end.
    #[must_use]
    pub fn directory(path: &str) -> Self {
        Self { path: format!("{}/", path.trim_end_matches('/')), kind: b'5', mode: 0o755, ..Self::file("", 0) }
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: &str, target: &str) -> Self {
        Self { kind: b'2', mode: 0o777, link: target.to_owned(), ..Self::file(path, 0) }
    }

    /// The 512 bytes.
    #[must_use]
    pub fn header(&self) -> [u8; 512] {
        let mut block = [0; 512];
        let (prefix, name) = self.split_path();
        put(&mut block, 0, 100, name.as_bytes());
        put_octal(&mut block, 100, 8, u64::from(self.mode));
        put_octal(&mut block, 108, 8, 0);
        put_octal(&mut block, 116, 8, 0);
        put_octal(&mut block, 124, 12, self.size);
        put_octal(&mut block, 136, 12, TIME);
        block[156] = self.kind;
        put(&mut block, 157, 100, self.link.as_bytes());
        put(&mut block, 257, 8, b"ustar\x0000");
        put(&mut block, 345, 155, prefix.as_bytes());
        put(&mut block, 148, 8, b"        ");
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        put(&mut block, 148, 8, format!("{sum:06o}\0 ").as_bytes());
        block
    }

    fn split_path(&self) -> (&str, &str) {
        let fits = |place: &usize| *place <= 155 && self.path.len() - place - 1 <= 100;
        let slashes = self.path.match_indices('/').map(|(place, _)| place).filter(|place| *place + 1 < self.path.len());
        if self.path.len() <= 100 {
            return ("", &self.path);
        }
        match slashes.rev().find(fits) {
            Some(place) => (&self.path[..place], &self.path[place + 1..]),
            None => ("", &self.path),
        }
    }
}

/// Bytes that pad a member of this size to whole blocks.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % 512).unwrap_or_default()
}

/// A tar archive in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tarball {
    bytes: Vec<u8>,
}

impl Tarball {
    /// An archive without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member; `data` may differ in length from what the entry says.
    #[must_use]
    pub fn entry(mut self, entry: &Entry, data: &[u8]) -> Self {
        self.bytes.extend_from_slice(&entry.header());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(self.bytes.len() + padding(data.len() as u64), 0);
        self
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(&Entry::file(path, data.len() as u64), data)
    }

    /// Adds an executable file.
    #[must_use]
    pub fn executable(self, path: &str, data: &[u8]) -> Self {
        self.entry(&Entry { mode: 0o755, ..Entry::file(path, data.len() as u64) }, data)
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.entry(&Entry::directory(path), &[])
    }

    /// The archive so far, without the end.
    #[must_use]
    pub fn unfinished(self) -> Vec<u8> {
        self.bytes
    }

    /// The archive with the two empty blocks at its end.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

fn put(block: &mut [u8; 512], at: usize, width: usize, text: &[u8]) {
    let length = text.len().min(width);
    block[at..at + length].copy_from_slice(&text[..length]);
}

/// Octal digits with a NUL, or base 256 for what has too many.
fn put_octal(block: &mut [u8; 512], at: usize, width: usize, number: u64) {
    let digits = format!("{number:0>digits$o}", digits = width - 1);
    if digits.len() < width {
        put(block, at, width, digits.as_bytes());
    } else {
        block[at] = 0x80;
        block[at + width - 8..at + width].copy_from_slice(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_ustar() {
        let header = Entry { mode: 0o755, ..Entry::file("bin/app", 1000) }.header();
        assert_eq!(&header[..8], b"bin/app\0");
        assert_eq!(&header[100..108], b"0000755\0");
        assert_eq!(&header[124..136], b"00000001750\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(90));
        let header = Entry::file(&long, 0).header();
        assert_eq!((header[89], header[90], header[345 + 119], header[345 + 120]), (b'f', 0, b'd', 0));
        assert_eq!(Entry::file("big", 1 << 34).header()[124], 0x80);
        assert_eq!(Tarball::new().directory("a").file("a/b", b"x").finish().len(), 512 * 5);
    }
}
