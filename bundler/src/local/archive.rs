//! A foreign tar archive: its members listed once, with their places, and read by position.
//!
//! Refused are: names that leave the archive, names twice, devices and the like, links where none belong, sparse
//! files, members that the file is too short for, and anything behind the archive's end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::archive::{BLOCK, Region, padding};
use tar::EntryType;

use super::error::LocalError;
use super::extension::Extension;
use super::folder::open_file;
use super::name;

/// More members than this are refused: an image of 100 layers has some 300.
const MAX_MEMBERS: usize = 200_000;

/// Links that lead to links are followed this often.
const MAX_HOPS: usize = 8;

/// How an archive of its kind treats links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// Docker up to 24 writes them for layers that come again.
    Inside,
    /// No links at all.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Member {
    Directory,
    File { start: u64, length: u64 },
    Link(String),
}

/// An archive whose members are known.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: Arc<File>,
    members: BTreeMap<String, Member>,
}

impl Archive {
    /// Opens an archive and lists it, without reading its content.
    pub(super) fn open(path: &Path, links: Links) -> Result<Self, LocalError> {
        let file = open_file(path, true)?;
        let read = |source| LocalError::Read { path: path.to_owned(), source };
        let length = file.metadata().map_err(read)?.len();
        let file = Arc::new(file);
        if let Some(with) = packing(&Region::new(file.clone(), 0, length)).map_err(read)? {
            return Err(LocalError::Compressed { path: path.to_owned(), with });
        }
        let mut archive = Self { path: path.to_owned(), file, members: BTreeMap::new() };
        let end = archive.list(length, links)?;
        archive.check_end(end, length)?;
        Ok(archive)
    }

    /// The archive's path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a member lies; links inside the archive are followed.
    pub(super) fn region(&self, name: &str) -> Result<Region, LocalError> {
        let refuse = |why| LocalError::Member { path: self.path.clone(), name: name.to_owned(), why };
        let mut at = name;
        for _ in 0..=MAX_HOPS {
            match self.members.get(at) {
                Some(Member::File { start, length }) => return Ok(Region::new(self.file.clone(), *start, *length)),
                Some(Member::Link(target)) => at = target,
                Some(Member::Directory) => return Err(refuse("it is a directory, a file is expected")),
                None => return Err(LocalError::Missing { path: self.path.clone(), name: at.to_owned() }),
            }
        }
        Err(refuse("it is a chain of links, or a circle"))
    }

    /// Lists the members; returns where the last one ends.
    fn list(&mut self, length: u64, links: Links) -> Result<u64, LocalError> {
        let path = self.path.clone();
        let broken = |why: &str| LocalError::Tar { path: path.clone(), source: std::io::Error::other(why.to_owned()) };
        let (mut at, mut extension) = (0, Extension::default());
        while let Some(block) = self.header(at, length)? {
            let header = tar::Header::from_byte_slice(&block);
            if header.cksum().ok() != Some(checksum(&block)) {
                return Err(broken("a header has a wrong checksum"));
            }
            let by_header = header.entry_size().map_err(|source| LocalError::Tar { path: path.clone(), source })?;
            let (start, kind) = (at + BLOCK, header.entry_type());
            let header_name = extension.name.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            let shown = name::printable(&header_name);
            let refuse = |why| LocalError::Member { path: path.clone(), name: shown.clone(), why };
            let size = extension.size_of(kind, by_header).map_err(refuse)?;
            let end = start.checked_add(size).and_then(|end| end.checked_add(padding(size)));
            let end = end.ok_or_else(|| broken("a member is larger than any file"))?;
            if end > length {
                let what = format!("{shown:?} should have {size} bytes");
                return Err(LocalError::Truncated { path, what });
            }
            at = end;
            let content = Region::new(self.file.clone(), start, size);
            if extension.take(kind, size, content.reader()).map_err(refuse)? {
                continue;
            }
            let said = std::mem::take(&mut extension);
            let name = name::member(&header_name).map_err(refuse)?;
            let link = said.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
            let member = member(kind, &header_name, &name, link, start, size, links).map_err(refuse)?;
            self.add(name, member)?;
        }
        if extension.is_empty() {
            Ok(at)
        } else {
            Err(LocalError::Truncated { path, what: "an extension header stands before nothing".to_owned() })
        }
    }

