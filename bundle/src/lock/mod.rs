//! The lock: what a manifest resolved to, every byte of it pinned by digest and size.
//!
//! A lock alone decides a bundle's bytes: from it follow all members, sizes and offsets ([`crate::index`]),
//! before anything is fetched. Its own bytes are canonical: the same content always writes the same text,
//! and a text that differs from what would be written is refused.

pub mod contents;
pub mod derived;
mod diff;

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::file::{ApiVersion, Product};
use crate::name::{FileName, Name, Version};
use crate::platform::Arch;
use crate::reference::Reference;
use crate::yaml::{self, Problems};

pub use diff::{Change, ChangeKind, diff};

/// The largest single member of a bundle, in bytes: what the size field of a ustar header holds (8 GiB − 1).
pub const MAX_MEMBER: u64 = 0o777_7777_7777;

/// The kind of this document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockKind {
    /// A lock.
    Lock,
}

/// A moment in UTC, to the second, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// From seconds since 1970-01-01 UTC; out of range becomes the nearest possible.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        Self(jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0.as_second()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// Everything a bundle carries, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lock {
    /// Always `ferry.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `Lock`.
    pub kind: LockKind,
    /// What is delivered.
    pub product: Product,
    /// Rises by one whenever the content changes; a site refuses a lower one than it has seen.
    pub serial: u64,
    /// When this content was locked: a lower bound for "now" on site.
    pub created: Timestamp,
    /// After how many days a site is warned that the bundle is old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for_days: Option<u32>,
    /// The architectures carried, sorted.
    pub arches: Vec<Arch>,
    /// The groups a profile may select, with their descriptions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<Name, String>,
    /// The components asked for, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<LockedComponent>,
    /// Images, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<LockedImage>,
    /// Charts, sorted by name and version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charts: Vec<LockedChart>,
    /// Files, sorted by name, version and architecture.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LockedFile>,
}

/// A component and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedComponent {
    /// Its name in the vendor lists.
    pub name: Name,
    /// Its version.
    pub version: Version,
}

/// Content by digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pin {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What it is.
    pub media_type: String,
}

/// Where something comes from, by its own name; the mirror that answered for it is noted apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// `registry/repository`.
    Registry(String),
    /// A URL.
    Url(String),
    /// A `docker save` tar, relative to the lock.
    DockerArchive(String),
    /// An OCI layout in a tar, relative to the lock.
    OciArchive(String),
    /// An OCI layout in a folder, relative to the lock.
    OciLayout(String),
    /// A local file or chart folder, relative to the lock.
    Path(String),
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedImage {
    /// Its complete reference.
    pub name: Reference,
    /// Where its content comes from.
    pub from: Origin,
    /// The mirror that answered instead, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The groups it belongs to, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// The component it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Name>,
    /// What the name points to at its origin: an index, or the only manifest.
    pub target: Pin,
    /// The index that is carried under the name where not all platforms of `target` are: derived from
    /// `manifests`, because registries refuse an index whose children they do not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub narrowed: Option<Pin>,
    /// The images by architecture, sorted.
    pub manifests: Vec<LockedManifest>,
}

impl LockedImage {
    /// What is carried under the name: the narrowed index, or the target itself.
    #[must_use]
    pub fn carried(&self) -> &Pin {
        self.narrowed.as_ref().unwrap_or(&self.target)
    }
}

/// The image for one architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedManifest {
    /// The architecture.
    pub arch: Arch,
    /// The variant the index states, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The manifest.
    pub manifest: Pin,
    /// The config.
    pub config: Pin,
    /// The layers, lowest first.
    pub layers: Vec<Pin>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedChart {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// Where it comes from.
    pub from: Origin,
    /// The mirror that answered instead, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The groups it belongs to, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// Its OCI manifest: the registry's, or one derived from what follows.
    pub manifest: Pin,
    /// Its OCI config.
    pub config: Pin,
    /// `Chart.yaml` as JSON, where the config is derived from it; absent for charts from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_json: Option<String>,
    /// The chart archive first, then what else its manifest lists.
    pub layers: Vec<Pin>,
}

/// A file: a component's binary, a values file, anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedFile {
    /// Its file name on site.
    pub name: FileName,
    /// Its version, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Its architecture, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Where it comes from.
    pub from: Origin,
    /// The mirror that answered instead, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The groups it belongs to, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Name>,
    /// The component it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<Name>,
    /// The chart whose values it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<Name>,
    /// Whether it is to be executable on site.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Lock {
    /// Parses the text of a lock. It must be exactly what [`Lock::to_yaml`] writes.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problems> {
        let lock: Self = yaml::read(file, text)?;
        let mut problems = Problems::new(file, text);
        lock.check(&mut problems);
        if problems.list.is_empty() && lock.to_yaml() != text {
            problems.add_whole(
                "the lock is not in its canonical form: it was edited, or its line ends were changed",
                Some("run `ferry-bundle lock` again; a lock is not edited by hand"),
            );
        }
        problems.or_else(lock)
    }

    /// The canonical text.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let body = yaml::write(self).expect("a lock has only strings, numbers, lists and maps with text keys");
        format!("# Written by ferry-bundle lock; not to be edited.\n{body}")
    }

    /// The digest of the canonical text: the lock's identity.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_yaml().as_bytes())
    }

    /// Brings everything into the canonical order.
    pub fn sort(&mut self) {
        self.components.sort_by(|a, b| a.name.cmp(&b.name));
        self.images.sort_by(|a, b| a.name.cmp(&b.name));
        for image in &mut self.images {
            image.manifests.sort_by_key(|m| m.arch);
        }
        self.charts.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        self.files.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
    }

    /// Whether the content is the same, whatever serial, time and mirrors say.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        let plain = |lock: &Self| {
            let mut lock = Self { serial: 1, created: Timestamp::from_unix(0), ..lock.clone() };
            lock.images.iter_mut().for_each(|image| image.via = None);
            lock.charts.iter_mut().for_each(|chart| chart.via = None);
            lock.files.iter_mut().for_each(|file| file.via = None);
            lock
        };
        plain(self) == plain(other)
    }

    fn check(&self, problems: &mut Problems) {
        if self.serial == 0 {
            problems.add_whole("serial 0 is not used; serials begin at 1", None);
        }
        for image in &self.images {
            if image.manifests.is_empty() {
                problems.add_whole(format!("image {} has no manifests", image.name), None);
            }
        }
        if let Err(error) = contents::Contents::of(self) {
            problems.add_whole(error.to_string(), Some("run `ferry-bundle lock` again"));
        }
    }
}

impl LockedFile {
    fn sort_key(&self) -> (Option<&Name>, &FileName, Option<&Version>, Option<Arch>, Digest) {
        (self.chart.as_ref(), &self.name, self.version.as_ref(), self.arch, self.digest)
    }
}
