//! The OCI documents, read strictly: descriptor, index, manifest, image config.
//!
//! A document that could mean two things is refused: one with both `manifests` and `layers` or `config`
//! (CVE-2021-41190), one whose `mediaType` contradicts its shape or the type it was served as, one with
//! duplicate keys, with sizes that are no unsigned integers, or nested without end. A member that is `null` is
//! absent, as Go's programs read and write it; no other member is guessed. What ferry does not know it ignores, because the bytes travel verbatim and their digest is what counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

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
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub urls: Vec<String>,
    /// Annotations, kept when an index is filtered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "annotations")]
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

/// The part of an image config that ferry checks. Tools leave out what is empty, or write `null` for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// Go's architecture name; empty where it is not said.
    #[serde(default, deserialize_with = "nullable")]
    pub architecture: String,
    /// `linux`; empty where it is not said.
    #[serde(default, deserialize_with = "nullable")]
    pub os: String,
    /// Such as `v8`.
    #[serde(default)]
    pub variant: Option<String>,
    /// The plain layers' digests.
    #[serde(default, deserialize_with = "nullable")]
    pub rootfs: RootFs,
}

/// The root file system of an image config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Digests of the uncompressed layers, lowest first.
    #[serde(default, deserialize_with = "nullable")]
    pub diff_ids: Vec<Digest>,
}

/// Reads `null` as if the member were absent.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Annotations, where the whole or a value may be `null`.
fn annotations<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let read: BTreeMap<String, Option<String>> = nullable(from)?;
    Ok(read.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
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
    #[serde(default, deserialize_with = "member")]
    manifests: Member<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "annotations")]
    annotations: BTreeMap<String, String>,
}

/// A member of which it matters that it is there, even as `null`: an empty list of Go.
#[derive(Default)]
enum Member<T> {
    #[default]
    Absent,
    Null,
    Value(T),
}

fn member<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Member<T>, D::Error> {
    Ok(Option::deserialize(from)?.map_or(Member::Null, Member::Value))
}

impl RawDocument {
    /// Whether it is an index: by what it has, else by its type, else by the names of its members.
    fn is_index(&self, served_as: Option<&str>) -> bool {
        let has_manifest = self.config.is_some() || self.layers.is_some();
        match (&self.manifests, self.media_type.as_deref().or(served_as)) {
            (Member::Value(_), _) => true,
            _ if has_manifest => false,
            (_, Some(media_type)) => INDEX_TYPES.contains(&media_type),
            (found, None) => matches!(found, Member::Null),
        }
    }
}

const INDEX_TYPES: [&str; 2] = [media_type::OCI_INDEX, media_type::DOCKER_LIST];
const MANIFEST_TYPES: [&str; 2] = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];

