//! The push itself: blobs in parallel, then documents in order, then everything read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use ferry_bundle_format::compact::RebuildError;
use ferry_bundle_format::compact::StoredBlob;
use ferry_bundle_format::index::blob_name;
use ferry_bundle_format::oci::MAX_DOCUMENT;
use ferry_bundle_format::open::{OpenError, TrustedBundle};
use ferry_bundle_format::{Digest, Reference};
use futures_util::StreamExt as _;

use super::blob::InBundle;
use super::error::PushError;
use super::held::Held;
use super::plan::{PushPlan, RepositoryPlan, TaggedDocument};
use super::project::Projects;
use crate::event::{Event, Reporter};
use crate::source::{Mount, RegistryClient, Repository, SourceError, SourceErrorKind};

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
    /// Manifests and indexes that are there now.
    pub documents: usize,
    /// Those of them that were there before.
    pub documents_there: usize,
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

/// What became of documents.
#[derive(Debug, Clone, Copy, Default)]
struct DocumentCounts {
    put: usize,
    there: usize,
    refused: usize,
}

impl DocumentCounts {
    fn add(&mut self, more: Self) {
        self.put += more.put;
        self.there += more.there;
        self.refused += more.refused;
    }
}

impl Pusher {
    /// Pushes everything in `plan` from `bundle`.
    pub async fn push(&self, bundle: &TrustedBundle, plan: &PushPlan) -> Result<Pushed, PushError> {
        let projects = Projects::look(&self.client, plan).await?;
        for text in projects.notes() {
            self.reporter.event(&Event::Note { text });
        }
        let mut made = Vec::new();
        let pushed = self.push_to(bundle, plan, &projects, &mut made).await;
        pushed.map_err(|error| {
            let error = projects.explain(error);
            if error.is_for_all() && !made.is_empty() {
                let text =
                    format!("made by this run and left as it is in {}: project {}", plan.registry, made.join(", "));
                self.reporter.event(&Event::Note { text });
            }
            error
        })
    }

    async fn push_to(
        &self,
        bundle: &TrustedBundle,
        plan: &PushPlan,
        projects: &Projects,
        made: &mut Vec<String>,
    ) -> Result<Pushed, PushError> {
        self.share_tokens(plan).await?;
        let held = Held::look(&self.client, bundle, plan, projects, self.jobs).await?;
        projects.make(made, self.reporter.as_ref()).await?;
        if !projects.missing().is_empty() {
            // The tokens of before say nothing of what was not there.
            self.share_tokens(plan).await?;
        }
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
        let documents = self.documents(bundle, plan, &held).await?;
        self.read_back(plan).await?;
        Ok(Pushed {
            sent: counts.sent.into_inner(),
            sent_bytes: counts.sent_bytes.into_inner(),
            mounted: counts.mounted.into_inner(),
            there: counts.there.into_inner(),
            documents: documents.put + documents.there,
            documents_there: documents.there,
            refused_indexes: documents.refused,
        })
    }

    async fn share_tokens(&self, plan: &PushPlan) -> Result<(), PushError> {
        let repositories: Vec<_> = plan.repositories.keys().map(String::as_str).collect();
        let what = format!("can't log in to {}", plan.registry);
        self.client.share_tokens(&plan.registry, &repositories).await.map_err(|error| failed(what, error))
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
                let hopeless = error.is_for_all();
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
    ) -> Result<DocumentCounts, PushError> {
        let mut failures = Vec::new();
        let mut counts = DocumentCounts::default();
        let mut running = futures_util::stream::iter(&plan.repositories)
            .map(|(repository, one)| self.repository_documents(bundle, &plan.registry, repository, one, held))
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = running.next().await {
            let (more, failed) = result;
            counts.add(more);
            failures.extend(failed);
        }
        PushError::all(failures)?;
        Ok(counts)
    }

    /// Puts what is not there; a tag that is fixed does not keep the others of its repository from being put.
    async fn repository_documents(
        &self,
        bundle: &TrustedBundle,
        registry: &str,
        repository: &str,
        one: &RepositoryPlan,
        held: &Held,
    ) -> (DocumentCounts, Vec<PushError>) {
        let (mut counts, mut failures) = (DocumentCounts::default(), Vec::new());
        for document in &one.documents {
            match self.document(bundle, registry, repository, document, held).await {
                Ok(more) => counts.add(more),
                Err(error) => {
                    let alone = matches!(&error, PushError::Source { error, .. } if error.is_immutable_tag());
                    failures.push(error);
                    if !alone {
                        break;
                    }
                }
            }
        }
        (counts, failures)
    }

    async fn document(
        &self,
        bundle: &TrustedBundle,
        registry: &str,
        repository: &str,
        document: &TaggedDocument,
        held: &Held,
    ) -> Result<DocumentCounts, PushError> {
        let reference = reference(registry, repository, document)?;
        if self.is_put(registry, repository, document).await? {
            return Ok(DocumentCounts { there: 1, ..DocumentCounts::default() });
        }
        let bytes = match held.repository(&document.digest) {
            Some(_) => held.document(&self.client, &document.digest).await?,
            None => bundle.blob_document(&document.digest, MAX_DOCUMENT)?,
        };
        match self.client.put_manifest(&reference, &document.media_type, Bytes::from(bytes)).await {
            Ok(_) => Ok(DocumentCounts { put: 1, ..DocumentCounts::default() }),
            // Nothing is lost without it, so whatever a registry has against it is no failure.
            Err(error) if document.optional && !is_transport(error.kind()) => {
                let text = format!(
                    "{registry}/{repository}: the registry refuses the original index {}, because only some of its platforms are carried; \
                     pull by tag or by the digests of the bundle's lock",
                    document.digest
                );
                self.reporter.event(&Event::Note { text });
                Ok(DocumentCounts { refused: 1, ..DocumentCounts::default() })
            }
            Err(error) => Err(failed(format!("can't put {reference}"), error)),
        }
    }

    /// Whether the registry says that the document is there, under its tag if it has one. A registry that does not say
    /// is sent it: the answer to that has words.
    async fn is_put(&self, registry: &str, repository: &str, document: &TaggedDocument) -> Result<bool, PushError> {
        let name = match &document.tag {
            Some(tag) => format!("{registry}/{repository}:{tag}"),
            None => format!("{registry}/{repository}@{}", document.digest),
        };
        let asked = Reference::parse(&name).map_err(|_| PushError::Target { text: name.clone() })?;
        match self.client.head(&asked).await {
            Ok(head) => Ok(head.is_some_and(|head| head.digest == document.digest)),
            Err(error) if is_transport(error.kind()) => Err(failed(format!("can't ask for {name}"), error)),
            Err(_) => Ok(false),
        }
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

/// Whether no answer came from the registry itself.
fn is_transport(kind: SourceErrorKind) -> bool {
    matches!(kind, SourceErrorKind::Unreachable | SourceErrorKind::Tls | SourceErrorKind::Local)
}

pub(super) fn failed(what: String, error: SourceError) -> PushError {
    PushError::Source { what, error }
}