    /// The header at `at`; none where the archive ends.
    fn header(&self, at: u64, length: u64) -> Result<Option<[u8; 512]>, LocalError> {
        if at >= length {
            return Ok(None);
        }
        if length - at < BLOCK {
            let what = "its last header is cut off".to_owned();
            return Err(LocalError::Truncated { path: self.path.clone(), what });
        }
        let mut block = [0; 512];
        let read = Region::new(self.file.clone(), at, BLOCK).reader().read_exact(&mut block);
        read.map_err(|source| LocalError::Read { path: self.path.clone(), source })?;
        Ok((block != [0; 512]).then_some(block))
    }

    fn add(&mut self, name: String, member: Member) -> Result<(), LocalError> {
        if self.members.len() >= MAX_MEMBERS {
            return Err(LocalError::Members { path: self.path.clone(), limit: MAX_MEMBERS });
        }
        // A directory may be named again: tar writers do so, and it means nothing.
        let again =
            self.members.get(&name).is_some_and(|known| *known != Member::Directory || member != Member::Directory);
        if again {
            return Err(LocalError::Duplicate { path: self.path.clone(), name });
        }
        self.members.insert(name, member);
        Ok(())
    }

    /// A zero block must stand at `end`, and nothing but zeros behind it.
    fn check_end(&self, end: u64, length: u64) -> Result<(), LocalError> {
        let read = |source| LocalError::Read { path: self.path.clone(), source };
        if end + BLOCK > length {
            let what = "the blocks of zeros at the end are missing".to_owned();
            return Err(LocalError::Truncated { path: self.path.clone(), what });
        }
        let mut file = &*self.file;
        file.seek(SeekFrom::Start(end)).map_err(read)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer).map_err(read)? {
                0 => return Ok(()),
                n if buffer[..n].iter().all(|&b| b == 0) => {}
                _ => return Err(LocalError::Trailing { path: self.path.clone() }),
            }
        }
    }
}

/// The checksum of a header: the sum of its bytes, its own field as spaces.
fn checksum(block: &[u8; 512]) -> u32 {
    let byte = |(place, &byte): (usize, &u8)| u32::from(if (148..156).contains(&place) { b' ' } else { byte });
    block.iter().enumerate().map(byte).sum()
}

fn member(
    kind: EntryType,
    raw_name: &[u8],
    name: &str,
    link: Option<Vec<u8>>,
    start: u64,
    size: u64,
    links: Links,
) -> Result<Member, &'static str> {
    let is_file = kind == EntryType::Regular && !raw_name.ends_with(b"/");
    if size != 0 && !is_file && matches!(kind, EntryType::Directory | EntryType::Symlink | EntryType::Link) {
        return Err("it is no file but has content");
    }
    let target = || link.filter(|_| links == Links::Inside).ok_or("links are not allowed in such an archive");
    match kind {
        EntryType::Regular if is_file && !name.is_empty() => Ok(Member::File { start, length: size }),
        EntryType::Regular => Err("it is a file with a directory's name"),
        EntryType::Directory => Ok(Member::Directory),
        EntryType::Symlink => name::symlink_target(name, &target()?).map(Member::Link),
        EntryType::Link => name::member(&target()?).map(Member::Link),
        EntryType::GNUSparse => Err("it is a sparse file"),
        EntryType::Char | EntryType::Block => Err("it is a device"),
        EntryType::Fifo => Err("it is a fifo"),
        EntryType::XGlobalHeader => Err("it is a global PAX header"),
        _ => Err("it is of no known type"),
    }
}