impl Document {
    /// Parses a manifest or index. `served_as` is the `Content-Type` or the descriptor's media type, if known.
    pub fn parse(bytes: &[u8], served_as: Option<&str>) -> Result<Self, OciError> {
        limit("document", bytes.len() as u64, MAX_DOCUMENT)?;
        let mut raw: RawDocument = serde_json::from_slice(bytes)
            .map_err(|e| OciError::Malformed { what: "OCI document", why: e.to_string() })?;
        if raw.schema_version != 2 || raw.fs_layers.is_some() {
            return Err(OciError::Unsupported(
                raw.media_type.unwrap_or_else(|| format!("schemaVersion {}", raw.schema_version)),
            ));
        }
        raw.media_type = raw.media_type.filter(|declared| !declared.is_empty());
        let served_as = served_as.map(|t| t.split(';').next().unwrap_or(t).trim()).filter(|t| !t.is_empty());
        let is_index = raw.is_index(served_as);
        for (present, other) in [(raw.config.is_some(), "config"), (raw.layers.is_some(), "layers")] {
            if is_index && present {
                return Err(OciError::Ambiguous { other });
            }
        }
        let shape = if is_index { INDEX_TYPES } else { MANIFEST_TYPES };
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
        let annotations = raw.annotations;
        match (raw.manifests, raw.config) {
            (Member::Value(manifests), _) => Ok(Self::Index(Index { media_type, manifests, annotations })),
            _ if is_index => Ok(Self::Index(Index { media_type, manifests: Vec::new(), annotations })),
            (_, Some(config)) => {
                let layers = raw.layers.unwrap_or_default();
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
            (_, None) => {
                Err(OciError::Malformed { what: "OCI document", why: "neither an index nor a manifest".into() })
            }
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
        let malformed = |why: String| OciError::Malformed { what: "image config", why };
        // Every member may be left out, so that a list would pass for an empty config.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(malformed("it is no JSON object".to_owned()));
        }
        serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))
    }

    /// The platform the config claims.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let (os, architecture, variant) = (self.os.clone(), self.architecture.clone(), self.variant.clone());
        Platform { os, architecture, variant, os_features: Vec::new() }
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

    /// As Go's JSON reads it, which skopeo, containerd and docker use.
    #[test]
    fn null_is_absent() {
        let (d, all_null) = (
            descriptor(""),
            descriptor(r#","annotations":null,"urls":null,"platform":null,"artifactType":null,"data":null"#),
        );
        let (index, list) = (media_type::OCI_INDEX, media_type::DOCKER_LIST);
        let (manifest, docker) = (media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST);
        // The members, the type it is served as, and what comes out: the number of manifests or of layers.
        for (members, served, manifests, layers) in [
            (format!(r#""mediaType":"{index}","manifests":null"#), None, Some(0), None),
            (format!(r#""mediaType":"{index}""#), None, Some(0), None),
            (format!(r#""mediaType":"{list}","manifests":null"#), None, Some(0), None),
            (r#""manifests":null"#.to_owned(), None, Some(0), None),
            (r#""manifests":null"#.to_owned(), Some(index), Some(0), None),
            (String::new(), Some(index), Some(0), None),
            (format!(r#""mediaType":null,"manifests":[{d}]"#), None, Some(1), None),
            (format!(r#""mediaType":"","manifests":[{all_null}]"#), None, Some(1), None),
            (format!(r#""manifests":[{d}],"config":null,"layers":null,"subject":null"#), None, Some(1), None),
            (format!(r#""manifests":[{d}],"annotations":null"#), Some(""), Some(1), None),
            (format!(r#""manifests":[{d}],"annotations":{{"a":null}}"#), None, Some(1), None),
            (format!(r#""config":{d},"layers":[{d}],"manifests":null"#), None, None, Some(1)),
            (format!(r#""mediaType":"{manifest}","config":{d},"layers":null"#), None, None, Some(0)),
            (format!(r#""mediaType":"{docker}","config":{d}"#), None, None, Some(0)),
            (format!(r#""config":{all_null},"layers":[]"#), None, None, Some(0)),
            (format!(r#""config":{d}"#), Some(manifest), None, Some(0)),
            (format!(r#""config":{d},"layers":[{all_null},{d}],"subject":null"#), None, None, Some(2)),
            (format!(r#""artifactType":null,"config":{d},"layers":[],"annotations":null"#), None, None, Some(0)),
        ] {
            let comma = if members.is_empty() { "" } else { "," };
            let json = format!(r#"{{"schemaVersion":2{comma}{members}}}"#);
            let found = match Document::parse(json.as_bytes(), served) {
                Ok(Document::Index(index)) => (Some(index.manifests.len()), None),
                Ok(Document::Manifest(manifest)) => (None, Some(manifest.layers.len())),
                Err(error) => panic!("{json}: {error}"),
            };
            assert_eq!(found, (manifests, layers), "{json}");
        }
        for members in [
            format!(r#""mediaType":"{manifest}""#),
            format!(r#""mediaType":"{manifest}","config":null,"layers":[{d}]"#),
            format!(r#""mediaType":"{manifest}","manifests":[{d}]"#),
            format!(r#""mediaType":"{index}","config":{d},"layers":[]"#),
            format!(r#""manifests":[],"config":{d}"#),
            r#""manifests":[null],"annotations":{}"#.to_owned(),
        ] {
            let json = format!(r#"{{"schemaVersion":2,{members}}}"#);
            assert!(Document::parse(json.as_bytes(), None).is_err(), "{json}");
        }
    }

    #[test]
    fn an_image_without_layers_is_spelled_in_many_ways() {
        for json in [
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#,
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#,
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}"#,
            r#"{"architecture":"amd64","os":"linux","rootfs":{}}"#,
            r#"{"architecture":"amd64","os":"linux","rootfs":null,"variant":null,"config":null,"history":null}"#,
            r#"{"architecture":"amd64","os":"linux"}"#,
        ] {
            let config = ImageConfig::parse(json.as_bytes()).unwrap();
            assert!(config.rootfs.diff_ids.is_empty() && config.platform().is_linux_on(crate::Arch::Amd64), "{json}");
        }
        for json in [r#"{"architecture":null,"os":null}"#, "{}", r#"{"architecture":"","os":""}"#] {
            assert!(!ImageConfig::parse(json.as_bytes()).unwrap().platform().is_named(), "{json}");
        }
        for json in ["[]", "null", r#"{"rootfs":{"diff_ids":[null]}}"#, r#"{"os":1}"#, r#"{"rootfs":[1]}"#] {
            assert!(ImageConfig::parse(json.as_bytes()).is_err(), "{json}");
        }
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
