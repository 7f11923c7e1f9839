//! Vendor lists: where each vendor publishes each version. Reads them, lets later ones override earlier ones,
//! and answers "what belongs to this component at this version" with URLs, digests and image names.
//!
//! ```yaml
//! apiVersion: ferry.dev/v1
//! kind: VendorList
//! component: etcd
//! files:
//! - {name: etcd.tar.gz, url: "https://vendor.example/{version}/etcd-{arch}.tar.gz"}
//! images: ["registry.example/etcd:{version}"]
//! versions:
//!   v3.6.5: {sha256: {etcd.tar.gz: {amd64: "…", arm64: "…"}}}
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ferry_bundle_format::manifest::Component;
use ferry_bundle_format::manifest::file::ApiVersion;
use ferry_bundle_format::name::{FileName, Name, Version};
use ferry_bundle_format::yaml::{self, At, Problems};
use ferry_bundle_format::{Arch, Digest, Reference};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

/// The lists that travel in the program, so that the common components need no folder.
const BUILT_IN: [(&str, &str); 11] = [
    ("calico.yaml", include_str!("../../vendor-lists/calico.yaml")),
    ("containerd.yaml", include_str!("../../vendor-lists/containerd.yaml")),
    ("cni-plugins.yaml", include_str!("../../vendor-lists/cni-plugins.yaml")),
    ("etcd.yaml", include_str!("../../vendor-lists/etcd.yaml")),
    ("flannel.yaml", include_str!("../../vendor-lists/flannel.yaml")),
    ("haproxy.yaml", include_str!("../../vendor-lists/haproxy.yaml")),
    ("helm.yaml", include_str!("../../vendor-lists/helm.yaml")),
    ("keepalived.yaml", include_str!("../../vendor-lists/keepalived.yaml")),
    ("kubernetes.yaml", include_str!("../../vendor-lists/kubernetes.yaml")),
    ("local-path-provisioner.yaml", include_str!("../../vendor-lists/local-path-provisioner.yaml")),
    ("runc.yaml", include_str!("../../vendor-lists/runc.yaml")),
];

/// The kind of this document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum VendorListKind {
    /// A vendor list.
    VendorList,
}

/// What one component consists of, version by version.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct VendorList {
    /// Always `ferry.dev/v1`.
    pub api_version: ApiVersion,
    /// Always `VendorList`.
    pub kind: VendorListKind,
    /// The component's name, as manifests ask for it.
    pub component: Name,
    /// Its files. `{version}`, `{arch}`, `{name}` and the words of a version's `with` are filled in.
    #[serde(default)]
    pub files: Vec<FileTemplate>,
    /// Its images, with the same words.
    #[serde(default)]
    pub images: Vec<At<String>>,
    /// The known versions.
    pub versions: BTreeMap<Version, VersionEntry>,
}

/// A file that each version has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileTemplate {
    /// Its file name on site.
    pub name: FileName,
    /// Where it is published. Without `{arch}` it is the same for all architectures.
    pub url: At<String>,
    /// Whether it is to be executable on site.
    #[serde(default)]
    pub executable: bool,
}

/// One version.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionEntry {
    /// Digests by file name and architecture (`any` where the file has none).
    #[serde(default)]
    pub sha256: BTreeMap<FileName, BTreeMap<String, At<String>>>,
    /// More words for the templates, such as the version of `pause` that belongs to a Kubernetes.
    #[serde(default)]
    pub with: BTreeMap<String, String>,
}

/// All lists, later ones before earlier ones.
#[derive(Debug, Default)]
pub struct VendorLists {
    lists: Vec<(PathBuf, String, VendorList)>,
}

/// What a component consists of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// Its files.
    pub files: Vec<PartFile>,
    /// Its images.
    pub images: Vec<Reference>,
}

/// A file of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFile {
    /// Its file name on site.
    pub name: FileName,
    /// Its architecture, if it has one.
    pub arch: Option<Arch>,
    /// Where it is published.
    pub url: Url,
    /// What it must be.
    pub sha256: Digest,
    /// Whether it is to be executable on site.
    pub executable: bool,
}

/// Why a component can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// A folder that can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A list that is wrong.
    #[error("the vendor list is refused")]
    List(#[from] Problems),
    /// No list knows the component.
    #[error("no vendor list knows component {name}; known are: {known}")]
    Component {
        /// The component.
        name: Name,
        /// What is known.
        known: String,
    },
    /// No list knows the version.
    #[error("no vendor list knows {name} {version}; known are: {known}")]
    Version {
        /// The component.
        name: Name,
        /// The version.
        version: Version,
        /// The known ones.
        known: String,
    },
}

