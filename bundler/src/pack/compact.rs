//! Compact storage in the making: which blobs are packed and how, blob by blob on several threads, through the cache beside
//! the store. What comes out depends on the lock and on what each blob may lean on, not on order or threads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::assemble::{Packing, SignedBundle};
use ferry_bundle_format::compact::{Cache, CacheError, Kept, Limits, Older, StoredBlob};
use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::index::{Entry, Extent};
use ferry_bundle_format::lock::contents::{Blob, Contents, Supply};
use ferry_bundle_format::store::Store;

use super::PackError;
use crate::event::{Event, Reporter};

/// Blobs below this are not looked at: what could be gained is below the limit anyway.
const SMALLEST: u64 = 64 << 10;

/// The most threads: each may take half a gibibyte.
const MAX_JOBS: usize = 8;

/// What can be leaned on, and what is left out: for an upgrade package. Nothing, for a full one.
#[derive(Debug, Default)]
pub struct Against {
    /// Blobs that are where the package will be applied, whatever it is applied to.
    pub there: BTreeMap<Digest, u64>,
    /// For a blob: the older ones that it may lean on.
    pub older: BTreeMap<Digest, Vec<Older>>,
    /// The serials it can be applied to.
    pub applies_to: Vec<u64>,
    /// Whether what is carried stays as it is.
    pub verbatim: bool,
}

/// Where the stored bytes of each entry are: in the store, or among what was made compact.
#[derive(Debug)]
pub struct Stock<'a> {
    store: &'a Store,
    kept: BTreeMap<Digest, Kept>,
}

impl<'a> Stock<'a> {
    /// Every blob as it is, from the store.
    #[must_use]
    pub fn verbatim(store: &'a Store) -> Self {
        Self { store, kept: BTreeMap::new() }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store
    }

    /// What is stored of this entry.
    pub(super) fn open(&self, entry: &Entry) -> io::Result<File> {
        match entry.rebuilt().and_then(|how| self.kept.get(&how.blob.digest)) {
            Some(kept) => kept.open(),
            None => self.store.reader(&entry.digest),
        }
    }

    /// Whether an entry of these stored bytes is among what was made compact.
    pub(super) fn has_made(&self, stored: &Digest) -> bool {
        self.kept.values().any(|kept| kept.made.stored.digest == *stored)
    }

    /// Makes compact what gains by it. `full` is the same content, verbatim: its contents and its signed head. The store
    /// must be held.
    pub fn compact(
        store: &'a Store,
        full: &SignedBundle,
        against: &Against,
        jobs: usize,
        reporter: &dyn Reporter,
    ) -> Result<(Self, Packing), PackError> {
        let contents = full.contents();
        // What ferry derives is small and carried: a store that only has what was fetched lacks it.
        let there = |(digest, blob): &(&Digest, &Blob)| against.there.contains_key(*digest) && is_brought(blob);
        let left_out: BTreeSet<Digest> = contents.blobs.iter().filter(there).map(|(digest, _)| *digest).collect();
        let work = if against.verbatim { Vec::new() } else { candidates(contents, against) };
        super::missing(store, full.places().into_iter().filter(|(digest, _)| !against.there.contains_key(digest)))?;
        let total = work.iter().map(|(_, size)| size).sum();
        let detail = format!("{} blobs, {} left out", work.len(), left_out.len());
        reporter.event(&Event::Phase { name: "compact", detail, bytes: Some(total) });
        let making = Making { store, cache: Cache::open(store.root(), Limits::default())?, against, reporter };
        let kept = making.all(&work, jobs)?;
        let packs = kept.iter().map(|(digest, kept)| (*digest, kept.made.clone())).collect();
        let applies_to = against.applies_to.clone();
        let packing = Packing { packs, left_out, applies_to, verbatim_head: full.head().to_vec() };
        Ok((Self { store, kept }, packing))
    }
}

/// Whether somebody else has to supply it.
fn is_brought(blob: &Blob) -> bool {
    !matches!(blob.supplies.first(), Some(Supply::Derived(_)))
}

/// What may gain by being packed, the largest first, so that no thread is left alone with one at the end.
fn candidates(contents: &Contents, against: &Against) -> Vec<(Digest, u64)> {
    let mut work: Vec<_> = contents
        .blobs
        .iter()
        .filter(|(digest, blob)| blob.size >= SMALLEST && is_brought(blob) && !against.there.contains_key(*digest))
        .map(|(digest, blob)| (*digest, blob.size))
        .collect();
    work.sort_by_key(|(digest, size)| (std::cmp::Reverse(*size), *digest));
    work
}

struct Making<'a> {
    store: &'a Store,
    cache: Cache,
    against: &'a Against,
    reporter: &'a dyn Reporter,
}

impl Making<'_> {
    fn all(&self, work: &[(Digest, u64)], jobs: usize) -> Result<BTreeMap<Digest, Kept>, PackError> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let made = Mutex::new((BTreeMap::new(), None));
        std::thread::scope(|scope| {
            for _ in 0..jobs.clamp(1, MAX_JOBS).min(work.len().max(1)) {
                scope.spawn(|| {
                    while let Some(&(digest, size)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let result = self.one(Extent { digest, size });
                        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                        match result {
                            Ok(Some(kept)) => drop(made.0.insert(digest, kept)),
                            Ok(None) => {}
                            Err(error) => {
                                stop.store(true, Ordering::Relaxed);
                                made.1.get_or_insert(error);
                            }
                        }
                    }
                });
            }
        });
        let (kept, failed) = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        match failed {
            Some(error) => Err(error),
            None => Ok(kept),
        }
    }

    /// The smallest form of a blob; `None` if that is the blob itself.
    fn one(&self, blob: Extent) -> Result<Option<Kept>, PackError> {
        let path = self.store.path(&blob.digest);
        let open = self.store.reader(&blob.digest);
        let file = open.map_err(|source| PackError::Io { doing: "read", path, source })?;
        let source: StoredBlob = Region::new(std::sync::Arc::new(file), 0, blob.size).into();
        let mut best = self.cache.get(blob, &source, None)?;
        for older in self.against.older.get(&blob.digest).into_iter().flatten() {
            let leaning = self.cache.get(blob, &source, Some(older))?;
            let size = |kept: &Option<Kept>| kept.as_ref().map_or(blob.size, |kept| kept.made.stored.size);
            if size(&leaning) < size(&best) {
                best = leaning;
            }
        }
        self.reporter.event(&Event::Moved { bytes: blob.size });
        if let Some(kept) = &best {
            let how = if kept.made.how.leans_on.is_some() { " against an older layer" } else { "" };
            let name = format!(
                "sha256:{} {} → {}{how}",
                blob.digest.short(),
                human_size(blob.size),
                human_size(kept.made.stored.size)
            );
            self.reporter.event(&Event::Done { what: "packed", name, bytes: Some(kept.made.stored.size) });
        }
        Ok(best)
    }
}

impl From<CacheError> for PackError {
    fn from(error: CacheError) -> Self {
        Self::Compact(error)
    }
}
