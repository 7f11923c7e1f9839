//! How many blobs are made again at once: each takes up to half a gibibyte while it is made, so there are at most as many turns
//! as processors, however many threads or clients ask.
//!
//! Who makes a blob in one go waits for a turn. A reader that comes and goes ([`Shared`]) gives its turn back when its blob has
//! come to its end, and loses it to whoever waits when nobody has read from it for a while: what it had made is forgotten
//! then, and made again when it is read further. So a client that has stopped reading holds up nobody.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::blob::BlobCursor;

/// After how long a reader that nobody reads from may lose its turn.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often who waits looks for a reader that has fallen asleep.
const LOOK: Duration = Duration::from_millis(500);

/// The turns, shared by all who make blobs again from one bundle.
#[derive(Debug)]
pub struct Turns {
    limit: usize,
    patience: Duration,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    /// In one go.
    plain: usize,
    /// By readers: who, and when it was read from last.
    readers: Vec<(Weak<BlobCursor>, Instant)>,
}

impl Default for Turns {
    /// As many as there are processors.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from), PATIENCE)
    }
}

/// A turn, given back when it is dropped.
#[derive(Debug)]
pub struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().plain -= 1;
        self.0.freed.notify_all();
    }
}

impl Turns {
    /// So many, at least one; a reader that was not read from for `patience` may lose its.
    #[must_use]
    pub fn new(limit: usize, patience: Duration) -> Self {
        Self { limit: limit.max(1), patience, taken: Mutex::default(), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Who has one must not wait for another.
    #[must_use]
    pub fn take(&self) -> Turn<'_> {
        self.wait().plain += 1;
        Turn(self)
    }

    /// Waits until there is room for one more.
    fn wait(&self) -> MutexGuard<'_, Taken> {
        let mut taken = self.lock();
        while taken.plain + taken.readers.len() >= self.limit && !self.wake_asleep(&mut taken) {
            taken = self.freed.wait_timeout(taken, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        taken
    }

    /// Takes the turn of the reader that nobody has read from for longest, if that is long enough.
    fn wake_asleep(&self, taken: &mut Taken) -> bool {
        let idlest = taken.readers.iter().enumerate().min_by_key(|(_, (_, read))| *read);
        let Some((n, _)) = idlest.filter(|(_, (_, read))| read.elapsed() >= self.patience) else { return false };
        // Where it is being read from at this very moment, it is not asleep after all.
        let asleep = taken.readers[n].0.upgrade().is_none_or(|reader| reader.set_aside());
        if asleep {
            taken.readers.swap_remove(n);
        } else {
            taken.readers[n].1 = Instant::now();
        }
        asleep
    }
}

/// A blob that is read at any place by somebody who may fall asleep, in turns with others.
pub struct Shared {
    cursor: Arc<BlobCursor>,
    turns: Arc<Turns>,
}

impl Shared {
    /// This blob, in these turns.
    #[must_use]
    pub fn new(cursor: BlobCursor, turns: Arc<Turns>) -> Self {
        Self { cursor: Arc::new(cursor), turns }
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.cursor.blob().size()
    }

    /// Reads at `offset`; 0 only at the end or into an empty buffer. Waits for a turn where the blob has to be made again.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cursor.blob().region().is_some() || offset >= self.size() || buffer.is_empty() {
            return self.cursor.read_at(offset, buffer);
        }
        if !self.touch() {
            let mut taken = self.turns.wait();
            taken.readers.push((Arc::downgrade(&self.cursor), Instant::now()));
        }
        let read = self.cursor.read_at(offset, buffer);
        if self.cursor.is_running() {
            self.touch();
        } else {
            self.give_back();
        }
        read
    }

    /// Notes that it is read from now; whether it has a turn.
    fn touch(&self) -> bool {
        let mut taken = self.turns.lock();
        let mine = taken.readers.iter_mut().find(|(reader, _)| self.is(reader));
        mine.map(|(_, read)| *read = Instant::now()).is_some()
    }

    fn is(&self, reader: &Weak<BlobCursor>) -> bool {
        std::ptr::eq(reader.as_ptr(), Arc::as_ptr(&self.cursor))
    }

    fn give_back(&self) {
        self.turns.lock().readers.retain(|(reader, _)| !self.is(reader));
        self.turns.freed.notify_all();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Limits, Rebuilder, gzip_as_go, make, plain_layer};
    use super::*;
    use crate::archive::Region;
    use crate::digest::Digest;
    use crate::index::Extent;

    /// A blob that is stored compact, and its bytes.
    fn blob(seed: u64) -> (BlobCursor, Vec<u8>) {
        let gzip = gzip_as_go(&plain_layer(seed, 0, 1_500_000), 6);
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &gzip, 0).unwrap();
        let extent = Extent { digest: Digest::of(&gzip), size: gzip.len() as u64 };
        let source = Region::new(Arc::new(file), 0, extent.size).into();
        let out = tempfile::tempfile().unwrap();
        let made = make(extent, &source, None, Limits::default(), &out).unwrap().expect("it gains");
        let region = Region::new(Arc::new(out), 0, made.stored.size);
        (BlobCursor::new(Rebuilder::new(region, made.how, None).unwrap().into()), gzip)
    }

    fn read(shared: &Shared, from: usize, to: usize) -> Vec<u8> {
        let mut bytes = vec![0; to - from];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += shared.read_at((from + filled) as u64, &mut bytes[filled..]).unwrap();
        }
        bytes
    }

    #[test]
    fn no_more_are_at_it_than_there_are_turns() {
        let turns = Turns::new(2, PATIENCE);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _turn = turns.take();
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 2);
        assert_eq!(turns.lock().plain, 0);
    }

    #[test]
    fn a_reader_that_fell_asleep_loses_its_turn_and_nothing_else() {
        let turns = Arc::new(Turns::new(1, Duration::ZERO));
        let ((first, a), (second, b)) = (blob(1), blob(2));
        let (first, second) = (Shared::new(first, turns.clone()), Shared::new(second, turns.clone()));
        assert_eq!(read(&first, 0, 1000), a[..1000]);
        assert!(first.cursor.is_running());
        // The only turn goes to the second, from its beginning to its end.
        assert_eq!(read(&second, 0, b.len()), b);
        assert!(!first.cursor.is_running() && !second.cursor.is_running() && turns.lock().readers.is_empty());
        // The first goes on where it was.
        assert_eq!(read(&first, 1000, a.len()), a[1000..]);
        assert!(turns.lock().readers.is_empty());
    }

    #[test]
    fn a_reader_that_is_gone_leaves_its_turn() {
        let turns = Arc::new(Turns::new(1, PATIENCE));
        let ((first, a), (second, b)) = (blob(3), blob(4));
        let first = Shared::new(first, turns.clone());
        assert_eq!(read(&first, 0, 10), a[..10]);
        assert_eq!(turns.lock().readers.len(), 1);
        drop(first);
        let second = Shared::new(second, turns.clone());
        assert_eq!(read(&second, 5, b.len()), b[5..]);
        drop(turns.take());
    }
}
