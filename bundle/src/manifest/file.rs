//! The manifest as it is written: field for field what the JSON Schema publishes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{FileName, Name, Version};
use crate::platform::Arch;
use crate::yaml::At;

/// The version of ferry's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first.
    #[serde(rename = "ferry.dev/v1")]
    V1,
}

/// The kind of this document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ManifestKind {
    /// A wish list.
    Manifest,
}

/// A wish list: what a delivery should carry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ManifestFile {
    /// Always `ferry.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `Manifest`.
    pub kind: ManifestKind,
    /// What is delivered.
    pub product: Product,
    /// After how many days a site is warned that the bundle is old. Never blocks an install.
    #[serde(default)]
    pub valid_for_days: Option<u32>,
    /// The architectures to carry.
    pub arches: Vec<At<Arch>>,
    /// The Kubernetes version; the same as a component named `kubernetes`.
    #[serde(default)]
    pub kubernetes: Option<Kubernetes>,
    /// Components by name and version, resolved through the vendor lists.
    #[serde(default)]
    pub components: Vec<ComponentEntry>,
    /// Container images.
    #[serde(default)]
    pub images: Vec<ImageEntry>,
    /// Helm charts.
    #[serde(default)]
    pub charts: Vec<ChartEntry>,
    /// Other files.
    #[serde(default)]
    pub files: Vec<FileEntry>,
    /// Groups that a profile can select, each with a description.
    #[serde(default)]
    pub groups: BTreeMap<Name, String>,
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The product's name.
    pub name: Name,
    /// The product's version.
    pub version: Version,
    /// The channel within which serials rise, `stable` unless said otherwise.
    #[serde(default = "stable")]
    pub channel: Name,
}

fn stable() -> Name {
    Name::parse("stable").expect("a literal that is a name")
}

/// The Kubernetes to carry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Such as `v1.34.4`.
    pub version: At<Version>,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<At<Name>>,
}

/// A component by name and version.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComponentEntry {
    /// Its name in the vendor lists.
    pub name: At<Name>,
    /// Its version, as the vendor writes it.
    pub version: Version,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<At<Name>>,
}

/// A container image.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageEntry {
    /// `registry/repository:tag`, `…@sha256:…`, or both.
    pub name: At<String>,
    /// A local archive or layout to take it from, instead of its registry.
    #[serde(default)]
    pub from: Option<ImageFrom>,
    /// The name that the archive or layout of `from` has for it, where that is another one.
    #[serde(default)]
    pub stored_as: Option<At<String>>,
    /// Fewer architectures than the manifest's.
    #[serde(default)]
    pub arches: Option<Vec<At<Arch>>>,
    /// Which manifest of its index to take for an architecture, by digest, where the usual choice is not the right one.
    #[serde(default)]
    pub choose: BTreeMap<Arch, At<String>>,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<At<Name>>,
}

/// A local source of an image. Paths are relative to the manifest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ImageFrom {
    /// A tar of `docker save`.
    DockerArchive(At<String>),
    /// A tar with an OCI layout.
    OciArchive(At<String>),
    /// A folder with an OCI layout.
    OciLayout(At<String>),
}

/// A Helm chart. Exactly one of `repo`, `oci` and `path`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChartEntry {
    /// The chart's name.
    pub name: At<Name>,
    /// The chart's exact version.
    pub version: Version,
    /// The URL of a chart repository (the folder of its `index.yaml`).
    #[serde(default)]
    pub repo: Option<At<String>>,
    /// `oci://registry/path`, without the chart's name.
    #[serde(default)]
    pub oci: Option<At<String>>,
    /// A local `.tgz` or chart folder, relative to the manifest.
    #[serde(default)]
    pub path: Option<At<String>>,
    /// Values files that travel with it, relative to the manifest.
    #[serde(default)]
    pub values: Vec<At<String>>,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<At<Name>>,
}

/// Any other file. Either `url` with `sha256`, or `path`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its file name on site.
    pub name: At<FileName>,
    /// Its version, if it has one.
    #[serde(default)]
    pub version: Option<Version>,
    /// Its architecture, if it has one.
    #[serde(default)]
    pub arch: Option<At<Arch>>,
    /// An http or https URL.
    #[serde(default)]
    pub url: Option<At<String>>,
    /// The 64 hex digits that `sha256sum` prints.
    #[serde(default)]
    pub sha256: Option<At<String>>,
    /// A local path, relative to the manifest.
    #[serde(default)]
    pub path: Option<At<String>>,
    /// Whether it is to be executable on site.
    #[serde(default)]
    pub executable: bool,
    /// Groups it belongs to.
    #[serde(default)]
    pub groups: Vec<At<Name>>,
}
