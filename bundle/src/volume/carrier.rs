//! A carrier: a file that may be a volume, read by position. Nothing is believed of its name, size or date.
//!
//! Its heads are looked for at the beginning and, by the end mark, at the end: a carrier that was cut, or to which something
//! was added, still has one of them, and its blocks are counted from that one. A sector that can't be read costs the copy in
//! which it lies; where both copies have such sectors, one is completed from the other.

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
pub fn ends(carrier: &dyn Carrier) -> Ends {
    let first_bytes = read_small::<FIXED>(carrier, Some(0)).and_then(|fixed| head::claimed_length(&fixed));
    let mark_at = carrier.length().checked_sub(END as u64);
    let mark = read_small::<END>(carrier, mark_at).and_then(|mark| head::length_before_end(&mark));
    // Where one of the two lengths can't be read, the other one stands for both.
    let front = instead(&first_bytes, &mark).and_then(|length| HeadCopy::read(carrier, Some(0), length));
    let end = instead(&mark, &first_bytes).and_then(|length| {
        let at = mark_at.and_then(|mark_at| mark_at.checked_sub(length as u64));
        HeadCopy::read(carrier, at, length)
    });

    let blocks_before = |head: &Head, at: u64| {
        let blocks = i64::from(head.blocks()) * i64::from(head.plan.set.block_size);
        Some(i64::try_from(at).unwrap_or(i64::MAX) - blocks)
    };
    let whole = |copy: &Result<HeadCopy, HeadError>| copy.as_ref().map_err(Clone::clone).and_then(HeadCopy::whole);
    let (front_bytes, end_bytes) = (whole(&front), whole(&end));
    let decoded = front_bytes.clone().and_then(|bytes| Head::decode(&bytes));
    let (mut from_front, mut from_end) = (None, None);
    if let (Ok(_), Ok(bytes)) = (&decoded, &front_bytes) {
        from_front = Some(bytes.len() as u64);
    }
    let end_at = end.as_ref().map_or(0, |copy| copy.at);
    let (mut head, mut end_state) = (None, mark.map(|_| ()));
    match (&decoded, end_bytes) {
        // The usual case: the same bytes twice, of which one copy is decoded.
        (Ok(first), Ok(second)) if front_bytes.as_ref() == Ok(&second) => from_end = blocks_before(first, end_at),
        // Two volumes in one file: the first counts, the second copy is another volume's.
        (Ok(_), Ok(_)) => end_state = end_state.and(Err(HeadError::Lies("its two heads differ".into()))),
        (Err(_), Ok(second)) => match Head::decode(&second) {
            Ok(decoded) => {
                from_end = blocks_before(&decoded, end_at);
                head = Some(decoded);
            }
            Err(error) => end_state = end_state.and(Err(error)),
        },
        (_, Err(error)) => end_state = end_state.and(Err(error)),
    }
    if let (Err(_), None, Ok(front), Ok(end)) = (&decoded, &head, &front, &end) {
        head = front.completed(end).or_else(|| end.completed(front));
        from_front = head.as_ref().map(|_| front.bytes.len() as u64);
        from_end = head.as_ref().and_then(|head| blocks_before(head, end.at));
    }
    let state = decoded.as_ref().map(|_| ()).map_err(Clone::clone);
    Ends { head: decoded.ok().or(head), from_front, from_end, front: state, end: end_state }
}

/// A length, or the other copy's where this one can't be read.
fn instead(one: &Result<usize, HeadError>, other: &Result<usize, HeadError>) -> Result<usize, HeadError> {
    match (one, other) {
        (Err(HeadError::Unreadable(_)), Ok(length)) => Ok(*length),
        _ => one.clone(),
    }
}

fn read_small<const N: usize>(carrier: &dyn Carrier, at: Option<u64>) -> Result<[u8; N], HeadError> {
    let at = at.filter(|at| at.saturating_add(N as u64) <= carrier.length()).ok_or(HeadError::NotAHead)?;
    let mut bytes = [0; N];
    let read = carrier.read_exact_at(&mut bytes, at);
    read.map(|()| bytes).map_err(|error| HeadError::Unreadable(error.to_string()))
}

/// One copy of the head, as far as the medium gives it.
#[derive(Debug)]
struct HeadCopy {
    at: u64,
    bytes: Vec<u8>,
    /// What could not be read, and why.
    holes: Vec<std::ops::Range<usize>>,
    why: String,
}

/// In what pieces a copy is read that can't be read at once: a page, then a sector.
const PIECES: [usize; 2] = [4096, 512];
/// How many pieces may fail before the rest is given up: each may take a drive seconds.
const MOST_FAILED: usize = 256;

impl HeadCopy {
    fn read(carrier: &dyn Carrier, at: Option<u64>, length: usize) -> Result<Self, HeadError> {
        let within = |at: &u64| at.saturating_add(length as u64) <= carrier.length();
        let at = at.filter(within).ok_or(HeadError::Damaged)?;
        let mut copy = Self { at, bytes: vec![0; length], holes: Vec::new(), why: String::new() };
        if let Err(error) = carrier.read_exact_at(&mut copy.bytes, at) {
            copy.why = error.to_string();
            copy.pieces(carrier, 0..length, &PIECES);
        }
        Ok(copy)
    }

    /// Reads a stretch piece by piece, each of them within one page or sector of the carrier.
    fn pieces(&mut self, carrier: &dyn Carrier, stretch: std::ops::Range<usize>, sizes: &[usize]) {
        let Some((&size, smaller)) = sizes.split_first() else {
            self.bytes[stretch.clone()].fill(0);
            self.holes.push(stretch);
            return;
        };
        let mut from = stretch.start;
        while from < stretch.end {
            let within = usize::try_from((self.at + from as u64) % size as u64).expect("below the size of a piece");
            let to = stretch.end.min(from + size - within);
            let given_up = self.holes.len() >= MOST_FAILED;
            if given_up || carrier.read_exact_at(&mut self.bytes[from..to], self.at + from as u64).is_err() {
                self.pieces(carrier, from..to, if given_up { &[] } else { smaller });
            }
            from = to;
        }
    }

    fn whole(&self) -> Result<Vec<u8>, HeadError> {
        if self.holes.is_empty() { Ok(self.bytes.clone()) } else { Err(HeadError::Unreadable(self.why.clone())) }
    }

    /// The head, with what could not be read of this copy taken from the other.
    fn completed(&self, other: &Self) -> Option<Head> {
        if self.holes.is_empty() || self.bytes.len() != other.bytes.len() {
            return None;
        }
        let mut bytes = self.bytes.clone();
        for hole in &self.holes {
            bytes[hole.clone()].copy_from_slice(&other.bytes[hole.clone()]);
        }
        Head::decode(&bytes).ok()
    }
}
