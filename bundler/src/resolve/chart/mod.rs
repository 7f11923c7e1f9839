//! Charts: from a chart repository, an OCI registry, a local archive or a folder. A chart is small, so it is read
//! whole here: its digest, its `Chart.yaml` (which becomes the OCI config), and its name and version compared.
//!
//! ```text
//!  repo: ─► index.rs ─► archive (http) ─────────────► archive.rs ─┐
//!              └──────► oci:// ─► oci.rs ◄─ oci:                  ├─► name and version as asked for ─► LockedChart
//!  path: ─► .tgz ───────────────────────────────────► archive.rs ─┤
//!        └► folder ─► folder.rs (ignore.rs, pattern.rs) ──────────┘
//! ```

mod archive;
mod folder;
mod ignore;
mod index;
mod oci;
mod pattern;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{LockedChart, LockedFile, Origin, Pin, derived};
use ferry_bundle_format::manifest::{Chart, ChartSource};
use ferry_bundle_format::name::FileName;
use ferry_bundle_format::oci::media_type;
use url::Url;

use super::Resolver;
use super::error::ResolveError;
use crate::event::Event;
use crate::source::SourceError;
use archive::{is_asked_for, metadata_of_archive};
use folder::read_limited;
use index::{Entry, Listed};

pub use folder::archive_folder;

/// The largest chart archive that is read, in bytes.
const MAX_CHART: u64 = 64 * 1024 * 1024;

/// The largest `index.yaml` that is read, in bytes.
const MAX_INDEX: u64 = 64 * 1024 * 1024;

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
    /// The repository has no such chart.
    #[error("{url} has no chart {name}")]
    NoChart {
        /// The repository.
        url: String,
        /// The chart.
        name: String,
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
    /// The index leads to a place that takes a plugin of Helm.
    #[error("the repository's index leads to {url}, which ferry does not speak")]
    Scheme {
        /// Where, without query.
        url: String,
    },
    /// Dependencies are not in the chart folder.
    #[error("Chart.yaml in {} names dependencies that charts/ lacks: {}", folder.display(), missing.join(", "))]
    Dependencies {
        /// The chart folder.
        folder: PathBuf,
        /// Their names.
        missing: Vec<String>,
        /// Whether a `Chart.lock` pins them.
        locked: bool,
    },
    /// A symbolic link of a chart folder leads too far.
    #[error("{} is a link to {}, outside of {}", path.display(), to.display(), reach.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads to.
        to: PathBuf,
        /// How far links may lead.
        reach: PathBuf,
    },
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

impl ChartError {
    /// What a person can do about it, if we know.
    pub(super) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Dependencies { folder, locked, .. } => {
                let verb = if *locked { "build" } else { "update" };
                format!("fetch them with `helm dependency {verb} {}`", folder.display())
            }
            Self::Link { path, .. } => format!(
                "copy what {} leads to into the chart, or pack it with `helm package` and give the .tgz as `path:`",
                path.display()
            ),
            Self::Scheme { .. } => {
                "fetch the chart with `helm pull` and its plugin, and give the .tgz as `path:`".into()
            }
            Self::Other { .. } => {
                "write the chart's own name and version in the manifest, or correct where it comes from".into()
            }
            Self::Source(error) => return error.hint(),
            Self::Archive(_)
            | Self::Index { .. }
            | Self::NoChart { .. }
            | Self::Version { .. }
            | Self::Digest { .. }
            | Self::Io { .. }
            | Self::Document(_) => return None,
        })
    }
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
        let name = shown_url(repository);
        let bad = |why: String| ChartError::Index { url: name.clone(), why };
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8".into()))?;
        let listed = Listed::read(text, chart.name.as_str()).map_err(bad)?;
        self.say_broken(&name, &listed);
        let Some(entry) = listed.version(chart.version.as_str()) else {
            let known: Vec<_> = listed.entries.iter().take(10).map(|entry| entry.version.as_str()).collect();
            if known.is_empty() {
                return Err(ChartError::NoChart { url: name, name: chart.name.to_string() });
            }
            let version = chart.version.to_string();
            return Err(ChartError::Version { url: name, version, known: known.join(", ") });
        };
        let mut last = None;
        // Several are the same archive in several places.
        for url in &entry.urls {
            match self.indexed_chart(chart, &folder, entry, url).await {
                Ok(locked) => return Ok(locked),
                Err(error) => last = last.or(Some(error)),
            }
        }
        Err(last.unwrap_or_else(|| bad(format!("{} {} has no url", chart.name, chart.version))))
    }

    /// The chart of an index's entry, from one of its places.
    async fn indexed_chart(
        &self,
        chart: &Chart,
        folder: &Url,
        entry: &Entry,
        place: &str,
    ) -> Result<LockedChart, ChartError> {
        if place.starts_with("oci://") {
            return self.chart_by_oci_url(chart, place, entry.digest.as_deref()).await;
        }
        let url = join(folder, place)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ChartError::Scheme { url: shown_url(&url) });
        }
        let (answered, archive) = self.first_file(&url, MAX_CHART).await?;
        let actual = Digest::of(&archive);
        if let Some(expected) = entry.digest.as_deref().filter(|expected| *expected != actual.hex()) {
            return Err(ChartError::Digest { expected: expected.chars().take(80).collect(), actual });
        }
        let via = (answered != url).then(|| answered.to_string());
        from_archive(chart, &archive, Origin::Url(url.to_string()), via)
    }

    fn say_broken(&self, index: &str, listed: &Listed) {
        let broken = &listed.broken;
        if broken.is_empty() {
            return;
        }
        let some: Vec<_> = broken.iter().take(5).map(String::as_str).collect();
        let more = if broken.len() > some.len() { ", …" } else { "" };
        let text =
            format!("{index}: {} broken entries of its index are left out: {}{more}", broken.len(), some.join(", "));
        self.reporter.event(&Event::Note { text: text.chars().filter(|c| !c.is_control()).collect() });
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

/// A URL for a message: without user, password, query and fragment.
fn shown_url(url: &Url) -> String {
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Helm takes `v1.2.3` and `1.2.3` for the same.
fn same_version(a: &str, b: &str) -> bool {
    a.trim_start_matches('v') == b.trim_start_matches('v')
}

fn from_archive(chart: &Chart, archive: &[u8], from: Origin, via: Option<String>) -> Result<LockedChart, ChartError> {
    let metadata = metadata_of_archive(archive)?;
    is_asked_for(&metadata, chart.name.as_str(), chart.version.as_str())?;
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
