//! The tars of `docker save`: images by their RepoTags, layers by their diff ids, and a manifest that ferry makes.
//!
//! No manifest of a registry travels in such a tar, so that the image's digest is that of the derived one. Layers
//! are plain tars whose digests the config knows; Docker's containerd store leaves them compressed, and names
//! them by digest.

use std::path::Path;

use ferry_bundle_format::archive::Region;
use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::lock::{LockedManifest, MAX_MEMBER, Pin, derived};
use ferry_bundle_format::manifest::Image;
use ferry_bundle_format::oci::{ImageConfig, MAX_CONFIG, MAX_DOCUMENT, media_type};
use ferry_bundle_format::{Digest, Reference};
use serde::Deserialize;

use super::archive::{Links, packing};
use super::entry::{same_name, shown};
use super::error::LocalError;
use super::image::LocalImage;
use super::source::Source;
use crate::choice::{self, ChoiceError};

/// A layer packed with zstd, as OCI names it.
const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// One image whose config has been read.
#[derive(Debug)]
pub(super) struct Saved {
    names: Vec<String>,
    config: (String, Pin),
    parsed: ImageConfig,
    layers: Vec<String>,
}

/// A tar of `docker save`.
#[derive(Debug)]
pub(super) struct DockerArchive {
    source: Source,
    images: Vec<Saved>,
}

impl DockerArchive {
    /// Lists the archive and reads `manifest.json` and all configs.
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        let source = Source::archive(path, Links::Inside)?;
        let bytes = source.document("manifest.json", MAX_DOCUMENT)?;
        let refuse = |error: serde_json::Error| LocalError::Json {
            path: path.to_owned(),
            name: "manifest.json".to_owned(),
            why: error.to_string(),
        };
        let listed: Vec<Listed> = serde_json::from_slice(&bytes).map_err(refuse)?;
        let images = listed.into_iter().map(|listed| saved(&source, listed)).collect::<Result<_, _>>()?;
        Ok(Self { source, images })
    }

    /// The archive's path.
    pub(super) fn path(&self) -> &Path {
        self.source.path()
    }

    /// Looks up an image for the one architecture that such a one has. Hashes its layers.
    pub(super) fn resolve(&self, wanted: &Image) -> Result<LocalImage, LocalError> {
        let (reference, arches) = (&wanted.reference, &wanted.arches);
        let unfit = |source| LocalError::Choice { path: self.source.path().to_owned(), source };
        let image = self.find(reference, wanted.stored_as.as_deref())?;
        let arch = choice::only_arch(&image.parsed.platform(), arches).map_err(unfit)?;
        choice::agree(image.layers.len(), &image.parsed, arch, false).map_err(unfit)?;
        let config = image.config.1.clone();
        let layers = image.layers().map(|(name, diff_id)| self.layer(name, diff_id)).collect::<Result<Vec<_>, _>>()?;
        let target = choice::pin_to(media_type::OCI_MANIFEST, &derived::image_manifest(&config, &layers));
        if let Some(&expected) = reference.digest().filter(|digest| **digest != target.digest) {
            return Err(LocalError::Pinned { path: self.source.path().to_owned(), expected, actual: target.digest });
        }
        let one = LockedManifest { arch, variant: None, manifest: target.clone(), config, layers };
        Ok(LocalImage { target, narrowed: None, manifests: vec![one] })
    }

    /// All blobs by digest. Packed layers that are not named by their digest are hashed.
    pub(super) fn blobs(&self) -> Result<Vec<(Digest, Region)>, LocalError> {
        let mut blobs = Vec::new();
        for image in &self.images {
            let (name, pin) = &image.config;
            blobs.push((pin.digest, self.source.region(name)?));
            for (name, diff_id) in image.layers() {
                let region = self.source.region(name)?;
                let digest = match (self.kind(&region)?, named_by_digest(name)) {
                    (media_type::OCI_LAYER_TAR, _) => diff_id,
                    (_, Some(digest)) => digest,
                    (_, None) => self.hash(&region)?,
                };
                blobs.push((digest, region));
            }
        }
        Ok(blobs)
    }

    fn find(&self, reference: &Reference, stored_as: Option<&str>) -> Result<&Saved, LocalError> {
        let path = self.source.path().to_owned();
        let wanted = stored_as.map_or_else(|| reference.to_string(), str::to_owned);
        let is_named = |name: &String| {
            if let Some(stored_as) = stored_as {
                return same_name(name, stored_as);
            }
            let named = Reference::parse(name).ok();
            named.is_some_and(|named| named.name() == reference.name() && named.tag() == reference.tag())
        };
        let named: Vec<_> = self.images.iter().filter(|image| image.names.iter().any(is_named)).collect();
        match (named.as_slice(), self.images.as_slice()) {
            ([one], _) => Ok(one),
            // A digest says exactly enough.
            ([], [one]) if stored_as.is_none() && (one.names.is_empty() || reference.digest().is_some()) => Ok(one),
            ([], [_]) => Err(LocalError::OtherName { path, wanted, there: listed(&self.images) }),
            ([], _) => Err(LocalError::NotFound { path, wanted, there: listed(&self.images) }),
            (several, _) => Err(LocalError::Ambiguous { path, wanted, there: listed(several.iter().copied()) }),
        }
    }

    fn layer(&self, name: &str, diff_id: Digest) -> Result<Pin, LocalError> {
        let region = self.source.region(name)?;
        if region.length() > MAX_MEMBER {
            let (path, name, size) = (self.source.path().to_owned(), shown(name), region.length());
            return Err(LocalError::LargeLayer { path, name, size });
        }
        let (kind, digest) = (self.kind(&region)?, self.hash(&region)?);
        let expected = if kind == media_type::OCI_LAYER_TAR { Some(diff_id) } else { named_by_digest(name) };
        if let Some(expected) = expected {
            self.source.expect(shown(name), expected, digest)?;
        }
        Ok(Pin { digest, size: region.length(), media_type: kind.to_owned() })
    }

    fn kind(&self, region: &Region) -> Result<&'static str, LocalError> {
        let path = self.source.path();
        match packing(region).map_err(|source| LocalError::Read { path: path.to_owned(), source })? {
            None => Ok(media_type::OCI_LAYER_TAR),
            Some("gzip") => Ok(media_type::OCI_LAYER_GZIP),
            Some("zstd") => Ok(OCI_LAYER_ZSTD),
            Some(with) => Err(LocalError::Compressed { path: path.to_owned(), with }),
        }
    }

    fn hash(&self, region: &Region) -> Result<Digest, LocalError> {
        let read = digest_reader(region.reader());
        read.map(|(digest, _)| digest)
            .map_err(|source| LocalError::Read { path: self.source.path().to_owned(), source })
    }
}

