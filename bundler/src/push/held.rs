//! What an upgrade package leaves out and the registry holds: looked up before anything is sent, all of it, so that what
//! is missing is known before the registry is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use ferry_bundle_format::archive::Region;
use ferry_bundle_format::compact::StoredBlob;
use ferry_bundle_format::digest::Hasher;
use ferry_bundle_format::index::Extent;
use ferry_bundle_format::open::{OpenError, TrustedBundle};
use ferry_bundle_format::{Digest, Reference};
use futures_util::StreamExt as _;

use super::error::PushError;
use super::plan::PushPlan;
use super::project::Projects;
use super::run::failed;
use crate::source::{RegistryClient, Repository, SourceError};

/// Where the registry holds what the package does not carry.
#[derive(Debug, Default)]
pub(super) struct Held {
    registry: String,
    /// Blob or document, and a repository that holds it.
    at: BTreeMap<Digest, (String, u64)>,
    /// Older blobs are brought one at a time: no more of the disk is taken.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Held {
    /// Looks for everything that `bundle` needs and none of its bases has; fails with all that is nowhere.
    pub(super) async fn look(
        client: &RegistryClient,
        bundle: &TrustedBundle,
        plan: &PushPlan,
        projects: &Projects,
        jobs: usize,
    ) -> Result<Self, PushError> {
        let mut held = Self { registry: plan.registry.clone(), ..Self::default() };
        let mut missing = Vec::new();
        let needed = bundle.missing()?;
        let mut looking = futures_util::stream::iter(needed)
            .map(|extent| async move { (extent, find(client, plan, projects, &extent).await) })
            .buffer_unordered(jobs.max(1));
        while let Some((extent, found)) = looking.next().await {
            match found? {
                Some(repository) => drop(held.at.insert(extent.digest, (repository, extent.size))),
                None => missing.push(extent),
            }
        }
        drop(looking);
        if missing.is_empty() {
            return Ok(held);
        }
        missing.sort_unstable();
        let (applies_to, needed) = (bundle.index().applies_to.clone(), bundle.index().requires.len());
        Err(OpenError::Base { applies_to, needed, missing }.into())
    }

    /// A repository that holds this.
    pub(super) fn repository(&self, digest: &Digest) -> Option<&str> {
        self.at.get(digest).map(|(repository, _)| repository.as_str())
    }

    /// A blob that the registry holds, in a file without a name.
    pub(super) async fn bring(&self, client: &RegistryClient, digest: &Digest) -> Result<StoredBlob, PushError> {
        let (repository, size) = self.at.get(digest).ok_or_else(|| OpenError::Missing(digest.to_string()))?;
        let fail = |error| failed(format!("can't read {digest} from {}/{repository}", self.registry), error);
        let from = Repository::new(&self.registry, repository).map_err(fail)?;
        let mut attempts = client.attempts(&self.registry);
        loop {
            match download(client, &from, digest, *size).await {
                Ok(blob) => return Ok(blob),
                Err(error) => attempts.pause(error).await.map_err(fail)?,
            }
        }
    }

    /// A manifest or index that the registry holds.
    pub(super) async fn document(&self, client: &RegistryClient, digest: &Digest) -> Result<Vec<u8>, PushError> {
        let (repository, _) = self.at.get(digest).ok_or_else(|| OpenError::Missing(digest.to_string()))?;
        let reference = by_digest(&self.registry, repository, digest)?;
        let served = client.manifest(&reference).await;
        Ok(served.map_err(|error| failed(format!("can't read {reference}"), error))?.bytes.to_vec())
    }
}

/// A repository of the plan that holds a blob or document; those that need it are asked first.
async fn find(
    client: &RegistryClient,
    plan: &PushPlan,
    projects: &Projects,
    extent: &Extent,
) -> Result<Option<String>, PushError> {
    let is_document = plan.repositories.values().flat_map(|one| &one.documents).any(|one| one.digest == extent.digest);
    let needs = |one: &super::plan::RepositoryPlan| {
        one.blobs.contains_key(&extent.digest) || one.documents.iter().any(|document| document.digest == extent.digest)
    };
    let first = plan.repositories.iter().filter(|(_, one)| needs(one)).map(|(name, _)| name);
    let mut asked = BTreeSet::new();
    let repositories = first.chain(plan.repositories.keys()).filter(|name| !projects.lack(name));
    for repository in repositories.filter(|name| asked.insert(*name)) {
        let fail = |error: SourceError| failed(format!("can't ask {}/{repository}", plan.registry), error);
        let there = if is_document {
            let reference = by_digest(&plan.registry, repository, &extent.digest)?;
            client.head(&reference).await.map_err(fail)?.is_some()
        } else {
            let place = Repository::new(&plan.registry, repository).map_err(fail)?;
            client.has_blob(&place, &extent.digest, extent.size).await.map_err(fail)?
        };
        if there {
            return Ok(Some(repository.clone()));
        }
    }
    Ok(None)
}

fn by_digest(registry: &str, repository: &str, digest: &Digest) -> Result<Reference, PushError> {
    let text = format!("{registry}/{repository}@{digest}");
    Reference::parse(&text).map_err(|_| PushError::Target { text })
}

async fn download(
    client: &RegistryClient,
    from: &Repository,
    digest: &Digest,
    size: u64,
) -> Result<StoredBlob, SourceError> {
    let local = |source: std::io::Error| SourceError::File { path: std::env::temp_dir(), source };
    let mut file: File = tempfile::tempfile().map_err(local)?;
    let mut stream = client.blob_stream(from, digest, size, 0).await?;
    let mut hasher = Hasher::new();
    while let Some(bytes) = stream.chunk().await? {
        hasher.update(&bytes);
        if hasher.length() > size {
            break;
        }
        // A page cache's worth at a time; the network is slower than that.
        file.write_all(&bytes).map_err(local)?;
    }
    let length = hasher.length();
    let actual = hasher.finish();
    if actual != *digest || length != size {
        return Err(SourceError::Digest { url: from.to_string(), expected: *digest, actual });
    }
    Ok(Region::new(Arc::new(file), 0, size).into())
}
