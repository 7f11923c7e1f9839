//! Charts of OCI registries: the tag leads to the chart, or to an index with one chart in it; what the chart itself says
//! is compared with what was asked for.

use ferry_bundle_format::lock::{LockedChart, Origin, Pin};
use ferry_bundle_format::manifest::Chart;
use ferry_bundle_format::oci::{Descriptor, Document, Index, MAX_DOCUMENT, Manifest, media_type};
use ferry_bundle_format::{Digest, Reference};
use serde_json::Value;

use super::archive::{is_asked_for, metadata_of_archive};
use super::{ChartError, MAX_CHART, Resolver};
use crate::source::{Repository, ServedDocument};

/// The type that Helm before 3.7 gave to charts.
const OLD_CHART: &str = "application/tar+gzip";

/// How many entries of an index are looked at.
const MAX_ENTRIES: usize = 100;

impl Resolver {
    pub(super) async fn oci_chart(&self, chart: &Chart, reference: &Reference) -> Result<LockedChart, ChartError> {
        let mut last = None;
        for candidate in self.client.mirrors().references(reference) {
            match self.client.manifest(&candidate).await {
                Ok(served) => {
                    let (origin, answered) = (Repository::from(reference), Repository::from(&candidate));
                    let (served, manifest) = self.chart_manifest(&candidate, served).await?;
                    self.compare(chart, &answered, &manifest).await?;
                    let mut layers: Vec<_> = manifest.layers.iter().map(pin).collect();
                    // The chart itself first; a provenance file may stand before it.
                    layers.sort_by_key(|layer| !is_chart(&layer.media_type));
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

    /// The chart behind a name: the document itself, or the one chart of an index.
    async fn chart_manifest(
        &self,
        name: &Reference,
        served: ServedDocument,
    ) -> Result<(ServedDocument, Manifest), ChartError> {
        match served.parse()? {
            Document::Manifest(manifest) if manifest.config.media_type == media_type::HELM_CONFIG => {
                Ok((served, manifest))
            }
            Document::Manifest(manifest) => {
                Err(ChartError::Archive(format!("{name} is no chart: its config is {}", manifest.config.media_type)))
            }
            Document::Index(index) => self.chart_of_index(name, &index).await,
        }
    }

    async fn chart_of_index(&self, name: &Reference, index: &Index) -> Result<(ServedDocument, Manifest), ChartError> {
        let indexes = [media_type::OCI_INDEX, media_type::DOCKER_LIST];
        let manifests = index.manifests.iter().filter(|entry| !indexes.contains(&entry.media_type.as_str()));
        let mut charts: Vec<(ServedDocument, Manifest)> = Vec::new();
        let mut others = Vec::new();
        for entry in manifests.take(MAX_ENTRIES) {
            if charts.iter().any(|(known, _)| known.digest == entry.digest) {
                continue;
            }
            let by_digest = name.at(entry.digest);
            let served = self.client.manifest(&by_digest).await?;
            match served.parse() {
                Ok(Document::Manifest(manifest)) if manifest.config.media_type == media_type::HELM_CONFIG => {
                    charts.push((served, manifest));
                }
                Ok(Document::Manifest(manifest)) => others.push(described(entry, &manifest)),
                Ok(Document::Index(_)) | Err(_) => {}
            }
        }
        if charts.len() > 1 {
            let list: Vec<_> = charts.iter().map(|(served, _)| served.digest.to_string()).collect();
            return Err(ChartError::Index {
                url: name.to_string(),
                why: format!("it has several charts: {}", list.join(", ")),
            });
        }
        charts.pop().ok_or_else(|| {
            let list = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
            ChartError::Archive(format!("{name} is an index without a chart; it has: {list}"))
        })
    }

    /// Compares what the chart says of itself with what was asked for: by its config, else by its own `Chart.yaml`.
    async fn compare(&self, chart: &Chart, from: &Repository, manifest: &Manifest) -> Result<(), ChartError> {
        let layer = manifest.layers.iter().find(|layer| is_chart(&layer.media_type));
        let layer = layer.ok_or_else(|| ChartError::Archive("its manifest names no chart archive".into()))?;
        let (name, version) = (chart.name.as_str(), chart.version.as_str());
        if manifest.config.size <= MAX_DOCUMENT {
            let config = self.client.small_blob(from, &manifest.config.digest, manifest.config.size).await?;
            let config: Value = serde_json::from_slice(&config).unwrap_or_default();
            if ["name", "version"].into_iter().all(|key| config.get(key).is_some_and(Value::is_string)) {
                return is_asked_for(&config, name, version);
            }
        }
        if layer.size > MAX_CHART {
            return Err(ChartError::Archive(format!("it is larger than {MAX_CHART} bytes")));
        }
        let archive = self.client.small_blob(from, &layer.digest, layer.size).await?;
        is_asked_for(&metadata_of_archive(&archive)?, name, version)
    }

    /// The chart that an entry of a repository's index leads to in an OCI registry.
    pub(super) async fn chart_by_oci_url(
        &self,
        chart: &Chart,
        url: &str,
        digest: Option<&str>,
    ) -> Result<LockedChart, ChartError> {
        let name = url.strip_prefix("oci://").unwrap_or(url);
        let last = name.rsplit('/').next().unwrap_or(name);
        let tagged =
            if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:{}", chart.version.as_tag()) };
        let reference = Reference::parse(&tagged).map_err(|error| ChartError::Index {
            url: url.chars().filter(|c| !c.is_control()).take(200).collect(),
            why: error.to_string(),
        })?;
        let locked = self.oci_chart(chart, &reference).await?;
        let actual = locked.layers.first().map(|layer| layer.digest);
        match (digest, actual) {
            (Some(expected), Some(actual)) if expected != actual.hex() => {
                // Some indexes give the digest of the manifest there.
                if expected == locked.manifest.digest.hex() {
                    return Ok(locked);
                }
                Err(ChartError::Digest { expected: expected.chars().take(80).collect(), actual })
            }
            _ => Ok(locked),
        }
    }
}

fn is_chart(media_type: &str) -> bool {
    media_type == media_type::HELM_CHART || media_type == OLD_CHART
}

fn pin(descriptor: &Descriptor) -> Pin {
    Pin { digest: descriptor.digest, size: descriptor.size, media_type: descriptor.media_type.clone() }
}

fn described(entry: &Descriptor, manifest: &Manifest) -> String {
    let what = manifest.artifact_type.as_ref().unwrap_or(&manifest.config.media_type);
    let short: Digest = entry.digest;
    match &entry.platform {
        Some(platform) => format!("{}/{}", platform.os, platform.architecture),
        None => format!("{what} sha256:{}", short.short()),
    }
}
