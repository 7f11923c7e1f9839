//! Leases on all hosts of a run: taken before anything is looked at, renewed while the work lasts, given back after it.
//!
//! ```text
//! hold ── renews from the first lease on ── take all ── work ── give all back
//! ```
//! A lease that somebody else has got meanwhile stops the run. A host whose lease could not be taken or renewed because it can't
//! be reached is left alone for the rest of the run ([`Guarded`]): somebody else may work there when it is back.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Stop;
use super::guarded::Gone;
use super::lease::{self, Held, SECONDS};
use crate::event::Event;
use crate::host::{Host, HostError};
use crate::journal::Journal;

/// Hosts that are asked at once: a thousand leases have to be renewed well before the first lapses, over any link; and a thousand
/// handshakes at once would take longer than any one of them may.
const TOGETHER: usize = 32;

/// How long leases last, and how often they are renewed.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Seconds that a lease lasts after it was renewed; at most [`SECONDS`].
    pub seconds: u64,
    /// Between two renewals. One that takes longer than that has failed.
    pub every: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { seconds: SECONDS, every: Duration::from_secs(SECONDS / 3) }
    }
}

/// Why a run may not work, or may not go on.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else works on a host.
    #[error(transparent)]
    Held(Held),
    /// These hosts can be reached, and their leases can't be taken.
    #[error("the leases of {} hosts can't be taken", .0.len())]
    Hosts(Vec<HostError>),
    /// The run was asked to stop meanwhile.
    #[error("stopped while leases were taken")]
    Stopped,
    /// A lease was lost while the run worked: it was stopped.
    #[error("the lease on {host} was lost, so this run was stopped: {why}")]
    Lost {
        /// The host.
        host: String,
        /// How.
        why: String,
    },
}

/// A host of the run.
struct Entry {
    host: Arc<dyn Host>,
    essential: bool,
    /// When the lease was last asked for with success.
    last: Mutex<Option<Instant>>,
}

/// The leases of a run.
pub struct Leases {
    owner: String,
    who: String,
    terms: Terms,
    entries: Vec<Entry>,
    gone: Gone,
    stop: Stop,
    journal: Journal,
    refused: AtomicBool,
    lost: OnceLock<(String, String)>,
    room: Semaphore,
}