/// What the bytes of a compressed file begin with.
pub(super) fn packing(region: &Region) -> std::io::Result<Option<&'static str>> {
    let mut magic = [0; 6];
    let n = region.read_at(0, &mut magic)?;
    Ok(match &magic[..n] {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Entry, Tarball};

    fn open(bytes: &[u8], links: Links) -> Result<Archive, LocalError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Archive::open(file.path(), links)
    }

    fn refusal(tar: Tarball) -> String {
        open(&tar.finish(), Links::Inside).unwrap_err().to_string()
    }

    fn of_kind(kind: u8, name: &str, size: u64) -> Entry {
        Entry { kind, ..Entry::file(name, size) }
    }

    #[test]
    fn members_are_read_where_they_lie() {
        let tar = Tarball::new().directory("a").file("./a/b", b"hello").file("c", b"").directory("a").finish();
        let archive = open(&tar, Links::Refused).unwrap();
        assert_eq!(archive.region("a/b").unwrap().read_all().unwrap(), b"hello");
        assert_eq!(archive.region("c").unwrap().length(), 0);
        assert!(matches!(archive.region("d"), Err(LocalError::Missing { .. })));
        assert!(matches!(archive.region("a"), Err(LocalError::Member { .. })));
    }

    #[test]
    fn the_size_of_a_pax_record_counts() {
        // Go and Python write 0 into a header that has no room for the size, libarchive the largest number.
        for by_header in [0, 5, 0o777_7777_7777] {
            let record = of_kind(b'x', "a", 10);
            let tar = Tarball::new().entry(&record, b"10 size=5\n").entry(&Entry::file("a", by_header), b"hello");
            let archive = open(&tar.file("b", b"x").finish(), Links::Refused).unwrap();
            assert_eq!(archive.region("a").unwrap().read_all().unwrap(), b"hello", "{by_header}");
            assert_eq!(archive.region("b").unwrap().read_all().unwrap(), b"x", "{by_header}");
        }
    }

    #[test]
    fn a_header_with_a_wrong_checksum_is_refused() {
        let mut bytes = Tarball::new().file("a", b"hello").finish();
        bytes[0] = b'b';
        assert!(matches!(open(&bytes, Links::Refused), Err(LocalError::Tar { .. })));
    }

    #[test]
    fn links_are_followed_inside_and_not_for_ever() {
        let hard = Entry { kind: b'1', ..Entry::symlink("h", "a/b") };
        let tar = Tarball::new().file("a/b", b"hello").entry(&Entry::symlink("x/l", "../h"), &[]).entry(&hard, &[]);
        let tar = tar.entry(&Entry::symlink("l1", "l2"), &[]).entry(&Entry::symlink("l2", "l1"), &[]).finish();
        let archive = open(&tar, Links::Inside).unwrap();
        assert_eq!(archive.region("x/l").unwrap().read_all().unwrap(), b"hello");
        assert!(archive.region("l1").unwrap_err().to_string().contains("circle"));
        assert!(open(&tar, Links::Refused).unwrap_err().to_string().contains("links are not allowed"));
    }

    #[test]
    fn what_no_image_needs_is_refused() {
        let tar = Tarball::new;
        for (tar, why) in [
            (tar().entry(&Entry::symlink("a", "../b"), &[]), "out of the archive"),
            (tar().entry(&Entry::symlink("a", "/etc/passwd"), &[]), "absolute"),
            (tar().file("../a", b""), "`..`"),
            (tar().file("/a", b""), "absolute"),
            (tar().file("a", b"1").file("a", b"2"), "twice"),
            (tar().file("a", b"1").file("./a", b"2"), "twice"),
            (tar().file("a", b"1").directory("a"), "twice"),
            (tar().entry(&of_kind(b'3', "a", 0), &[]), "device"),
            (tar().entry(&of_kind(b'6', "a", 0), &[]), "fifo"),
            (tar().entry(&of_kind(b'g', "a", 0), &[]), "global"),
            (tar().entry(&of_kind(b'S', "a", 0), &[]), "sparse"),
            (tar().entry(&of_kind(b'x', "a", 22), b"22 GNU.sparse.major=1\n").file("a", b""), "sparse"),
            (tar().entry(&of_kind(b'x', "a", 10), b"10 size=7\n").file("a", b"1"), "another size"),
            (tar().entry(&of_kind(b'x', "a", 11), b"11 size=70\n").file("a", b"12"), "another size"),
            (tar().entry(&of_kind(b'x', "a", 13), b"13 size=7000\n").file("a", b""), "too early"),
            (tar().entry(&of_kind(b'x', "a", 1 << 30), b""), "too early"),
            (tar().entry(&of_kind(b'5', "a", 3), b"abc"), "content"),
            (tar().entry(&of_kind(b'x', "a", 12), b"12 path=a/b\n"), "before nothing"),
            (tar().entry(&Entry::file("a", u64::MAX - 3), &[]), "no readable tar archive"),
        ] {
            let text = refusal(tar);
            assert!(text.contains(why), "{why}: {text}");
        }
    }

    #[test]
    fn the_end_is_where_it_should_be() {
        let whole = Tarball::new().file("a", &[7; 1000]).file("b", b"x").finish();
        assert!(open(&whole, Links::Refused).is_ok());
        for length in 0..whole.len() - 512 {
            assert!(open(&whole[..length], Links::Refused).is_err(), "{length}");
        }
        let twice = [&whole[..], &whole].concat();
        assert!(matches!(open(&twice, Links::Refused), Err(LocalError::Trailing { .. })));
        assert!(open(&[&whole[..], &[0; 9000]].concat(), Links::Refused).is_ok());
        assert!(matches!(open(b"\x1f\x8bxxx", Links::Refused), Err(LocalError::Compressed { .. })));
        assert!(open(b"", Links::Refused).is_err());
    }
}
