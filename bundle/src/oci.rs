//! The OCI documents, read strictly: descriptor, index, manifest, image config.
//!
//! A document that could mean two things is refused: one with both `manifests` and `layers` or `config`
//! (CVE-2021-41190), one whose `mediaType` contradicts its shape or the type it was served as, one with
//! duplicate keys, with sizes that are no unsigned integers, or nested without end. What ferry does not
//! know it ignores, because the bytes travel verbatim and their digest is what counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// Media types, by the names the specifications give them.
pub mod media_type {
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// Uncompressed OCI layer.
    pub const OCI_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
    /// Gzip OCI layer.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// The two bytes `{}`.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker manifest list, schema 2.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Helm chart config (Chart.yaml as JSON).
    pub const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
    /// Helm chart archive.
    pub const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    /// A plain file carried by ferry.
    pub const FERRY_FILE: &str = "application/vnd.ferry.file.v1";
    /// Bytes of no declared type.
    pub const OCTETS: &str = "application/octet-stream";

    /// What a manifest request accepts, in order of preference.
    pub const ACCEPT: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];
}

/// The largest manifest or index that is read, in bytes (the distribution project's own limit).
pub const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// The largest image config that is read, in bytes.
pub const MAX_CONFIG: u64 = 8 * 1024 * 1024;

/// A reference to content: media type, digest, size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where other than the registry it may be had: foreign layers. ferry refuses those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations, kept when an index is filtered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For entries of an index: the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The kind of artifact, where the content is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// A descriptor of `bytes`.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without annotations and platform.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }
}

/// An image index or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The type it declares or was served as.
    pub media_type: String,
    /// Its manifests, in the document's order.
    pub manifests: Vec<Descriptor>,
    /// Annotations of the whole.
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The type it declares or was served as.
    pub media_type: String,
    /// The kind of artifact, where it is no image.
    pub artifact_type: Option<String>,
    /// The config.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest this one refers to (signatures, SBOMs).
    pub subject: Option<Descriptor>,
    /// Annotations of the whole.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest request can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "read one at a time and taken apart at once")]
pub enum Document {
    /// Several platforms.
    Index(Index),
    /// One image or artifact.
    Manifest(Manifest),
}

/// The part of an image config that ferry checks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// Go's architecture name.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Such as `v8`.
    #[serde(default)]
    pub variant: Option<String>,
    /// The plain layers' digests.
    pub rootfs: RootFs,
}

/// The root file system of an image config.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

/// Why an OCI document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// Not the JSON it should be.
    #[error("not a valid {what}: {why}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What the parser says.
        why: String,
    },
    /// Both an index and a manifest.
    #[error("the document has both `manifests` and `{other}`: it would mean different things to different readers")]
    Ambiguous {
        /// The other member.
        other: &'static str,
    },
    /// Declared and served types differ.
    #[error("the document says mediaType {declared:?} but is {actual:?}")]
    TypeMismatch {
        /// What the document says.
        declared: String,
        /// What it was served as, or what its shape is.
        actual: String,
    },
    /// A type ferry does not carry.
    #[error("media type {0:?} is not supported (schema 1 manifests and unknown types are refused)")]
    Unsupported(String),
    /// Too large.
    #[error("{what} is {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Which document.
        what: &'static str,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A layer that the registry does not hold.
    #[error("layer {0} lives at foreign URLs; ferry carries only what the registry itself holds")]
    ForeignLayer(Digest),
}

