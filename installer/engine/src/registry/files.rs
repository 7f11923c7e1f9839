//! Files of the bundle in the registry, so that every other host fetches them from there: blobs of one repository, held
//! together by a manifest, so that no garbage collection takes them for leftovers.

use ferry_bundle_format::Digest;
use serde_json::json;

use super::image::MANIFEST;
use crate::action::PushedFile;
use crate::site::Registry;

/// Where files lie in the registry.
pub const FILES_REPOSITORY: &str = "ferry/files";

/// The config of a manifest that has none, as the OCI image specification has it.
pub(super) const EMPTY: &[u8] = b"{}";

/// Where the registry has a file.
#[must_use]
pub fn url(registry: &Registry, digest: &Digest) -> String {
    format!("https://{}/v2/{FILES_REPOSITORY}/blobs/{digest}", registry.authority())
}

/// The manifest that holds the files together: for the same files the same bytes.
pub(super) fn manifest(files: &[PushedFile]) -> Vec<u8> {
    let layers: Vec<_> = files
        .iter()
        .map(|file| {
            json!({
                "mediaType": "application/octet-stream",
                "digest": file.content.digest().to_string(),
                "size": file.content.size(),
                "annotations": {"org.opencontainers.image.title": file.name},
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.ferry.files",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(EMPTY).to_string(), "size": EMPTY.len()},
        "layers": layers,
    });
    manifest.to_string().into_bytes()
}

/// What holds the files together, as whoever copies it needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesManifest {
    /// The manifest's digest.
    pub digest: Digest,
    /// Its tag: one of its own, so that a later bundle's files do not take this one's place.
    pub tag: String,
    /// The blobs that it names.
    pub blobs: Vec<Digest>,
}

impl FilesManifest {
    /// None if there are no files.
    #[must_use]
    pub fn of(files: &[PushedFile]) -> Option<Self> {
        let digest = Digest::of(&manifest(files));
        let blobs = std::iter::once(Digest::of(EMPTY)).chain(files.iter().map(|file| file.content.digest())).collect();
        (!files.is_empty()).then(|| Self { digest, tag: tag(&digest), blobs })
    }
}

/// The tag of a manifest of files.
pub(super) fn tag(digest: &Digest) -> String {
    format!("set-{}", &digest.hex()[..16])
}
