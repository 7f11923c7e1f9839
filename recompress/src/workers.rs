//! Work done by a few threads, its results taken in the order in which it was given out.
//!
//! Twice as many pieces as threads may be under way, so that a thread that is done early has something to do while an
//! earlier piece takes longer.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls `work` on what `next` hands out, on `count` threads, and `take` on each result in order. Ends when `next` has
/// nothing more, or with the first error of either. A panic of `work` goes on here.
pub(crate) fn in_order<T: Send, R: Send, E>(
    count: usize,
    work: impl Fn(T) -> R + Sync,
    mut next: impl FnMut() -> Result<Option<T>, E>,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let (sender, jobs) = sync_channel::<(T, SyncSender<R>)>(2 * count);
    let jobs = Mutex::new(jobs);
    thread::scope(|scope| {
        // Dropped at the end of this closure, which is when the threads find nothing more to do.
        let sender = sender;
        for _ in 0..count {
            scope.spawn(|| {
                while let Some((job, answer)) = receive(&jobs) {
                    // Nobody listens any more after an error; then the rest is not needed either.
                    if answer.send(work(job)).is_err() {
                        break;
                    }
                }
            });
        }
        let mut waiting: VecDeque<Receiver<R>> = VecDeque::new();
        while let Some(job) = next()? {
            if waiting.len() >= 2 * count {
                answered(&mut waiting, &mut take)?;
            }
            let (answer, result) = sync_channel(1);
            // Only when all threads are gone is nobody there; then a panic is on its way.
            if sender.send((job, answer)).is_err() {
                break;
            }
            waiting.push_back(result);
        }
        while !waiting.is_empty() {
            answered(&mut waiting, &mut take)?;
        }
        Ok(())
    })
}

fn receive<J>(jobs: &Mutex<Receiver<J>>) -> Option<J> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn answered<R, E>(waiting: &mut VecDeque<Receiver<R>>, take: &mut impl FnMut(R) -> Result<(), E>) -> Result<(), E> {
    match waiting.pop_front().map(|result| result.recv()) {
        Some(Ok(result)) => take(result),
        // Its thread panicked; the scope says so when it ends.
        Some(Err(_)) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_takes_longer() {
        let mut numbers = 0..100u64;
        let mut found = Vec::new();
        // Every seventh piece takes longer than what comes after it.
        let work = |number: u64| {
            let busy = if number.is_multiple_of(7) { 100_000 } else { 0 };
            2 * number + (0..busy).map(|step| std::hint::black_box(step) / busy).sum::<u64>()
        };
        in_order(
            3,
            work,
            || Ok::<_, ()>(numbers.next()),
            |result| {
                found.push(result);
                Ok(())
            },
        )
        .expect("no error");
        assert_eq!(found, (0..100).map(|number| 2 * number).collect::<Vec<u64>>());
    }

    #[test]
    fn an_error_ends_it() {
        let mut numbers = 0..1000u32;
        let refused = in_order(
            2,
            |number| number,
            || Ok(numbers.next()),
            |result| {
                if result == 5 { Err("five") } else { Ok(()) }
            },
        );
        assert_eq!(refused, Err("five"));
        let failed = in_order(2, |number: u32| number, || Err::<Option<u32>, _>("nothing to read"), |_| Ok(()));
        assert_eq!(failed, Err("nothing to read"));
    }

    #[test]
    fn a_panic_goes_on() {
        let run = || {
            let mut numbers = 0..50u32;
            in_order(2, |number| assert_ne!(number, 7), || Ok::<_, ()>(numbers.next()), |()| Ok(()))
        };
        assert!(std::panic::catch_unwind(run).is_err());
    }
}