impl OciError {
    /// A stable word for the refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "oci-malformed",
            Self::Ambiguous { .. } => "oci-ambiguous",
            Self::TypeMismatch { .. } => "oci-type-mismatch",
            Self::Unsupported(_) => "oci-unsupported",
            Self::TooLarge { .. } => "oci-too-large",
            Self::ForeignLayer(_) => "oci-foreign-layer",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u32,
    media_type: Option<String>,
    artifact_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Document {
    /// Parses a manifest or index. `served_as` is the `Content-Type` or the descriptor's media type, if known.
    pub fn parse(bytes: &[u8], served_as: Option<&str>) -> Result<Self, OciError> {
        limit("document", bytes.len() as u64, MAX_DOCUMENT)?;
        let raw: RawDocument = serde_json::from_slice(bytes)
            .map_err(|e| OciError::Malformed { what: "OCI document", why: e.to_string() })?;
        if raw.schema_version != 2 || raw.fs_layers.is_some() {
            return Err(OciError::Unsupported(
                raw.media_type.unwrap_or_else(|| format!("schemaVersion {}", raw.schema_version)),
            ));
        }
        let is_index = raw.manifests.is_some();
        for (present, other) in [(raw.config.is_some(), "config"), (raw.layers.is_some(), "layers")] {
            if is_index && present {
                return Err(OciError::Ambiguous { other });
            }
        }
        let served_as = served_as.map(|t| t.split(';').next().unwrap_or(t).trim());
        let shape: &[&str] = if is_index {
            &[media_type::OCI_INDEX, media_type::DOCKER_LIST]
        } else {
            &[media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST]
        };
        let media_type = match (&raw.media_type, served_as) {
            (Some(declared), Some(served)) if declared != served => {
                return Err(OciError::TypeMismatch { declared: declared.clone(), actual: served.to_owned() });
            }
            (Some(declared), _) => declared.clone(),
            (None, Some(served)) => served.to_owned(),
            (None, None) => shape[0].to_owned(),
        };
        if !shape.contains(&media_type.as_str()) {
            return Err(if media_type::ACCEPT.contains(&media_type.as_str()) {
                OciError::TypeMismatch { declared: media_type, actual: shape[0].to_owned() }
            } else {
                OciError::Unsupported(media_type)
            });
        }
        let annotations = raw.annotations.unwrap_or_default();
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), _, _) => Ok(Self::Index(Index { media_type, manifests, annotations })),
            (None, Some(config), Some(layers)) => {
                if let Some(foreign) = layers.iter().find(|layer| !layer.urls.is_empty()) {
                    return Err(OciError::ForeignLayer(foreign.digest));
                }
                Ok(Self::Manifest(Manifest {
                    media_type,
                    artifact_type: raw.artifact_type,
                    config,
                    layers,
                    subject: raw.subject,
                    annotations,
                }))
            }
            _ => Err(OciError::Malformed { what: "OCI document", why: "neither an index nor a manifest".into() }),
        }
    }

    /// The type it declares or was served as.
    #[must_use]
    pub fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => &index.media_type,
            Self::Manifest(manifest) => &manifest.media_type,
        }
    }
}

impl ImageConfig {
    /// Parses an image config.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        limit("image config", bytes.len() as u64, MAX_CONFIG)?;
        serde_json::from_slice(bytes).map_err(|e| OciError::Malformed { what: "image config", why: e.to_string() })
    }

    /// The platform the config claims.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant: self.variant.clone() }
    }
}

fn limit(what: &'static str, size: u64, limit: u64) -> Result<(), OciError> {
    if size > limit { Err(OciError::TooLarge { what, size, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn descriptor(extra: &str) -> String {
        format!(r#"{{"mediaType":"m","digest":"{DIGEST}","size":3{extra}}}"#)
    }

    fn refusal(json: &str) -> String {
        Document::parse(json.as_bytes(), None).unwrap_err().to_string()
    }

    #[test]
    fn a_document_means_one_thing() {
        let d = descriptor("");
        let manifest = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[{d}]}}"#);
        assert!(matches!(Document::parse(manifest.as_bytes(), None), Ok(Document::Manifest(_))));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{d}]}}"#);
        assert!(matches!(Document::parse(index.as_bytes(), None), Ok(Document::Index(_))));

        assert!(
            refusal(&format!(r#"{{"schemaVersion":2,"manifests":[],"config":{d}}}"#))
                .contains("both `manifests` and `config`")
        );
        assert!(refusal(&format!(r#"{{"schemaVersion":2,"manifests":[],"layers":[{d}]}}"#)).contains("`layers`"));
        assert!(refusal(r#"{"schemaVersion":1,"fsLayers":[]}"#).contains("not supported"));
        assert!(refusal(r#"{"schemaVersion":2}"#).contains("neither"));
        assert!(refusal(r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#).contains("duplicate"));
        let lying = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::OCI_MANIFEST);
        assert!(refusal(&lying).contains("mediaType"));
        let served = Document::parse(index.as_bytes(), Some(media_type::OCI_MANIFEST)).unwrap_err();
        assert!(matches!(served, OciError::TypeMismatch { .. }));
    }

    #[test]
    fn descriptors_are_strict() {
        for (from, to) in [
            ("\"size\":3", "\"size\":-3"),
            ("\"size\":3", "\"size\":3.0"),
            ("\"size\":3", "\"size\":99999999999999999999"),
            ("sha256:ba", "sha256:BA"),
            ("sha256:", "sha512:"),
        ] {
            let d = descriptor("").replace(from, to);
            assert!(refusal(&format!(r#"{{"schemaVersion":2,"manifests":[{d}]}}"#)).contains("not a valid"), "{to}");
        }
        let foreign = descriptor(r#","urls":["https://elsewhere.example/x"]"#);
        let json = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{foreign}]}}"#, descriptor(""));
        assert!(refusal(&json).contains("foreign"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(refusal(&format!(r#"{{"schemaVersion":2,"annotations":{deep}}}"#)).contains("not a valid"));
    }
}
