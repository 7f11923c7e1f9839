//! Extension headers of foreign archives: what GNU and PAX records say about the member behind them.
//!
//! Long names, long link targets and large sizes are read; times, owners and comments are passed over. What would
//! make two readers see different members is refused: a size that differs from a size in the header, sparse maps,
//! one thing said twice. The tar crate parses the records.

use std::io::Read;

use tar::{EntryType, PaxExtensions};

/// The largest extension that is read, in bytes.
const MAX_EXTENSION: u64 = 64 * 1024;

/// The largest size that fits into a header as octal digits.
const MOST_IN_HEADER: u64 = 0o777_7777_7777;

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions()
}

/// What has been said about the next member.
#[derive(Debug, Default)]
pub(super) struct Extension {
    /// Its name, if the header has no room for it.
    pub(super) name: Option<Vec<u8>>,
    /// Its link target, likewise.
    pub(super) link: Option<Vec<u8>>,
    /// Its size in bytes.
    pub(super) size: Option<u64>,
    pax: bool,
}

impl Extension {
    /// Takes in an extension header. `false` when the entry is none.
    pub(super) fn take(&mut self, kind: EntryType, size: u64, data: impl Read) -> Result<bool, &'static str> {
        if !is_extension(kind) {
            return Ok(false);
        }
        if size > MAX_EXTENSION {
            return Err("its extension header is larger than 64 KiB");
        }
        let mut bytes = Vec::new();
        let read = data.take(size).read_to_end(&mut bytes);
        if read.ok() != usize::try_from(size).ok() {
            return Err("its extension header is cut off");
        }
        if kind.is_pax_local_extensions() {
            self.take_pax(&bytes)?;
        } else {
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            let slot = if kind.is_gnu_longname() { &mut self.name } else { &mut self.link };
            once(slot, bytes[..end].to_vec())?;
        }
        Ok(true)
    }

    /// The size of the next member, for which its header says `by_header`. Where the header has no room for it,
    /// it holds 0 or its largest number, and the PAX record counts.
    pub(super) fn size_of(&self, kind: EntryType, by_header: u64) -> Result<u64, &'static str> {
        if is_extension(kind) {
            return Ok(by_header);
        }
        match self.size {
            Some(said) if said == by_header || [0, MOST_IN_HEADER].contains(&by_header) => Ok(said),
            Some(_) => Err("its PAX header says another size than its header"),
            None => Ok(by_header),
        }
    }

    /// Whether nothing has been said.
    pub(super) fn is_empty(&self) -> bool {
        self.name.is_none() && self.link.is_none() && !self.pax
    }

    fn take_pax(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.pax {
            return Err("it has two PAX headers");
        }
        self.pax = true;
        for record in PaxExtensions::new(bytes) {
            let record = record.map_err(|_| "its PAX header is malformed")?;
            let value = record.value_bytes();
            match record.key_bytes() {
                b"path" => once(&mut self.name, value.to_vec())?,
                b"linkpath" => once(&mut self.link, value.to_vec())?,
                b"size" => {
                    let digits = record.value().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                    let size = digits.and_then(|text| text.parse().ok()).ok_or("its PAX header has no valid size")?;
                    once(&mut self.size, size)?;
                }
                key if key.starts_with(b"GNU.sparse") => return Err("it is a sparse file"),
                _ => {}
            }
        }
        Ok(())
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err("its extension headers say one thing twice"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pax(records: &str) -> Result<Extension, &'static str> {
        let mut extension = Extension::default();
        extension.take(EntryType::XHeader, records.len() as u64, records.as_bytes()).map(|_| extension)
    }

    #[test]
    fn names_and_sizes_are_read_once() {
        let read = pax("12 path=a/b\n10 size=7\n13 mtime=1.5\n").unwrap();
        assert_eq!((read.name.as_deref(), read.size), (Some(&b"a/b"[..]), Some(7)));
        for bad in [
            "12 path=a/b\n12 path=a/c\n",
            "11 size=-7\n",
            "13 size=0x10\n",
            "22 GNU.sparse.major=1\n",
            "99 path=a\n",
            "nonsense\n",
        ] {
            assert!(pax(bad).is_err(), "{bad}");
        }
        let mut both = pax("12 path=a/b\n").unwrap();
        assert!(both.take(EntryType::GNULongName, 4, &b"a/c\0"[..]).is_err());
        assert!(both.take(EntryType::XHeader, 0, &b""[..]).is_err());
        let mut large = Extension::default();
        assert!(large.take(EntryType::XHeader, 1 << 30, &b""[..]).is_err());
        assert_eq!(large.take(EntryType::Regular, 1 << 30, &b""[..]), Ok(false));
        assert!(large.is_empty() && !both.is_empty());
    }
}
