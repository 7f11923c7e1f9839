//! What `docker save` leaves, in the three shapes that are in the field.
//!
//! [`classic`]: up to Docker 24, `<layer id>/layer.tar` and symbolic links where a layer comes again.
//! [`modern`]: from Docker 25, an OCI layout of uncompressed layers with a `manifest.json` beside it.
//! [`containerd`]: the containerd image store, the default of Docker 29: compressed layers, and an index that
//! names platforms which are not in the archive.

use std::collections::BTreeMap;

use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundler::origin::{Image, Layer, Variant};
use serde_json::{Value, json};

use super::members::Members;
use super::oci_layout::{self, blob_path, put_blob};

/// One image that is saved: one platform under its tags (`team/app:v1`).
#[derive(Debug, Clone)]
pub struct Saved<'a> {
    /// The platform's image.
    pub variant: &'a Variant,
    /// Its names as Docker writes them: short for Docker Hub, complete for others. May be empty.
    pub tags: Vec<String>,
}

/// The archive of Docker up to 24.
///
/// # Panics
/// When a generated blob cannot be read.
#[must_use]
pub fn classic(images: &[Saved<'_>]) -> Members {
    let mut members = Members::default();
    let (mut manifest, mut repositories) = (Vec::new(), BTreeMap::new());
    let mut first_ids: BTreeMap<Digest, String> = BTreeMap::new();
    for Saved { variant, tags } in images {
        let mut ids: Vec<String> = Vec::new();
        for (number, layer) in variant.layers.iter().enumerate() {
            let top = if number + 1 == variant.layers.len() { variant.manifest.digest.hex() } else { String::new() };
            let parent = ids.last().cloned();
            let id = Digest::of(format!("{parent:?}{}{top}", layer.diff_id).as_bytes()).hex();
            members.file(&format!("{id}/VERSION"), "1.0");
            members.file(&format!("{id}/json"), legacy_json(&id, parent.as_deref(), variant).to_string());
            let path = format!("{id}/layer.tar");
            if let Some(first) = first_ids.get(&layer.diff_id).filter(|first| **first != id) {
                members.symlink(&path, &format!("../{first}/layer.tar"));
            } else {
                members.file(&path, plain(layer));
                first_ids.insert(layer.diff_id, id.clone());
            }
            ids.push(id);
        }
        let config = format!("{}.json", Digest::of(&variant.config).hex());
        members.file(&config, variant.config.to_vec());
        let layers: Vec<_> = ids.iter().map(|id| format!("{id}/layer.tar")).collect();
        manifest.push(json!({ "Config": config, "RepoTags": tags, "Layers": layers }));
        enter(&mut repositories, tags, ids.last().map(String::as_str).unwrap_or_default());
    }
    finish(&mut members, &manifest, &repositories);
    members
}

/// The archive of Docker from 25 with its own image store.
///
/// # Panics
/// When a generated blob cannot be read.
#[must_use]
pub fn modern(images: &[Saved<'_>]) -> Members {
    let mut members = Members::default();
    let (mut manifest, mut repositories, mut roots) = (Vec::new(), BTreeMap::new(), Vec::new());
    for Saved { variant, tags } in images {
        let config = Digest::of(&variant.config);
        put_blob(&mut members, &config, variant.config.to_vec());
        let (mut descriptors, mut sources, mut layers) = (Vec::new(), BTreeMap::new(), Vec::new());
        for layer in &variant.layers {
            put_blob(&mut members, &layer.diff_id, plain(layer));
            let descriptor = Descriptor::new(media_type::OCI_LAYER_TAR, layer.diff_id, layer.plain.size());
            sources.insert(layer.diff_id.to_string(), descriptor.clone());
            layers.push(blob_path(&layer.diff_id));
            descriptors.push(descriptor);
        }
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &variant.config), "layers": descriptors
        });
        let document = document.to_string().into_bytes();
        let root = Descriptor::of(media_type::OCI_MANIFEST, &document);
        put_blob(&mut members, &root.digest, document);
        roots.extend(tags.iter().map(|tag| containerd_name(root.clone(), tag)));
        manifest.push(json!({
            "Config": blob_path(&config), "RepoTags": tags, "Layers": layers, "LayerSources": sources
        }));
        enter(&mut repositories, tags, &variant.layers.last().map(|layer| layer.diff_id.hex()).unwrap_or_default());
    }
    oci_layout::finish(&mut members, &roots);
    finish(&mut members, &manifest, &repositories);
    members
}

/// The archive of Docker with the containerd image store: the whole index of `image`, but only the content of
/// the platform that was pulled.
///
/// # Panics
/// When a generated blob cannot be read.
#[must_use]
pub fn containerd(image: &Image, pulled: &Variant, tags: &[&str]) -> Members {
    let mut members = Members::default();
    oci_layout::put_variant(&mut members, pulled);
    put_blob(&mut members, &image.root.digest, image.root.bytes.to_vec());
    let roots: Vec<_> = tags.iter().map(|tag| containerd_name(image.root.descriptor(), tag)).collect();
    let layers: Vec<_> = pulled.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
    let manifest = json!({
        "Config": blob_path(&Digest::of(&pulled.config)), "RepoTags": tags, "Layers": layers
    });
    oci_layout::finish(&mut members, &roots);
    members.file("manifest.json", json!([manifest]).to_string());
    members
}

fn plain(layer: &Layer) -> Vec<u8> {
    layer.plain.read_all().expect("a generated blob can be read")
}

/// The version 1 metadata that nobody reads any more but Docker writes.
fn legacy_json(id: &str, parent: Option<&str>, variant: &Variant) -> Value {
    let mut document = json!({
        "id": id, "created": "1970-01-01T00:00:00Z", "os": variant.platform.os,
        "architecture": variant.platform.architecture, "container_config": {}
    });
    if let Some(parent) = parent {
        document["parent"] = parent.into();
    }
    document
}

/// The annotations by which Docker names an image in a layout.
fn containerd_name(descriptor: Descriptor, tag: &str) -> Descriptor {
    let short = tag.rsplit_once(':').map_or(tag, |(_, tag)| tag);
    let mut descriptor = oci_layout::named(descriptor, short);
    let complete = if tag.split('/').next().is_some_and(|first| first.contains(['.', ':']) && tag.contains('/')) {
        tag.to_owned()
    } else if tag.contains('/') {
        format!("docker.io/{tag}")
    } else {
        format!("docker.io/library/{tag}")
    };
    descriptor.annotations.insert("io.containerd.image.name".to_owned(), complete);
    descriptor
}

type Repositories = BTreeMap<String, BTreeMap<String, String>>;

fn enter(repositories: &mut Repositories, tags: &[String], id: &str) {
    for (name, tag) in tags.iter().filter_map(|tag| tag.rsplit_once(':')) {
        repositories.entry(name.to_owned()).or_default().insert(tag.to_owned(), id.to_owned());
    }
}

fn finish(members: &mut Members, manifest: &[Value], repositories: &Repositories) {
    members.file("manifest.json", json!(manifest).to_string());
    members.file("repositories", json!(repositories).to_string());
}
