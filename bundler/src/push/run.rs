//! The push itself: blobs in parallel, then documents in order, then everything read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use ferry_bundle_format::compact::RebuildError;
use ferry_bundle_format::compact::{BlobCursor, StoredBlob};
use ferry_bundle_format::index::blob_name;
use ferry_bundle_format::oci::MAX_DOCUMENT;
use ferry_bundle_format::open::{OpenError, TrustedBundle};
use ferry_bundle_format::{Digest, Reference};
use futures_util::StreamExt as _;

use super::error::PushError;
use super::held::Held;
use super::plan::{PushPlan, RepositoryPlan, TaggedDocument};
use super::project::ensure_projects;
use crate::event::{Event, Reporter};
use crate::source::{BlobSource, Mount, OpenBlob, RegistryClient, Repository, SourceError, SourceErrorKind};

/// Pushes bundles.
#[derive(Clone)]
pub struct Pusher {
    /// Speaks to the registry.
    pub client: RegistryClient,
    /// Shows what happens.
    pub reporter: Arc<dyn Reporter>,
    /// How many uploads run at once.
    pub jobs: usize,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// Blobs sent.
    pub sent: usize,
    /// Bytes of the blobs sent.
    pub sent_bytes: u64,
    /// Blobs mounted from another repository of the registry.
    pub mounted: usize,
    /// Blobs that were there.
    pub there: usize,
    /// Manifests and indexes put.
    pub documents: usize,
    /// Indexes of more platforms than are carried, which the registry refused.
    pub refused_indexes: usize,
}

#[derive(Default)]
struct Counts {
    sent: AtomicUsize,
    sent_bytes: AtomicU64,
    mounted: AtomicUsize,
    there: AtomicUsize,
}

/// A blob of the archive, as a source that can be read again from any place.
struct InBundle(StoredBlob);

impl BlobSource for InBundle {
    fn open(&self, offset: u64) -> OpenBlob<'_> {
        let blob = self.0.clone();
        Box::pin(async move { Ok(Box::new(reader(blob, offset)) as _) })
    }
}

/// An async reader over a blob, in chunks read on blocking threads.
fn reader(blob: StoredBlob, offset: u64) -> impl tokio::io::AsyncRead + Send + Unpin {
    const CHUNK: usize = 512 * 1024;
    let (size, cursor) = (blob.size(), Arc::new(BlobCursor::new(blob)));
    let chunks = futures_util::stream::try_unfold(offset, move |at| {
        let cursor = cursor.clone();
        async move {
            if at >= size {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || {
                let mut buffer = vec![0; CHUNK];
                cursor.read_at(at, &mut buffer).map(|n| {
                    buffer.truncate(n);
                    Bytes::from(buffer)
                })
            });
            let bytes = read.await.map_err(std::io::Error::other)??;
            let next = at + bytes.len() as u64;
            Ok::<_, std::io::Error>(Some((bytes, next)))
        }
    });
    tokio_util::io::StreamReader::new(Box::pin(chunks))
}

impl Pusher {
    /// Pushes everything in `plan` from `bundle`.
    pub async fn push(&self, bundle: &TrustedBundle, plan: &PushPlan) -> Result<Pushed, PushError> {
        let held = Held::look(&self.client, bundle, plan, self.jobs).await?;
        ensure_projects(&self.client, plan, self.reporter.as_ref()).await?;
        let counts = Counts::default();
        let total = plan.blobs().values().sum();
        let detail = format!("{} repositories to {}", plan.repositories.len(), plan.registry);
        self.reporter.event(&Event::Phase { name: "push", detail, bytes: Some(total) });

        // Each blob once, to the first repository that needs it; then to the others, which can mount it.
        let mut owners: BTreeMap<Digest, (&str, u64)> = BTreeMap::new();
        let mut rest = Vec::new();
        for (repository, one) in &plan.repositories {
            for (digest, size) in &one.blobs {
                match owners.get(digest) {
                    None => {
                        owners.insert(*digest, (repository, *size));
                    }
                    Some((owner, _)) => rest.push((*digest, repository.as_str(), *size, Some(*owner))),
                }
            }
        }
        let mut first: Vec<_> =
            owners.into_iter().map(|(digest, (repository, size))| (digest, repository, size, None)).collect();
        first.sort_by_key(|(digest, _, size, _)| (std::cmp::Reverse(*size), *digest));
        for round in [first, rest] {
            self.blobs(bundle, plan, round, &held, &counts).await?;
        }
        let (documents, refused_indexes) = self.documents(bundle, plan, &held).await?;
        self.read_back(plan).await?;
        Ok(Pushed {
            sent: counts.sent.into_inner(),
            sent_bytes: counts.sent_bytes.into_inner(),
            mounted: counts.mounted.into_inner(),
            there: counts.there.into_inner(),
            documents,
            refused_indexes,
        })
    }

