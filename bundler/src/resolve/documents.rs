//! The documents of registries during one resolving: each digest is asked for once, however many names lead to it
//! and however many ask at the same time. The digest decides, so it does not matter which repository gave it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ferry_bundle_format::oci::Descriptor;
use ferry_bundle_format::{Digest, Reference};
use tokio::sync::OnceCell;

use crate::source::{RegistryClient, Repository, ServedDocument, SourceError};

/// Documents by digest, fetched when they are needed.
pub(super) struct Documents {
    client: RegistryClient,
    known: Mutex<BTreeMap<Digest, Arc<OnceCell<Bytes>>>>,
}

impl Documents {
    pub(super) fn new(client: RegistryClient) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Keeps what a name has led to.
    pub(super) fn keep(&self, served: &ServedDocument) {
        // Whoever asks for it at this moment has it soon; then there is nothing to keep.
        let _ = self.cell(served.digest).set(served.bytes.clone());
    }

    /// The manifest or index of a reference with a digest.
    pub(super) async fn manifest(&self, at: &Reference, digest: Digest) -> Result<Bytes, SourceError> {
        let cell = self.cell(digest);
        let fetch = || async { self.client.manifest(at).await.map(|served| served.bytes) };
        cell.get_or_try_init(fetch).await.cloned()
    }

    /// An image config.
    pub(super) async fn config(&self, repository: &Repository, config: &Descriptor) -> Result<Bytes, SourceError> {
        let cell = self.cell(config.digest);
        let fetch = || self.client.small_blob(repository, &config.digest, config.size);
        let bytes = cell.get_or_try_init(fetch).await?;
        if bytes.len() as u64 == config.size {
            return Ok(bytes.clone());
        }
        // This manifest says another size than the one before: the registry is asked, and its answer compared.
        fetch().await
    }

    fn cell(&self, digest: Digest) -> Arc<OnceCell<Bytes>> {
        // A map of cells is whole even if somebody panicked while holding it.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(digest).or_default().clone()
    }
}