impl VendorLists {
    /// The built-in lists, overridden by those in `folders` (`*.yaml`), later folders over earlier ones.
    pub fn load(folders: &[PathBuf]) -> Result<Self, VendorError> {
        let mut lists = Self::default();
        for (name, text) in BUILT_IN {
            lists.add(Path::new("built-in").join(name), text.to_owned())?;
        }
        for folder in folders {
            let fail = |source| VendorError::Read { path: folder.clone(), source };
            let mut files: Vec<PathBuf> = Vec::new();
            for entry in std::fs::read_dir(folder).map_err(fail)? {
                let path = entry.map_err(fail)?.path();
                if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
                    files.push(path);
                }
            }
            files.sort();
            for path in files {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| VendorError::Read { path: path.clone(), source })?;
                lists.add(path, text)?;
            }
        }
        Ok(lists)
    }

    fn add(&mut self, path: PathBuf, text: String) -> Result<(), VendorError> {
        let list: VendorList = yaml::read(&path, &text)?;
        self.lists.insert(0, (path, text, list));
        Ok(())
    }

    /// What `component` consists of on `arches`.
    pub fn parts(&self, component: &Component, arches: &[Arch]) -> Result<Parts, VendorError> {
        let mine: Vec<_> = self.lists.iter().filter(|(_, _, list)| list.component == component.name).collect();
        let joined = |names: std::collections::BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
        if mine.is_empty() {
            let known = joined(self.lists.iter().map(|(_, _, list)| list.component.to_string()).collect());
            return Err(VendorError::Component { name: component.name.clone(), known });
        }
        let found =
            mine.iter().find_map(|(path, text, list)| Some((path, text, list, list.versions.get(&component.version)?)));
        let Some((path, text, list, entry)) = found else {
            let known =
                joined(mine.iter().flat_map(|(_, _, list)| list.versions.keys().map(ToString::to_string)).collect());
            return Err(VendorError::Version {
                name: component.name.clone(),
                version: component.version.clone(),
                known,
            });
        };
        let mut problems = Problems::new(path, text);
        let mut parts = Parts::default();
        for template in &list.files {
            let per_arch = template.url.value.contains("{arch}");
            let targets: Vec<Option<Arch>> =
                if per_arch { arches.iter().copied().map(Some).collect() } else { vec![None] };
            for arch in targets {
                parts.files.extend(file(template, entry, component, arch, &mut problems));
            }
        }
        for template in &list.images {
            match fill(&template.value, &component.version, None, None, entry) {
                Err(word) => problems.add(
                    template,
                    format!("{{{word}}} is not known for {}", component.version),
                    Some("add it under the version's `with`"),
                ),
                Ok(text) => match Reference::parse(&text) {
                    Ok(reference) => parts.images.push(reference),
                    Err(error) => problems.add(template, error.to_string(), None),
                },
            }
        }
        Ok(problems.or_else(parts)?)
    }
}

fn file(
    template: &FileTemplate,
    entry: &VersionEntry,
    component: &Component,
    arch: Option<Arch>,
    problems: &mut Problems,
) -> Option<PartFile> {
    let name = &template.name;
    let key = arch.map_or("any", Arch::as_str);
    let Some(sha256) = entry.sha256.get(name).and_then(|by_arch| by_arch.get(key)) else {
        let message = format!("{name} of {} {} has no sha256 for {key}", component.name, component.version);
        problems.add(
            &template.url,
            message,
            Some("add it from the vendor's checksum file; nothing is carried unchecked"),
        );
        return None;
    };
    let Ok(digest) = Digest::from_hex(&sha256.value) else {
        problems.add(sha256, "a sha256 is 64 lower-case hex digits", None);
        return None;
    };
    let url = match fill(&template.url.value, &component.version, arch, Some(name), entry) {
        Ok(text) => Url::parse(&text).map_err(|error| error.to_string()),
        Err(word) => Err(format!("{{{word}}} is not known for {}", component.version)),
    };
    match url {
        Ok(url) => Some(PartFile { name: name.clone(), arch, url, sha256: digest, executable: template.executable }),
        Err(why) => {
            problems.add(&template.url, why, None);
            None
        }
    }
}

/// Fills `{word}`s in; an unknown word is the error.
fn fill(
    template: &str,
    version: &Version,
    arch: Option<Arch>,
    name: Option<&FileName>,
    entry: &VersionEntry,
) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((word, tail)) = after.split_once('}') else { return Err(after.to_owned()) };
        out.push_str(before);
        match word {
            "version" => out.push_str(version.as_str()),
            "number" => out.push_str(version.as_str().trim_start_matches('v')),
            "arch" => out.push_str(arch.map_or("", Arch::as_str)),
            "name" => out.push_str(name.map_or("", FileName::as_str)),
            other => out.push_str(entry.with.get(other).ok_or_else(|| other.to_owned())?),
        }
        rest = tail;
    }
    Ok(out + rest)
}