    async fn blobs(
        &self,
        bundle: &TrustedBundle,
        plan: &PushPlan,
        round: Vec<(Digest, &str, u64, Option<&str>)>,
        held: &Held,
        counts: &Counts,
    ) -> Result<(), PushError> {
        let mut failures = Vec::new();
        let mut running = futures_util::stream::iter(round)
            .map(|(digest, repository, size, owner)| {
                self.blob(bundle, &plan.registry, repository, digest, size, owner, held, counts)
            })
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = running.next().await {
            if let Err(error) = result {
                // Refused credentials are refused for all.
                let hopeless =
                    matches!(&error, PushError::Source { error, .. } if error.kind() == SourceErrorKind::Auth);
                failures.push(error);
                if hopeless || failures.len() >= 10 {
                    break;
                }
            }
        }
        PushError::all(failures)
    }

    #[expect(clippy::too_many_arguments, reason = "one blob's way, called from one place")]
    async fn blob(
        &self,
        bundle: &TrustedBundle,
        registry: &str,
        repository: &str,
        digest: Digest,
        size: u64,
        owner: Option<&str>,
        held: &Held,
        counts: &Counts,
    ) -> Result<(), PushError> {
        let fail = |error| failed(format!("can't push sha256:{} to {registry}/{repository}", digest.short()), error);
        let to = Repository::new(registry, repository).map_err(fail)?;
        let moved = || self.reporter.event(&Event::Moved { bytes: if owner.is_none() { size } else { 0 } });
        if self.client.has_blob(&to, &digest, size).await.map_err(fail)? {
            counts.there.fetch_add(1, Ordering::Relaxed);
            moved();
            return Ok(());
        }
        let mut opened = None;
        if let Some(owner) = owner.or_else(|| held.repository(&digest).filter(|from| *from != repository)) {
            let from = Repository::new(registry, owner).map_err(fail)?;
            match self.client.mount(&to, &from, &digest).await.map_err(fail)? {
                Mount::Mounted => {
                    counts.mounted.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Mount::Declined(upload) => opened = Some(upload),
            }
        }
        let (blob, _turn) = self.content(bundle, &digest, held).await?;
        let source = InBundle(blob.clone());
        if let Err(error) = self.client.upload_blob(&to, &digest, size, &source, opened).await {
            // A registry that refuses a blob as not being its digest may be right: look at our own first.
            let looked = tokio::task::spawn_blocking(move || blob.digest()).await;
            let name = blob_name(&digest);
            return match looked {
                Ok(Err(source)) => Err(OpenError::Rebuild { name, source }.into()),
                Ok(Ok(actual)) if actual != digest => {
                    Err(bundle.check_blob(&digest).err().map_or(fail(error), Into::into))
                }
                _ => Err(fail(error)),
            };
        }
        counts.sent.fetch_add(1, Ordering::Relaxed);
        counts.sent_bytes.fetch_add(size, Ordering::Relaxed);
        moved();
        self.reporter.event(&Event::Done {
            what: "blob",
            name: format!("sha256:{} → {repository}", digest.short()),
            bytes: Some(size),
        });
        Ok(())
    }

    /// A blob from the bundle; what it leaves out, or leans on, from the registry.
    async fn content<'h>(
        &self,
        bundle: &TrustedBundle,
        digest: &Digest,
        held: &'h Held,
    ) -> Result<(StoredBlob, Option<tokio::sync::MutexGuard<'h, ()>>), PushError> {
        if held.repository(digest).is_some() {
            let turn = held.turn.lock().await;
            return Ok((held.bring(&self.client, digest).await?, Some(turn)));
        }
        match bundle.blob(digest) {
            Err(OpenError::Rebuild { source: RebuildError::Older(older), .. }) => {
                let turn = held.turn.lock().await;
                let older = held.bring(&self.client, &older).await?;
                Ok((bundle.blob_leaning(digest, older)?, Some(turn)))
            }
            blob => Ok((blob?, None)),
        }
    }

