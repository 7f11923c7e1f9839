//! A bundle as content for the distribution API: names and tags from its index, bytes straight from the
//! archive, or made again while they are sent.
//!
//! An image stands under its full name (`docker.io/library/nginx`) and, where no other registry's image has the same
//! path and no chart or file has its name, under that path alone: containerd asks a mirror for `library/nginx`. A registry's `:port` becomes `-port`,
//! because a repository name has no colon. Documents are checked when they are read; of blobs the client compares
//! the digest, as it has to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::compact::{BlobCursor, Shared, Turns};
use ferry_bundle_format::oci::{Descriptor, MAX_DOCUMENT, media_type};
use ferry_bundle_format::open::{OpenError, TrustedBundle};

use crate::distribution::{BlobReader, Content, Selector, StoredManifest};
use crate::names::{Clash, clashes, full_repository};

/// A bundle whose content is on offer.
pub struct Shelf {
    bundle: Arc<TrustedBundle>,
    /// Tags by repository.
    repositories: BTreeMap<String, BTreeMap<String, Digest>>,
    /// Manifests and indexes, with their types.
    manifests: BTreeMap<Digest, String>,
    /// How many blobs are made again at once, whoever asks.
    turns: Arc<Turns>,
    /// Names that are both an image and something else.
    clashes: Vec<Clash>,
}

impl Shelf {
    /// Lays out the content of `bundle`.
    pub fn of(bundle: Arc<TrustedBundle>) -> Result<Self, OpenError> {
        let lock = bundle.lock()?;
        let mut manifests = BTreeMap::new();
        let mut repositories: BTreeMap<String, BTreeMap<String, Digest>> = BTreeMap::new();
        let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for image in &lock.images {
            let registries = owners.entry(image.name.repository()).or_default();
            if !registries.contains(&image.name.registry()) {
                registries.push(image.name.registry());
            }
        }
        let clashes = clashes(&lock, false);
        for image in &lock.images {
            for pin in [&image.target, image.carried()].into_iter().chain(image.manifests.iter().map(|m| &m.manifest)) {
                manifests.insert(pin.digest, pin.media_type.clone());
            }
            let mut names = vec![full_repository(&image.name)];
            let clashing = clashes.iter().any(|clash| clash.repository == image.name.repository());
            if owners[image.name.repository()].len() == 1 && !clashing {
                names.push(image.name.repository().to_owned());
            }
            for name in names {
                let tags = repositories.entry(name).or_default();
                tags.extend(image.name.tag().map(|tag| (tag.to_owned(), image.carried().digest)));
            }
        }
        for artifact in bundle.index().artifacts.iter().filter(|artifact| artifact.kind != "image") {
            manifests.insert(artifact.digest, media_type::OCI_MANIFEST.to_owned());
            if let Some((repository, tag)) = artifact.name.rsplit_once(':') {
                repositories.entry(repository.to_owned()).or_default().insert(tag.to_owned(), artifact.digest);
            }
        }
        for chart in &lock.charts {
            manifests.insert(chart.manifest.digest, chart.manifest.media_type.clone());
        }
        Ok(Self { bundle, repositories, manifests, turns: Arc::default(), clashes })
    }

    /// The names that two things would have: images of these repositories are here under their full name only.
    #[must_use]
    pub fn clashes(&self) -> &[Clash] {
        &self.clashes
    }
}

struct InArchive(Shared);

impl BlobReader for InArchive {
    fn size(&self) -> u64 {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buffer)
    }
}

impl Content for Shelf {
    fn manifest(&self, repository: &str, selector: &Selector) -> io::Result<Option<StoredManifest>> {
        let Some(tags) = self.repositories.get(repository) else { return Ok(None) };
        let digest = match selector {
            Selector::Digest(digest) => *digest,
            Selector::Tag(tag) => match tags.get(tag) {
                Some(digest) => *digest,
                None => return Ok(None),
            },
        };
        let Some(media_type) = self.manifests.get(&digest) else { return Ok(None) };
        let bytes = self.bundle.blob_document(&digest, MAX_DOCUMENT).map_err(io::Error::other)?;
        Ok(Some(StoredManifest::new(media_type, Bytes::from(bytes))))
    }

    fn blob(&self, repository: &str, digest: &Digest) -> io::Result<Option<Arc<dyn BlobReader>>> {
        // Which repository a blob belongs to guards nothing here: whoever may ask may have the whole bundle.
        if !self.repositories.contains_key(repository) || !self.bundle.has_blob(digest) {
            return Ok(None);
        }
        let blob = self.bundle.blob(digest).map_err(io::Error::other)?;
        Ok(Some(Arc::new(InArchive(Shared::new(BlobCursor::new(blob), self.turns.clone())))))
    }

    fn repositories(&self) -> Vec<String> {
        self.repositories.keys().cloned().collect()
    }

    fn tags(&self, repository: &str) -> Option<Vec<String>> {
        Some(self.repositories.get(repository)?.keys().cloned().collect())
    }

    fn referrers(&self, _: &str, _: &Digest) -> Vec<Descriptor> {
        // Signatures and SBOMs of images are not carried yet; the API answers with an empty list.
        Vec::new()
    }
}
