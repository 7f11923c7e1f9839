//! A generated image: its documents and blobs, ready to be published or written into an archive.

use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundle_format::{Digest, Platform};

use super::layer::Layer;
use super::registry::MemoryRegistry;
use crate::distribution::{BlobReader, StoredManifest};

/// A generated image.
#[derive(Debug, Clone)]
pub struct Image {
    /// Repository without registry.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// What the tag points at.
    pub root: StoredManifest,
    /// All manifests, children first, `root` last.
    pub manifests: Vec<StoredManifest>,
    /// One image for each platform, attestations not counted.
    pub variants: Vec<Variant>,
    /// Blobs that belong to no variant.
    pub(super) extra: Vec<Bytes>,
}

/// The image of one platform.
#[derive(Debug, Clone)]
pub struct Variant {
    /// As the index claims.
    pub platform: Platform,
    /// Its manifest.
    pub manifest: StoredManifest,
    /// Its config.
    pub config: Bytes,
    /// Its layers, base first.
    pub layers: Vec<Layer>,
}

impl Variant {
    /// The index entry.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor { platform: Some(self.platform.clone()), ..self.manifest.descriptor() }
    }
}

impl Image {
    /// All blobs by digest; shared ones come once for each use.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, Arc<dyn BlobReader>)> {
        let of_variants = self.variants.iter().flat_map(|variant| {
            let layers = variant.layers.iter().map(|layer| (layer.digest, Arc::clone(&layer.packed)));
            std::iter::once(kept(&variant.config)).chain(layers)
        });
        of_variants.chain(self.extra.iter().map(kept))
    }

    /// Stores it in a registry, under its tag.
    pub fn publish(&self, registry: &MemoryRegistry) {
        for (digest, reader) in self.blobs() {
            registry.put_blob_as(&self.repository, digest, reader);
        }
        for manifest in &self.manifests {
            registry.put_manifest(&self.repository, manifest.clone());
        }
        registry.put_tag(&self.repository, &self.tag, self.root.digest);
    }

    /// `repository:tag`, to be put behind a registry's name.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

fn kept(bytes: &Bytes) -> (Digest, Arc<dyn BlobReader>) {
    (Digest::of(bytes), Arc::new(bytes.clone()))
}

/// What buildkit adds for provenance: a manifest for no platform that points at the image's.
pub(super) fn attestation(variant: &Variant) -> (Descriptor, StoredManifest, [Bytes; 2]) {
    let subject = serde_json::json!({ "name": "image", "digest": { "sha256": variant.manifest.digest.hex() } });
    let statement = Bytes::from(
        serde_json::json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [subject],
            "predicate": {},
        })
        .to_string(),
    );
    let config = Bytes::from(
        serde_json::json!({
            "architecture": "unknown", "os": "unknown", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [Digest::of(&statement)] }
        })
        .to_string(),
    );
    let mut layer = Descriptor::of("application/vnd.in-toto+json", &statement);
    layer.annotations.insert("in-toto.io/predicate-type".to_owned(), "https://slsa.dev/provenance/v0.2".to_owned());
    let document = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config), "layers": [layer]
    });
    let manifest = StoredManifest::new(media_type::OCI_MANIFEST, document.to_string());
    let mut descriptor = manifest.descriptor();
    descriptor.platform =
        Some(Platform { os: "unknown".into(), architecture: "unknown".into(), variant: None, os_features: Vec::new() });
    descriptor.annotations.insert("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned());
    descriptor.annotations.insert("vnd.docker.reference.digest".to_owned(), variant.manifest.digest.to_string());
    (descriptor, manifest, [config, statement])
}
