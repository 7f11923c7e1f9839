//! OCI image layouts of generated images, as `skopeo copy … oci:` and `oci-archive:` leave them.

use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundle_format::{Arch, Digest};
use ferry_bundler::origin::{Image, Variant};

use super::members::Members;

/// A layout of whole images: each tag's root with all its platforms (`skopeo copy --all`).
///
/// # Panics
/// When a generated blob cannot be read.
#[must_use]
pub fn all_platforms(images: &[&Image]) -> Members {
    let mut members = Members::default();
    for image in images {
        for (digest, reader) in image.blobs() {
            put_blob(&mut members, &digest, reader.read_all().expect("a generated blob can be read"));
        }
        for manifest in &image.manifests {
            put_blob(&mut members, &manifest.digest, manifest.bytes.to_vec());
        }
    }
    let roots: Vec<_> = images.iter().map(|image| named(image.root.descriptor(), &image.tag)).collect();
    finish(&mut members, &roots);
    members
}

/// A layout of one platform of one image (`skopeo copy` without `--all`).
///
/// # Panics
/// When the image has no such platform.
#[must_use]
pub fn one_platform(image: &Image, arch: Arch) -> Members {
    let mut members = Members::default();
    let variant = variant(image, arch);
    put_variant(&mut members, variant);
    finish(&mut members, &[named(variant.manifest.descriptor(), &image.tag)]);
    members
}

/// The variant of an image for an architecture.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn variant(image: &Image, arch: Arch) -> &Variant {
    let found = image.variants.iter().find(|variant| variant.platform.is_linux_on(arch));
    found.unwrap_or_else(|| panic!("{} has no image for {arch}", image.name()))
}

/// Puts manifest, config and packed layers of one platform.
pub(crate) fn put_variant(members: &mut Members, variant: &Variant) {
    put_blob(members, &variant.manifest.digest, variant.manifest.bytes.to_vec());
    put_blob(members, &Digest::of(&variant.config), variant.config.to_vec());
    for layer in &variant.layers {
        put_blob(members, &layer.digest, layer.packed.read_all().expect("a generated blob can be read"));
    }
}

/// Puts a blob under its path, whether or not it has this digest.
pub fn put_blob(members: &mut Members, digest: &Digest, bytes: impl Into<Vec<u8>>) {
    members.file(&blob_path(digest), bytes);
}

/// `blobs/sha256/<hex>`.
#[must_use]
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Puts `oci-layout` and an `index.json` of these descriptors.
pub fn finish(members: &mut Members, manifests: &[Descriptor]) {
    members.file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests
    });
    members.file("index.json", index.to_string());
}

/// A descriptor with the annotation that names it in a layout.
#[must_use]
pub fn named(mut descriptor: Descriptor, name: &str) -> Descriptor {
    descriptor.annotations.insert("org.opencontainers.image.ref.name".to_owned(), name.to_owned());
    descriptor
}
