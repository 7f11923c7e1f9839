//! The manifest: what a delivery should carry, as a person wishes it.
//!
//! [`file`] is the file as it is written (and its JSON Schema); `check` turns it into [`Manifest`], where
//! every reference, URL and group has been understood, or into the list of everything that is wrong.

mod check;
pub mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use url::Url;

use crate::digest::Digest;
use crate::name::{FileName, Name, Version};
use crate::platform::Arch;
use crate::reference::Reference;
use crate::yaml::{self, Problems};

pub use file::Product;

/// A checked manifest. Paths in it are relative to the manifest's own folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What is delivered.
    pub product: Product,
    /// After how many days a site is warned that the bundle is old.
    pub valid_for_days: Option<u32>,
    /// The architectures to carry, sorted.
    pub arches: Vec<Arch>,
    /// Components by name and version, Kubernetes among them.
    pub components: Vec<Component>,
    /// Container images.
    pub images: Vec<Image>,
    /// Helm charts.
    pub charts: Vec<Chart>,
    /// Other files.
    pub files: Vec<File>,
    /// The groups a profile may select, with their descriptions.
    pub groups: BTreeMap<Name, String>,
}

/// A component that a vendor list resolves to files and images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its name in the vendor lists.
    pub name: Name,
    /// Its version, as the vendor writes it.
    pub version: Version,
    /// The groups it belongs to.
    pub groups: Vec<Name>,
    /// Where it stands, for errors of later stages: line and column of its name.
    pub place: (u64, u64),
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its complete reference: the name it has on site.
    pub reference: Reference,
    /// Where it comes from.
    pub source: ImageSource,
    /// The name that its local source has for it, where that is another one.
    pub stored_as: Option<String>,
    /// The architectures to carry, sorted; those of the manifest unless narrowed.
    pub arches: Vec<Arch>,
    /// Which manifest of its index to take for an architecture, where it is said.
    pub choose: BTreeMap<Arch, Digest>,
    /// The groups it belongs to.
    pub groups: Vec<Name>,
}

impl Image {
    /// An image of its registry, for `arches`.
    #[must_use]
    pub fn of_registry(reference: Reference, arches: &[Arch]) -> Self {
        Self {
            reference,
            source: ImageSource::Registry,
            stored_as: None,
            arches: arches.to_vec(),
            choose: BTreeMap::new(),
            groups: Vec::new(),
        }
    }
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The registry its reference names.
    Registry,
    /// A `docker save` tar.
    DockerArchive(PathBuf),
    /// An OCI layout in a tar.
    OciArchive(PathBuf),
    /// An OCI layout in a folder.
    OciLayout(PathBuf),
}

/// A Helm chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// The chart's name.
    pub name: Name,
    /// The chart's exact version.
    pub version: Version,
    /// Where it comes from.
    pub source: ChartSource,
    /// Values files that travel with it.
    pub values: Vec<PathBuf>,
    /// The groups it belongs to.
    pub groups: Vec<Name>,
}

/// Where a chart comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartSource {
    /// A chart repository: the folder of its `index.yaml`.
    Repository(Url),
    /// An OCI registry: the repository without tag.
    Oci(Reference),
    /// A local `.tgz` or chart folder.
    Local(PathBuf),
}

/// Any other file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its file name on site.
    pub name: FileName,
    /// Its version, if it has one.
    pub version: Option<Version>,
    /// Its architecture, if it has one.
    pub arch: Option<Arch>,
    /// Where it comes from.
    pub source: FileSource,
    /// Whether it is to be executable on site.
    pub executable: bool,
    /// The groups it belongs to.
    pub groups: Vec<Name>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A URL and the digest that decides.
    Url {
        /// Where.
        url: Url,
        /// What it must be.
        sha256: Digest,
    },
    /// A local path.
    Local(PathBuf),
}

impl Manifest {
    /// Parses and checks the text of a manifest. All that is wrong is reported together.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problems> {
        let raw: file::ManifestFile = yaml::read(file, text)?;
        check::check(raw, Problems::new(file, text))
    }
}

impl Manifest {
    /// Puts `folder` before every relative local path, as when the paths are to be read from another folder.
    pub fn rebase(&mut self, folder: &Path) {
        let join = |path: &mut PathBuf| *path = folder.join(&path);
        for image in &mut self.images {
            match &mut image.source {
                ImageSource::Registry => {}
                ImageSource::DockerArchive(path) | ImageSource::OciArchive(path) | ImageSource::OciLayout(path) => {
                    join(path);
                }
            }
        }
        for chart in &mut self.charts {
            chart.values.iter_mut().for_each(join);
            if let ChartSource::Local(path) = &mut chart.source {
                join(path);
            }
        }
        for file in &mut self.files {
            if let FileSource::Local(path) = &mut file.source {
                join(path);
            }
        }
    }
}
