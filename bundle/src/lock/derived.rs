//! The OCI documents that ferry makes itself, as pure functions of the lock: index of fewer platforms,
//! manifests of images that came from a `docker save` tar, manifests and configs of charts and files,
//! and the layout's own `index.json`. The same lock gives the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Lock, LockedChart, LockedFile, LockedImage, LockedManifest, Pin};
use crate::oci::media_type as mt;
use crate::oci::{Descriptor, media_type};
use crate::platform::Platform;

/// The config of artifacts that have none: two bytes.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// `oci-layout`, the file that marks an OCI layout.
pub const OCI_LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}\n";

/// The annotation by which tools find an entry of a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestDocument<'a> {
    schema_version: u32,
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexDocument<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Descriptor>,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("OCI documents hold only strings, numbers, lists and maps with text keys")
}

fn descriptor(pin: &Pin) -> Descriptor {
    Descriptor::new(&pin.media_type, pin.digest, pin.size)
}

/// The index that is carried for an image of which not all platforms are.
#[must_use]
pub fn narrowed_index(manifests: &[LockedManifest]) -> Vec<u8> {
    let manifests = manifests
        .iter()
        .map(|m| Descriptor {
            platform: Some(Platform { variant: m.variant.clone(), ..Platform::linux(m.arch) }),
            ..descriptor(&m.manifest)
        })
        .collect();
    json(&IndexDocument { schema_version: 2, media_type: mt::OCI_INDEX, manifests })
}

/// The manifest of an image that came without one.
#[must_use]
pub fn image_manifest(config: &Pin, layers: &[Pin]) -> Vec<u8> {
    json(&ManifestDocument {
        schema_version: 2,
        media_type: mt::OCI_MANIFEST,
        artifact_type: None,
        config: descriptor(config),
        layers: layers.iter().map(descriptor).collect(),
        annotations: BTreeMap::new(),
    })
}

/// The manifest of a chart that came from a chart repository or a folder: what Helm itself would push.
#[must_use]
pub fn chart_manifest(chart: &LockedChart) -> Vec<u8> {
    let annotations = [(TITLE, chart.name.as_str()), (VERSION, chart.version.as_str())];
    json(&ManifestDocument {
        schema_version: 2,
        media_type: mt::OCI_MANIFEST,
        artifact_type: None,
        config: descriptor(&chart.config),
        layers: chart.layers.iter().map(descriptor).collect(),
        annotations: annotations.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
    })
}

/// The manifest of a plain file as an OCI artifact.
#[must_use]
pub fn file_manifest(file: &LockedFile) -> Vec<u8> {
    let mut layer = Descriptor::new(mt::OCTETS, file.digest, file.size);
    layer.annotations.insert(TITLE.to_owned(), file.name.to_string());
    let mut annotations = BTreeMap::from([(TITLE.to_owned(), file.name.to_string())]);
    if let Some(version) = &file.version {
        annotations.insert(VERSION.to_owned(), version.to_string());
    }
    for (key, value) in [
        ("dev.ferry.arch", file.arch.map(|arch| arch.to_string())),
        ("dev.ferry.component", file.component.as_ref().map(ToString::to_string)),
        ("dev.ferry.chart", file.chart.as_ref().map(ToString::to_string)),
        ("dev.ferry.executable", file.executable.then(|| "true".to_owned())),
    ] {
        if let Some(value) = value {
            annotations.insert(key.to_owned(), value);
        }
    }
    json(&ManifestDocument {
        schema_version: 2,
        media_type: mt::OCI_MANIFEST,
        artifact_type: Some(mt::FERRY_FILE),
        config: Descriptor::of(mt::OCI_EMPTY, EMPTY_CONFIG),
        layers: vec![layer],
        annotations,
    })
}

/// The repository and tag under which a chart stands in layout, registry and `serve`.
#[must_use]
pub fn chart_name(chart: &LockedChart) -> (String, String) {
    (format!("charts/{}", chart.name), chart.version.as_tag())
}

/// The repository and tag under which a file stands in layout, registry and `serve`.
#[must_use]
pub fn file_name(file: &LockedFile) -> (String, String) {
    let mut name = repository_component(file.name.as_str());
    if let Some(chart) = &file.chart {
        name = format!("{chart}/{name}");
    }
    let mut tag =
        file.version.as_ref().map_or_else(|| format!("sha256-{}", file.digest.short()), crate::name::Version::as_tag);
    if let Some(arch) = file.arch {
        tag = format!("{tag}-{arch}");
    }
    (format!("files/{name}"), tag)
}

/// A file name made into a repository path component: lower case, runs of anything else become one `-`.
fn repository_component(name: &str) -> String {
    let mut out = String::new();
    for c in name.to_ascii_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with(['-', '.']) {
            out.push(if c == '.' { '.' } else { '-' });
        }
    }
    out.trim_end_matches(['-', '.']).to_owned()
}

/// One artifact as the layout's `index.json` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `ref.name`: the full image reference, or `charts/…:…`, `files/…:…`.
    pub name: String,
    /// What it points to.
    pub pin: Pin,
    /// The kind of artifact, for files.
    pub artifact_type: Option<&'static str>,
}

/// All artifacts of a lock, in its order.
#[must_use]
pub fn listed(lock: &Lock) -> Vec<Listed> {
    let image = |image: &LockedImage| Listed {
        name: image.name.to_string(),
        pin: image.carried().clone(),
        artifact_type: None,
    };
    let chart = |chart: &LockedChart| {
        let (repository, tag) = chart_name(chart);
        Listed { name: format!("{repository}:{tag}"), pin: chart.manifest.clone(), artifact_type: None }
    };
    let file = |file: &LockedFile| {
        let (repository, tag) = file_name(file);
        let bytes = Descriptor::of(media_type::OCI_MANIFEST, &file_manifest(file));
        let pin = Pin { digest: bytes.digest, size: bytes.size, media_type: bytes.media_type };
        Listed { name: format!("{repository}:{tag}"), pin, artifact_type: Some(mt::FERRY_FILE) }
    };
    let mut list: Vec<Listed> = lock.images.iter().map(image).collect();
    list.extend(lock.charts.iter().map(chart));
    list.extend(lock.files.iter().map(file));
    list
}

/// `index.json` of the OCI layout that the bundle is.
#[must_use]
pub fn layout_index(lock: &Lock) -> Vec<u8> {
    let manifests = listed(lock)
        .into_iter()
        .map(|listed| Descriptor {
            annotations: BTreeMap::from([(REF_NAME.to_owned(), listed.name)]),
            artifact_type: listed.artifact_type.map(str::to_owned),
            ..descriptor(&listed.pin)
        })
        .collect();
    let mut bytes = json(&IndexDocument { schema_version: 2, media_type: mt::OCI_INDEX, manifests });
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_become_repository_components() {
        for (name, component) in [
            ("kubeadm", "kubeadm"),
            ("Values_Prod.yaml", "values-prod.yaml"),
            ("_x+y..tar.gz", "x-y.tar.gz"),
            ("a-_b", "a-b"),
        ] {
            assert_eq!(repository_component(name), component);
            assert!(crate::reference::is_repository(component));
        }
    }
}
