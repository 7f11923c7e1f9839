//! Charts: from a chart repository, an OCI registry, a local archive or a folder. A chart is small, so it is read
//! whole here: its digest, its `Chart.yaml` (which becomes the OCI config), and its name and version compared.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ferry_bundle_format::lock::{LockedChart, LockedFile, Origin, Pin, derived};
use ferry_bundle_format::manifest::{Chart, ChartSource};
use ferry_bundle_format::name::FileName;
use ferry_bundle_format::oci::{Document, media_type};
use ferry_bundle_format::{Digest, Reference, yaml};
use serde::Deserialize;
use url::Url;

use super::Resolver;
use super::error::ResolveError;
use crate::event::Event;
use crate::source::{Repository, SourceError};

/// The largest chart archive that is read, in bytes.
const MAX_CHART: u64 = 64 * 1024 * 1024;

/// The largest unpacked chart that is looked through, in bytes, so that a small archive can't unpack without end.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;

/// The largest `index.yaml` that is read, in bytes.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

/// The largest `Chart.yaml`, in bytes.
const MAX_CHART_YAML: u64 = 1024 * 1024;

/// Why a chart can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A server failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The repository's index can't be read.
    #[error("index.yaml of {url} is no chart repository index: {why}")]
    Index {
        /// The repository.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The repository has no such version.
    #[error("{url} has no version {version}; it has: {known}")]
    Version {
        /// The repository.
        url: String,
        /// The version.
        version: String,
        /// Some of those it has.
        known: String,
    },
    /// The archive is not what the index says.
    #[error("the archive is {actual}, the repository's index says {expected}")]
    Digest {
        /// By the index.
        expected: String,
        /// As it came.
        actual: Digest,
    },
    /// The archive can't be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive is no chart.
    #[error("it is not a chart archive: {0}")]
    Archive(String),
    /// It is another chart.
    #[error("it is {name} {version}, not what was asked for")]
    Other {
        /// Its own name.
        name: String,
        /// Its own version.
        version: String,
    },
    /// The registry's document is refused.
    #[error("the registry's document is refused")]
    Document(#[from] ferry_bundle_format::oci::OciError),
}

#[derive(Deserialize)]
struct RepositoryIndex {
    entries: std::collections::BTreeMap<String, Vec<IndexEntry>>,
}

#[derive(Deserialize)]
struct IndexEntry {
    version: String,
    #[serde(default)]
    urls: Vec<String>,
    #[serde(default)]
    digest: Option<String>,
}

impl Resolver {
    pub(super) async fn chart(&self, chart: &Chart) -> Result<(LockedChart, Vec<LockedFile>), ResolveError> {
        let name = format!("{} {}", chart.name, chart.version);
        let fail = |error| ResolveError::Chart { name: name.clone(), error };
        let mut locked = match &chart.source {
            ChartSource::Repository(url) => self.repository_chart(chart, url).await.map_err(fail)?,
            ChartSource::Oci(reference) => self.oci_chart(chart, reference).await.map_err(fail)?,
            ChartSource::Local(path) => self.local_chart(chart, path).map_err(fail)?,
        };
        locked.groups.clone_from(&chart.groups);
        let size = locked.layers.first().map(|layer| layer.size);
        self.reporter.event(&Event::Done { what: "chart", name, bytes: size });
        let values = chart.values.iter().map(|path| self.values(chart, path)).collect::<Result<_, _>>()?;
        Ok((locked, values))
    }

    async fn repository_chart(&self, chart: &Chart, repository: &Url) -> Result<LockedChart, ChartError> {
        let folder = Url::parse(&format!("{}/", repository.as_str().trim_end_matches('/')))
            .map_err(|error| ChartError::Index { url: repository.to_string(), why: error.to_string() })?;
        let index_url = join(&folder, "index.yaml")?;
        let (_, bytes) = self.first_file(&index_url, MAX_INDEX).await?;
        let bad = |why: String| ChartError::Index { url: repository.to_string(), why };
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8".into()))?;
        let index: RepositoryIndex = yaml::read_foreign(Path::new("index.yaml"), text)
            .map_err(|problems| bad(problems.list.first().map_or(String::new(), |p| p.message.clone())))?;
        let entries = index.entries.get(chart.name.as_str()).map_or(&[][..], Vec::as_slice);
        let Some(entry) = entries.iter().find(|entry| same_version(&entry.version, chart.version.as_str())) else {
            let known: Vec<_> = entries.iter().take(10).map(|entry| entry.version.as_str()).collect();
            return Err(ChartError::Version {
                url: repository.to_string(),
                version: chart.version.to_string(),
                known: known.join(", "),
            });
        };
        let relative = entry.urls.first().ok_or_else(|| bad(format!("{} {} has no url", chart.name, chart.version)))?;
        let url = join(&folder, relative)?;
        let (answered, archive) = self.first_file(&url, MAX_CHART).await?;
        if let Some(expected) = entry.digest.as_deref().map(|digest| digest.trim_start_matches("sha256:"))
            && expected != Digest::of(&archive).hex()
        {
            return Err(ChartError::Digest {
                expected: expected.chars().take(80).collect(),
                actual: Digest::of(&archive),
            });
        }
        let via = (answered != url).then(|| answered.to_string());
        from_archive(chart, &archive, Origin::Url(url.to_string()), via)
    }

    async fn first_file(&self, url: &Url, limit: u64) -> Result<(Url, Bytes), ChartError> {
        let mut last = None;
        for candidate in self.client.mirrors().urls(url) {
            match self.client.files().get(&candidate, limit).await {
                Ok(bytes) => return Ok((candidate, bytes)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is always one candidate, the origin").into())
    }

    async fn oci_chart(&self, chart: &Chart, reference: &Reference) -> Result<LockedChart, ChartError> {
        let mut last = None;
        for candidate in self.client.mirrors().references(reference) {
            match self.client.manifest(&candidate).await {
                Ok(served) => {
                    let Document::Manifest(manifest) = served.parse()? else {
                        return Err(ChartError::Archive("the name points to an index".into()));
                    };
                    if manifest.config.media_type != media_type::HELM_CONFIG {
                        return Err(ChartError::Archive(format!("its config is {}", manifest.config.media_type)));
                    }
                    let (origin, answered) = (Repository::from(reference), Repository::from(&candidate));
                    let pin = |d: &ferry_bundle_format::oci::Descriptor| Pin {
                        digest: d.digest,
                        size: d.size,
                        media_type: d.media_type.clone(),
                    };
                    let mut layers: Vec<_> = manifest.layers.iter().map(pin).collect();
                    // The chart itself first; a provenance file may stand before it.
                    layers.sort_by_key(|layer| layer.media_type != media_type::HELM_CHART);
                    return Ok(LockedChart {
                        name: chart.name.clone(),
                        version: chart.version.clone(),
                        via: (answered != origin).then(|| answered.to_string()),
                        from: Origin::Registry(origin.to_string()),
                        groups: Vec::new(),
                        manifest: Pin {
                            digest: served.digest,
                            size: served.bytes.len() as u64,
                            media_type: manifest.media_type.clone(),
                        },
                        config: pin(&manifest.config),
                        chart_json: None,
                        layers,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is always one candidate, the origin").into())
    }

    fn local_chart(&self, chart: &Chart, relative: &Path) -> Result<LockedChart, ChartError> {
        let path = self.base.join(relative);
        let archive = if path.is_dir() { archive_folder(&path)? } else { read_limited(&path, MAX_CHART)? };
        from_archive(chart, &archive, Origin::Path(relative.to_string_lossy().into_owned()), None)
    }

    fn values(&self, chart: &Chart, relative: &Path) -> Result<LockedFile, ResolveError> {
        let path = self.base.join(relative);
        let bytes = std::fs::read(&path).map_err(|error| ResolveError::File { path: path.clone(), error })?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name =
            FileName::parse(name).map_err(|error| ResolveError::File { path, error: io::Error::other(error) })?;
        Ok(LockedFile {
            name,
            version: Some(chart.version.clone()),
            arch: None,
            from: Origin::Path(relative.to_string_lossy().into_owned()),
            via: None,
            groups: chart.groups.clone(),
            component: None,
            chart: Some(chart.name.clone()),
            executable: false,
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        })
    }
}

fn join(base: &Url, relative: &str) -> Result<Url, ChartError> {
    base.join(relative)
        .map_err(|error| ChartError::Index { url: base.to_string(), why: format!("{relative:?}: {error}") })
}

/// Helm takes `v1.2.3` and `1.2.3` for the same.
fn same_version(a: &str, b: &str) -> bool {
    a.trim_start_matches('v') == b.trim_start_matches('v')
}

fn from_archive(chart: &Chart, archive: &[u8], from: Origin, via: Option<String>) -> Result<LockedChart, ChartError> {
    let metadata = chart_yaml(archive)?;
    let field = |key: &str| metadata.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let (name, version) = (field("name"), field("version"));
    if name != chart.name.as_str() || !same_version(&version, chart.version.as_str()) {
        return Err(ChartError::Other { name, version });
    }
    let json = metadata.to_string();
    let pin = |media_type: &str, bytes: &[u8]| Pin {
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        media_type: media_type.to_owned(),
    };
    let mut locked = LockedChart {
        name: chart.name.clone(),
        version: chart.version.clone(),
        from,
        via,
        groups: Vec::new(),
        manifest: pin(media_type::OCI_MANIFEST, b""),
        config: pin(media_type::HELM_CONFIG, json.as_bytes()),
        chart_json: Some(json),
        layers: vec![pin(media_type::HELM_CHART, archive)],
    };
    locked.manifest = pin(media_type::OCI_MANIFEST, &derived::chart_manifest(&locked));
    Ok(locked)
}

/// `<chart>/Chart.yaml` of a chart archive, as JSON with sorted keys. Nothing is unpacked.
fn chart_yaml(archive: &[u8]) -> Result<serde_json::Value, ChartError> {
    let bad = |why: String| ChartError::Archive(why);
    let plain = flate2::read::MultiGzDecoder::new(archive).take(MAX_UNPACKED);
    let mut tar = tar::Archive::new(plain);
    for entry in tar.entries().map_err(|e| bad(e.to_string()))? {
        let entry = entry.map_err(|e| bad(e.to_string()))?;
        let path = entry.path_bytes().into_owned();
        let parts: Vec<_> = path.split(|&b| b == b'/').filter(|part| *part != b".").collect();
        if !matches!(parts[..], [_, b"Chart.yaml"]) || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut text = String::new();
        entry.take(MAX_CHART_YAML).read_to_string(&mut text).map_err(|e| bad(e.to_string()))?;
        return yaml::read_foreign(Path::new("Chart.yaml"), &text).map_err(|problems| bad(problems.to_string()));
    }
    Err(bad("it has no Chart.yaml".into()))
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ChartError> {
    let fail = |source| ChartError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        Err(ChartError::Archive(format!("it is larger than {limit} bytes")))
    } else {
        Ok(bytes)
    }
}

/// The archive of a chart folder: the same folder always gives the same bytes (sorted, fixed owner and times).
pub fn archive_folder(folder: &Path) -> Result<Vec<u8>, ChartError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| ChartError::Io { path, source }
    };
    let name = chart_name(folder)?;
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).map_err(fail(&current))? {
            let path = entry.map_err(fail(&current))?.path();
            let kind = path.symlink_metadata().map_err(fail(&path))?.file_type();
            if kind.is_symlink() {
                return Err(ChartError::Archive(format!("{} is a symbolic link", path.display())));
            }
            if kind.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    // A fixed level of a pinned library: the bytes are part of the lock.
    let gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::new(6));
    let mut tar = tar::Builder::new(gzip);
    for path in files {
        let bytes = read_limited(&path, MAX_CHART)?;
        let relative = path.strip_prefix(folder).unwrap_or(&path);
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(315_532_800);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, Path::new(&name).join(relative), &bytes[..]).map_err(fail(&path))?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(fail(folder))
}

fn chart_name(folder: &Path) -> Result<String, ChartError> {
    #[derive(Deserialize)]
    struct Named {
        name: ferry_bundle_format::name::Name,
    }
    let path = folder.join("Chart.yaml");
    let bytes = read_limited(&path, MAX_CHART_YAML)?;
    let text = String::from_utf8(bytes).map_err(|_| ChartError::Archive("Chart.yaml is not UTF-8".into()))?;
    let named: Named =
        yaml::read_foreign(&path, &text).map_err(|problems| ChartError::Archive(problems.to_string()))?;
    Ok(named.name.to_string())
}