impl Saved {
    fn layers(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.layers.iter().map(String::as_str).zip(self.parsed.rootfs.diff_ids.iter().copied())
    }
}

fn saved(source: &Source, listed: Listed) -> Result<Saved, LocalError> {
    let name = listed.config;
    let bytes = source.document(&name, MAX_CONFIG)?;
    let digest = Digest::of(&bytes);
    if let Some(expected) = named_by_digest(&name) {
        source.expect(shown(&name), expected, digest)?;
    }
    let parsed = ImageConfig::parse(&bytes).map_err(|error| LocalError::Document {
        path: source.path().to_owned(),
        name: shown(&name),
        source: error,
    })?;
    let pin = choice::pin_to(media_type::OCI_CONFIG, &bytes);
    if parsed.rootfs.diff_ids.len() != listed.layers.len() {
        let (manifest, config) = (listed.layers.len(), parsed.rootfs.diff_ids.len());
        let source_error = ChoiceError::Layers { manifest, config };
        return Err(LocalError::Choice { path: source.path().to_owned(), source: source_error });
    }
    let names = listed.repo_tags.unwrap_or_default();
    Ok(Saved { names, config: (name, pin), parsed, layers: listed.layers })
}

/// The digest by which a member is named: `<hex>.json`, `blobs/sha256/<hex>`.
fn named_by_digest(name: &str) -> Option<Digest> {
    let hex = name.strip_prefix("blobs/sha256/").or_else(|| name.strip_suffix(".json"))?;
    Digest::from_hex(hex).ok()
}

fn listed<'a>(images: impl IntoIterator<Item = &'a Saved>) -> String {
    let names = |image: &Saved| {
        let names = image.names.iter().take(5).map(|name| shown(name)).collect::<Vec<_>>().join(" or ");
        let names = if names.is_empty() { "unnamed".to_owned() } else { names };
        format!("{names} ({}, {})", image.config.1.digest.short(), shown(&image.parsed.platform().to_string()))
    };
    let lines: Vec<_> = images.into_iter().take(20).map(names).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}
