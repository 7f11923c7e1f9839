//! A carrier: a file that may be a volume, read by position. Nothing is believed of its name, size or date.
//!
//! Its heads are looked for at the beginning and, by the end mark, at the end: a carrier that was cut, or to which something
//! was added, still has one of them, and its blocks are counted from that one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::head::{self, END, FIXED, Head, HeadError};

/// Bytes that may be a volume.
pub trait Carrier: Send + Sync + std::fmt::Debug {
    /// What a person finds it by.
    fn name(&self) -> String;
    /// Its length in bytes, as it was when it was found.
    fn length(&self) -> u64;
    /// Whether it is one of the files in which blocks of earlier rounds are kept: those have gaps by intention.
    fn is_kept(&self) -> bool {
        false
    }
    /// Fills `buffer` from `offset`; an end before that is an error.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file on a disk. It is opened for each read: thousands of volumes would be too many open files.
#[derive(Debug, Clone)]
pub struct FileCarrier {
    path: PathBuf,
    length: u64,
    kept: bool,
}

impl FileCarrier {
    /// The regular file at `path`; `kept` if it is ferry's own from an earlier round.
    #[must_use]
    pub fn new(path: &Path, length: u64, kept: bool) -> Self {
        Self { path: path.to_owned(), length, kept }
    }
}

impl Carrier for FileCarrier {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn is_kept(&self) -> bool {
        self.kept
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        File::open(&self.path)?.read_exact_at(buffer, offset)
    }
}

/// Bytes in memory.
#[derive(Debug, Clone)]
pub struct MemoryCarrier {
    /// The name.
    pub name: String,
    /// The bytes.
    pub bytes: std::sync::Arc<Vec<u8>>,
}

impl Carrier for MemoryCarrier {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = usize::try_from(offset).ok().filter(|from| *from <= self.bytes.len());
        let bytes = from.and_then(|from| self.bytes.get(from..from.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What was found at the two ends of a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// The head, if one of the two copies is whole.
    pub head: Option<Head>,
    /// Where the first block stands, counted from the first copy of the head; absent if that is damaged.
    pub from_front: Option<u64>,
    /// The same, counted back from the second copy. Below 0 where the carrier has lost its beginning.
    pub from_end: Option<i64>,
    /// What is wrong with the first copy.
    pub front: Result<(), HeadError>,
    /// What is wrong with the second copy or the end mark.
    pub end: Result<(), HeadError>,
}

/// Looks at both ends of a carrier.
pub fn ends(carrier: &dyn Carrier) -> io::Result<Ends> {
    let front_bytes = at_front(carrier)?;
    let end_bytes = at_end(carrier)?;
    let front = front_bytes.as_ref().map_err(Clone::clone).and_then(|bytes| Head::decode(bytes));
    let (mut from_front, mut from_end) = (None, None);
    if front.is_ok() {
        from_front = front_bytes.as_ref().ok().map(|bytes| bytes.len() as u64);
    }
    let blocks_before = |head: &Head, at: u64| {
        let blocks = i64::from(head.blocks()) * i64::from(head.plan.set.block_size);
        Some(i64::try_from(at).unwrap_or(i64::MAX) - blocks)
    };
    let (mut head, mut end) = (None, Ok(()));
    match (&front, end_bytes) {
        // The usual case: the same bytes twice, of which one copy is decoded.
        (Ok(first), Ok((second, at))) if front_bytes.as_ref() == Ok(&second) => from_end = blocks_before(first, at),
        // Two volumes in one file: the first counts, the second copy is another volume's.
        (Ok(_), Ok(_)) => end = Err(HeadError::Lies("its two heads differ".into())),
        (Err(_), Ok((second, at))) => match Head::decode(&second) {
            Ok(decoded) => {
                from_end = blocks_before(&decoded, at);
                head = Some(decoded);
            }
            Err(error) => end = Err(error),
        },
        (_, Err(error)) => end = Err(error),
    }
    let state = front.as_ref().map(|_| ()).map_err(Clone::clone);
    Ok(Ends { head: front.ok().or(head), from_front, from_end, front: state, end })
}

fn at_front(carrier: &dyn Carrier) -> io::Result<Result<Vec<u8>, HeadError>> {
    if carrier.length() < FIXED as u64 {
        return Ok(Err(HeadError::NotAHead));
    }
    let mut fixed = [0; FIXED];
    carrier.read_exact_at(&mut fixed, 0)?;
    let length = match head::claimed_length(&fixed) {
        Ok(length) if length as u64 <= carrier.length() => length,
        Ok(_) => return Ok(Err(HeadError::Damaged)),
        Err(error) => return Ok(Err(error)),
    };
    let mut bytes = vec![0; length];
    carrier.read_exact_at(&mut bytes, 0)?;
    Ok(Ok(bytes))
}

fn at_end(carrier: &dyn Carrier) -> io::Result<Result<(Vec<u8>, u64), HeadError>> {
    let Some(mark_at) = carrier.length().checked_sub(END as u64) else { return Ok(Err(HeadError::NotAHead)) };
    let mut mark = [0; END];
    carrier.read_exact_at(&mut mark, mark_at)?;
    let length = match head::length_before_end(&mark) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    let Some(at) = mark_at.checked_sub(length as u64) else { return Ok(Err(HeadError::Damaged)) };
    let mut bytes = vec![0; length];
    carrier.read_exact_at(&mut bytes, at)?;
    Ok(Ok((bytes, at)))
}
