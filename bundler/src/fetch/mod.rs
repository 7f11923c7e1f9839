//! Fetching: every blob of a lock once, from wherever it can be had, into a [`Target`].
//!
//! ```text
//! Contents ─► plan (what is missing, does it fit) ─► transfers, bounded ─► Target (store, or the archive itself)
//! ```
//! The network side is async; hashing and writing run on blocking threads behind a bounded channel. A
//! transfer goes on from what its target already has, re-read and re-hashed. Nothing is complete before its
//! digest has been compared.

mod error;
mod local;
mod target;
mod transfer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::contents::{Blob, Contents, Supply};
use futures_util::StreamExt as _;

use crate::event::{Event, Reporter};
use crate::source::RegistryClient;

pub use error::FetchError;
pub use target::{Sink, StoreTarget, Target};

/// What a kill can lose of a connection, in bytes: half of it may wait to be handed over for hashing and writing, the
/// other half to be noted as written.
pub const CHUNK: usize = 1024 * 1024;

/// The most failures that are kept; after them the rest is not tried.
const MAX_FAILURES: usize = 20;

/// Everything a fetch needs beside what to fetch.
#[derive(Clone)]
pub struct Fetcher {
    /// Speaks to registries and file servers.
    pub client: RegistryClient,
    /// Shows what happens.
    pub reporter: Arc<dyn Reporter>,
    /// How many transfers run at once.
    pub jobs: usize,
    /// What local paths in the lock are relative to.
    pub base: PathBuf,
}

/// What a fetch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Blobs that were already there.
    pub had: usize,
    /// Blobs that were brought.
    pub brought: usize,
    /// Bytes that were already there.
    pub had_bytes: u64,
    /// Bytes of the blobs that were brought.
    pub brought_bytes: u64,
}

impl Fetcher {
    /// Brings every blob of `contents` that `target` misses. `derived` blobs are made here where the target
    /// wants them.
    pub async fn fetch(&self, contents: &Contents, target: Arc<dyn Target>) -> Result<Fetched, FetchError> {
        let mut fetched = Fetched::default();
        let mut missing: BTreeMap<Digest, &Blob> = BTreeMap::new();
        for (digest, blob) in &contents.blobs {
            if target.wants(digest, blob) {
                missing.insert(*digest, blob);
            } else {
                fetched.had += 1;
                fetched.had_bytes += blob.size;
            }
        }
        let needed: u64 = missing.values().map(|blob| blob.size).sum();
        check_space(target.as_ref(), needed)?;
        let detail = format!("{} blobs to bring, {} already here", missing.len(), fetched.had);
        self.reporter.event(&Event::Phase { name: "fetch", detail, bytes: Some(needed) });

        // The largest first: the last transfer running alone is then a short one.
        let mut order: Vec<_> = missing.into_iter().collect();
        order.sort_by_key(|(digest, blob)| (std::cmp::Reverse(blob.size), *digest));
        let local = Arc::new(local::LocalSources::new(self.base.clone()));
        let mut failures = Vec::new();
        let mut running = futures_util::stream::iter(order)
            .map(|(digest, blob)| {
                let (target, local) = (target.clone(), local.clone());
                async move { (blob, self.blob(digest, blob, target, local).await) }
            })
            .buffer_unordered(self.jobs.max(1));
        while let Some((blob, result)) = running.next().await {
            match result {
                Ok(()) => {
                    fetched.brought += 1;
                    fetched.brought_bytes += blob.size;
                }
                Err(error) => {
                    let give_up = error.is_hopeless();
                    failures.push(error);
                    if give_up || failures.len() >= MAX_FAILURES {
                        break;
                    }
                }
            }
        }
        drop(running);
        FetchError::all(failures)?;
        Ok(fetched)
    }

    /// One blob, from the first supply that has it.
    async fn blob(
        &self,
        digest: Digest,
        blob: &Blob,
        target: Arc<dyn Target>,
        local: Arc<local::LocalSources>,
    ) -> Result<(), FetchError> {
        let mut last = None;
        let mut candidates = Vec::new();
        for supply in &blob.supplies {
            candidates.extend(transfer::candidates(&self.client, supply)?);
        }
        for supply in candidates {
            match self.one_supply(digest, blob, &supply, &target, &local).await {
                Ok(()) => {
                    let name = match &supply {
                        Supply::Manifest(name) | Supply::Blob(name) => format!("sha256:{} from {name}", digest.short()),
                        Supply::Url(url) => format!("sha256:{} from {url}", digest.short()),
                        Supply::Local(_) | Supply::Derived(_) => format!("sha256:{}", digest.short()),
                    };
                    self.reporter.event(&Event::Done { what: "blob", name, bytes: Some(blob.size) });
                    return Ok(());
                }
                Err(error) if error.is_hopeless() => return Err(error),
                Err(error) => {
                    if let Some(before) = last.replace(error) {
                        self.reporter.event(&Event::Note { text: format!("{before}; trying the next place") });
                    }
                }
            }
        }
        Err(last.unwrap_or(FetchError::NoSupply { digest }))
    }

    async fn one_supply(
        &self,
        digest: Digest,
        blob: &Blob,
        supply: &Supply,
        target: &Arc<dyn Target>,
        local: &Arc<local::LocalSources>,
    ) -> Result<(), FetchError> {
        let mut second_try = false;
        loop {
            let sink = transfer::begin(target.clone(), digest, blob.size).await?;
            let Some(sink) = sink else { return Ok(()) };
            let resumed = sink.length() > 0;
            self.reporter.event(&Event::Moved { bytes: sink.length() });
            let sink = match supply {
                Supply::Derived(bytes) => transfer::whole(sink, bytes.clone()).await?,
                Supply::Local(origin) => {
                    let region = local.find(origin, digest).await?;
                    transfer::from_local(sink, region, self.reporter.clone()).await?
                }
                remote => transfer::from_remote(self, remote, digest, blob.size, sink).await?,
            };
            match transfer::publish(sink).await {
                // What was there before may have been damaged where it lay: once more, from the beginning.
                Err(FetchError::Digest { .. }) if resumed && !second_try => second_try = true,
                result => return result.map_err(|error| error.coming_from(supply)),
            }
        }
    }
}

/// Fails before the first byte if there is no room.
fn check_space(target: &dyn Target, needed: u64) -> Result<(), FetchError> {
    let (path, needed) = (target.folder(), needed + target.overhead());
    let stat = rustix::fs::statvfs(&path).map_err(|e| FetchError::Target {
        doing: "measure",
        path: path.clone(),
        source: e.into(),
    })?;
    let free = stat.f_bavail * stat.f_frsize;
    if free < needed.saturating_sub(target.reserved()) {
        return Err(FetchError::Space { path, needed, free });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A target that needs more than any disk has.
    struct Huge;

    impl Target for Huge {
        fn wants(&self, _: &Digest, _: &Blob) -> bool {
            true
        }
        fn begin(&self, _: &Digest, _: u64) -> Result<Option<Box<dyn Sink>>, FetchError> {
            unreachable!("nothing begins without room")
        }
        fn folder(&self) -> PathBuf {
            std::env::temp_dir()
        }
        fn overhead(&self) -> u64 {
            1 << 62
        }
    }

    #[test]
    fn missing_room_is_noticed_before_the_first_byte() {
        let error = check_space(&Huge, 1).unwrap_err();
        assert!(matches!(error, FetchError::Space { .. }), "{error}");
        let text = error.into_failure().render();
        assert!(text.contains("are needed") && text.contains("hint:"), "{text}");
    }
}