/// Ends a task with this.
struct Ending(JoinHandle<()>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Leases {
    /// The leases of these hosts, for `owner`; `who` is what others are told. `essential` says without which hosts the run can't
    /// go on. Hosts that have to be left alone are noted in `gone`.
    pub fn new(
        hosts: &BTreeMap<String, Arc<dyn Host>>,
        essential: impl Fn(&str) -> bool,
        (owner, who): (&str, &str),
        gone: Gone,
        (stop, journal): (Stop, Journal),
    ) -> Self {
        let entry = |(name, host): (&String, &Arc<dyn Host>)| Entry {
            host: host.clone(),
            essential: essential(name),
            last: Mutex::default(),
        };
        Self {
            owner: owner.to_owned(),
            who: who.to_owned(),
            terms: Terms::default(),
            entries: hosts.iter().map(entry).collect(),
            gone,
            stop,
            journal,
            refused: AtomicBool::new(false),
            lost: OnceLock::new(),
            room: Semaphore::new(TOGETHER),
        }
    }

    /// On other terms.
    #[must_use]
    pub fn on(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// Does `work` under the leases. They are given back whatever comes of it.
    pub async fn hold<T>(self, work: impl Future<Output = T>) -> Result<T, LeaseError> {
        let this = Arc::new(self);
        // From the first lease on: the last one may be taken minutes later, after a question to the engineer.
        let renewal = this.clone();
        let renewal = Ending(tokio::spawn(async move { renewal.renew().await }));
        let result = match this.take().await {
            Ok(()) => Ok(work.await),
            Err(error) => Err(error),
        };
        drop(renewal);
        this.release().await;
        match this.lost.get().cloned() {
            Some((host, why)) => Err(LeaseError::Lost { host, why }),
            None => result,
        }
    }

    /// Takes them all. After the first that somebody else holds no other is begun.
    async fn take(&self) -> Result<(), LeaseError> {
        let one = |entry| async move {
            if self.refused.load(Ordering::SeqCst) || self.stop.asked() {
                return None;
            }
            let result = self.ask(entry).await;
            if matches!(result, Ok(Err(_))) {
                self.refused.store(true, Ordering::SeqCst);
            }
            Some((entry, result))
        };
        let mut taken = stream::iter(&self.entries).map(one).buffer_unordered(TOGETHER);
        let (mut held, mut failed) = (None, Vec::new());
        while let Some(one) = taken.next().await {
            match one {
                Some((_, Ok(Err(somebody)))) => held = Some(somebody),
                Some((entry, Err(error))) if error.is_absence() => self.gone.put(entry.host.name(), &error),
                Some((_, Err(error))) => failed.push(error),
                Some((_, Ok(Ok(())))) | None => {}
            }
        }
        match (held, failed.is_empty()) {
            (Some(held), _) => Err(LeaseError::Held(held)),
            (None, false) => Err(LeaseError::Hosts(failed)),
            (None, true) if self.stop.asked() => Err(LeaseError::Stopped),
            (None, true) => Ok(()),
        }
    }

    /// Takes or renews one; notes when it was asked for, which is before it began to count.
    async fn ask(&self, entry: &Entry) -> Result<Result<(), Held>, HostError> {
        let asked = Instant::now();
        let result = lease::take(entry.host.as_ref(), &self.owner, &self.who, self.terms.seconds).await;
        if matches!(result, Ok(Ok(()))) {
            *entry.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        }
        result
    }

    /// Renews each by itself, so that a host which does not answer keeps no other waiting.
    async fn renew(&self) {
        join_all(self.entries.iter().map(|entry| self.keep(entry))).await;
    }

    async fn keep(&self, entry: &Entry) {
        loop {
            tokio::time::sleep(self.terms.every).await;
            let last = || *entry.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last().is_none() {
                continue;
            }
            let work = async {
                let _one_of_few = self.room.acquire().await;
                self.ask(entry).await
            };
            let failed = match tokio::time::timeout(self.terms.every, work).await {
                Ok(Ok(Ok(()))) => continue,
                Ok(Ok(Err(held))) => return self.lose(entry, &held.to_string(), true),
                Ok(Err(error)) => error.kind.to_string(),
                Err(_) => format!("no answer for {} s", self.terms.every.as_secs()),
            };
            let lapsed = last().is_none_or(|at| at.elapsed() >= Duration::from_secs(self.terms.seconds));
            if lapsed {
                let why = format!("it could not be renewed for {} s: {failed}", self.terms.seconds);
                return self.lose(entry, &why, entry.essential);
            }
        }
    }

    /// Notes that a lease is no longer ours: nothing more is begun on its host, and in the whole run if that `ends` it.
    fn lose(&self, entry: &Entry, why: &str, ends: bool) {
        let host = entry.host.name();
        *entry.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.gone.lose(host, why);
        if ends {
            // Only the first is told: the others follow from it.
            let _ = self.lost.set((host.to_owned(), why.to_owned()));
        }
        self.journal.record(&Event::LeaseLost { host: host.to_owned(), why: why.to_owned(), stopped: ends });
        if ends {
            self.stop.ask();
        }
    }

    /// Gives back those that were taken.
    async fn release(&self) {
        let taken =
            self.entries.iter().filter(|entry| entry.last.lock().unwrap_or_else(PoisonError::into_inner).is_some());
        stream::iter(taken)
            .for_each_concurrent(TOGETHER, |entry| lease::release(entry.host.as_ref(), &self.owner))
            .await;
    }
}
