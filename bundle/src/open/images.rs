//! Steps 8 and 9: lock and index name the same content, and the images' own documents agree with the lock:
//! nothing missing, nothing more than asked for, the architecture that the name says. What a package leaves out counts as
//! there; its documents are looked at where its base is given.

use std::collections::{BTreeMap, BTreeSet};

use super::error::OpenError;
use super::{Observer, Step, TrustedBundle};
use crate::index::{Extent, VERBATIM_HEAD, blob_name};
use crate::lock::contents::Contents;
use crate::lock::{Lock, LockedImage, LockedManifest, Pin, derived};
use crate::oci::{Document, ImageConfig, MAX_CONFIG, MAX_DOCUMENT, Manifest, media_type};

pub(super) fn check(bundle: &TrustedBundle, observer: &dyn Observer) -> Result<(), OpenError> {
    let lock = bundle.lock()?;
    agree(bundle, &lock)?;
    let detail = format!("lock {}: complete, and nothing that it does not name", lock.digest().short());
    observer.step(Step { number: 8, title: "lock", detail });
    for image in &lock.images {
        check_index(bundle, image)?;
        for one in &image.manifests {
            check_image(bundle, image, one)?;
        }
    }
    let detail = format!("{} images: documents agree with the lock, architectures with the configs", lock.images.len());
    observer.step(Step { number: 9, title: "images", detail });
    Ok(())
}

/// The members beside the blobs. Whatever else a bundle of this format holds, nobody asked for.
const DOCUMENTS: [&str; 6] =
    ["lock.yaml", "sbom.json", "transfer-list.csv", "transfer-list.txt", "oci-layout", "index.json"];

/// Whether index and lock name the same blobs with the same sizes, and the same artifacts.
fn agree(bundle: &TrustedBundle, lock: &Lock) -> Result<(), OpenError> {
    let index = bundle.index();
    let fail = |why: String| Err(OpenError::Disagree(why));
    if lock.digest() != index.lock {
        return fail("the index names another lock".into());
    }
    if (&lock.product, lock.serial, lock.created) != (&index.product, index.serial, index.created) {
        return fail("product, serial or time differ between lock and index".into());
    }
    let contents = Contents::of(lock).map_err(OpenError::Contents)?;
    let mut wanted: BTreeMap<String, u64> =
        contents.blobs.iter().map(|(digest, blob)| (blob_name(digest), blob.size)).collect();
    for entry in &index.entries {
        if DOCUMENTS.contains(&entry.name.as_str()) || (index.format >= 2 && entry.name == VERBATIM_HEAD) {
            continue;
        }
        let blob = entry.blob();
        let name = blob.map_or_else(|| entry.name.clone(), |blob| blob_name(&blob.digest));
        match wanted.remove(&name) {
            None => return fail(format!("{} is in the bundle, but the lock does not name it", entry.name)),
            Some(size) if blob.is_none_or(|blob| blob.size != size) => {
                let said = blob.map_or(entry.size, |blob| blob.size);
                return fail(format!("{name} has {said} bytes by the index and {size} by the lock"));
            }
            Some(_) => {}
        }
    }
    let leaned: BTreeSet<Extent> =
        index.entries.iter().filter_map(|entry| Some(entry.rebuilt()?.leans_on?.blob)).collect();
    for extent in &index.requires {
        let name = blob_name(&extent.digest);
        if wanted.get(&name) == Some(&extent.size) {
            wanted.remove(&name);
        } else if !leaned.contains(extent) {
            return fail(format!("{name} is required with {} bytes, but nothing needs it", extent.size));
        }
    }
    if let Some(name) = wanted.keys().next() {
        return fail(format!("{} blobs of the lock are not in the bundle, {name} first", wanted.len()));
    }
    let layout = bundle.document("index.json", MAX_DOCUMENT.max(crate::index::MAX_INDEX))?;
    if layout != derived::layout_index(lock) {
        return fail("index.json does not list what the lock names".into());
    }
    Ok(())
}

/// Whether the index under a name lists just the manifests that the lock names for it, each for its platform.
fn check_index(bundle: &TrustedBundle, image: &LockedImage) -> Result<(), OpenError> {
    let carried = image.carried();
    if image.manifests.iter().any(|one| one.manifest.digest == carried.digest) {
        return Ok(());
    }
    let name = image.name.to_string();
    if !bundle.has_blob(&carried.digest) {
        return Ok(());
    }
    let bytes = bundle.blob_document(&carried.digest, MAX_DOCUMENT)?;
    let document = Document::parse(&bytes, Some(&carried.media_type));
    let index = match document.map_err(|source| OpenError::Document { name: name.clone(), source })? {
        Document::Index(index) => index,
        Document::Manifest(_) => return Err(OpenError::Image { name, why: "its index is a manifest".into() }),
    };
    let listed = |one: &LockedManifest| {
        index.manifests.iter().any(|d| {
            d.digest == one.manifest.digest
                && d.size == one.manifest.size
                && d.platform.as_ref().is_some_and(|platform| platform.is_linux_on(one.arch))
        })
    };
    if index.manifests.len() != image.manifests.len() || !image.manifests.iter().all(listed) {
        return Err(OpenError::Image { name, why: "its index lists other manifests than the lock".into() });
    }
    Ok(())
}

fn check_image(bundle: &TrustedBundle, image: &LockedImage, one: &LockedManifest) -> Result<(), OpenError> {
    let name = format!("{} ({})", image.name, one.arch);
    let refuse = |why: String| Err(OpenError::Image { name: name.clone(), why });
    let unreadable = |source| OpenError::Document { name: name.clone(), source };
    if !bundle.has_blob(&one.manifest.digest) {
        return Ok(());
    }
    let bytes = bundle.blob_document(&one.manifest.digest, MAX_DOCUMENT)?;
    let manifest = match Document::parse(&bytes, Some(&one.manifest.media_type)).map_err(unreadable)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => return refuse("its manifest is an index".into()),
    };
    if !same(&manifest, one) {
        return refuse("its manifest lists other blobs than the lock".into());
    }
    let is_config = matches!(
        one.config.media_type.as_str(),
        media_type::OCI_CONFIG | "application/vnd.docker.container.image.v1+json"
    );
    if is_config && bundle.has_blob(&one.config.digest) {
        let config = bundle.blob_document(&one.config.digest, MAX_CONFIG)?;
        let config = ImageConfig::parse(&config).map_err(unreadable)?;
        // A config that names no platform contradicts nothing; a higher variant was chosen when the lock was made.
        let platform = config.platform();
        if platform.is_named() && !platform.is_some_linux_on(one.arch) {
            return refuse(format!("its config says {platform}"));
        }
        if config.rootfs.diff_ids.len() != one.layers.len() {
            return refuse(format!("{} layers, but {} in its config", one.layers.len(), config.rootfs.diff_ids.len()));
        }
    }
    Ok(())
}

fn same(manifest: &Manifest, locked: &LockedManifest) -> bool {
    let pin = |d: &crate::oci::Descriptor| Pin { digest: d.digest, size: d.size, media_type: d.media_type.clone() };
    pin(&manifest.config) == locked.config && manifest.layers.iter().map(pin).eq(locked.layers.iter().cloned())
}