    async fn documents(
        &self,
        bundle: &TrustedBundle,
        plan: &PushPlan,
        held: &Held,
    ) -> Result<(usize, usize), PushError> {
        let mut failures = Vec::new();
        let (mut put, mut refused) = (0, 0);
        let mut running = futures_util::stream::iter(&plan.repositories)
            .map(|(repository, one)| self.repository_documents(bundle, &plan.registry, repository, one, held))
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = running.next().await {
            match result {
                Ok((more, without)) => {
                    put += more;
                    refused += without;
                }
                Err(error) => failures.push(error),
            }
        }
        PushError::all(failures)?;
        Ok((put, refused))
    }

    async fn repository_documents(
        &self,
        bundle: &TrustedBundle,
        registry: &str,
        repository: &str,
        one: &RepositoryPlan,
        held: &Held,
    ) -> Result<(usize, usize), PushError> {
        let (mut put, mut refused) = (0, 0);
        for document in &one.documents {
            let reference = reference(registry, repository, document)?;
            let bytes = match held.repository(&document.digest) {
                Some(_) => held.document(&self.client, &document.digest).await?,
                None => bundle.blob_document(&document.digest, MAX_DOCUMENT)?,
            };
            let bytes = Bytes::from(bytes);
            match self.client.put_manifest(&reference, &document.media_type, bytes).await {
                Ok(_) => put += 1,
                Err(error)
                    if document.optional
                        && !matches!(error.kind(), SourceErrorKind::Auth | SourceErrorKind::Unreachable) =>
                {
                    refused += 1;
                    let text = format!(
                        "{registry}/{repository}: the registry refuses the original index {}, because only some of its platforms are carried; \
                         pull by tag or by the digests of the bundle's lock",
                        document.digest
                    );
                    self.reporter.event(&Event::Note { text });
                }
                Err(error) => return Err(failed(format!("can't put {reference}"), error)),
            }
        }
        Ok((put, refused))
    }

    /// Asks the registry for everything again: each name must lead to the digest that was put.
    async fn read_back(&self, plan: &PushPlan) -> Result<(), PushError> {
        self.reporter.event(&Event::Phase { name: "read back", detail: plan.registry.clone(), bytes: None });
        let wanted = plan
            .repositories
            .iter()
            .flat_map(|(repository, one)| one.documents.iter().map(move |document| (repository, document)));
        let mut failures = Vec::new();
        let mut running = futures_util::stream::iter(wanted.filter(|(_, document)| !document.optional))
            .map(|(repository, document)| async move {
                let reference = reference(&plan.registry, repository, document)?;
                let by_name = match &document.tag {
                    Some(tag) => {
                        Reference::parse(&format!("{}/{repository}:{tag}", plan.registry)).unwrap_or(reference)
                    }
                    None => reference,
                };
                let served = self
                    .client
                    .manifest(&by_name)
                    .await
                    .map_err(|error| failed(format!("can't read {by_name} back"), error))?;
                if served.digest == document.digest {
                    return Ok(());
                }
                Err(PushError::ReadBack { name: by_name.to_string(), expected: document.digest, actual: served.digest })
            })
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = running.next().await {
            failures.extend(result.err());
        }
        PushError::all(failures)
    }
}

fn reference(registry: &str, repository: &str, document: &TaggedDocument) -> Result<Reference, PushError> {
    let tag = document.tag.as_ref().map_or(String::new(), |tag| format!(":{tag}"));
    let text = format!("{registry}/{repository}{tag}@{}", document.digest);
    Reference::parse(&text).map_err(|_| PushError::Target { text })
}

pub(super) fn failed(what: String, error: SourceError) -> PushError {
    PushError::Source { what, error }
}
