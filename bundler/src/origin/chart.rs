//! Generated Helm charts: the archive, the index of an HTTP repository, the OCI artifact.

use std::io;

use bytes::Bytes;
use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::{Descriptor, media_type};

use super::files::FileStore;
use super::layer::gzip;
use super::registry::MemoryRegistry;
use super::tarball::{TIME_TEXT, Tarball};
use crate::distribution::StoredManifest;

/// What chart to generate: one deployment that runs one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartSpec {
    /// Chart name.
    pub name: String,
    /// Chart version; may have build metadata (`1.2.3+up1`).
    pub version: String,
    /// The image's complete name, without tag.
    pub image: String,
    /// The image's tag.
    pub tag: String,
}

impl ChartSpec {
    /// A chart.
    #[must_use]
    pub fn new(name: &str, version: &str, image: &str, tag: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), image: image.to_owned(), tag: tag.to_owned() }
    }

    /// `<name>-<version>.tgz`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }

    /// The .tgz.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let member = |path: &str| format!("{}/{path}", self.name);
        let tar = Tarball::new()
            .file(&member("Chart.yaml"), self.chart_yaml().as_bytes())
            .file(&member("values.yaml"), self.values_yaml().as_bytes())
            .file(&member("templates/deployment.yaml"), DEPLOYMENT.as_bytes())
            .finish();
        gzip(&tar)
    }

    /// Adds the archive to a chart repository. Call [`write_index`](Self::write_index) afterwards.
    pub fn publish_file(&self, charts: &FileStore) -> io::Result<Digest> {
        Ok(charts.put(&self.file_name(), self.archive()?))
    }

    /// Writes the `index.yaml` of a repository that holds these charts. URLs are relative to it, as `helm repo
    /// index` makes them without `--url`, unless a base URL is given.
    pub fn write_index(charts: &FileStore, specs: &[Self], base: Option<&str>) -> io::Result<()> {
        let mut names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut index = "apiVersion: v1\nentries:\n".to_owned();
        for name in names {
            index.extend(["  ", name, ":\n"]);
            for spec in specs.iter().filter(|spec| spec.name == name) {
                index.push_str(&spec.index_entry(base)?);
            }
        }
        index.extend(["generated: \"", TIME_TEXT, "\"\n"]);
        charts.put("index.yaml", index);
        Ok(())
    }

    /// Publishes the chart as an OCI artifact `<prefix>/<name>`; `+` in the version becomes `_` in the tag, as
    /// Helm has it. Returns the manifest.
    pub fn publish_oci(&self, registry: &MemoryRegistry, prefix: &str) -> io::Result<StoredManifest> {
        let repository = if prefix.is_empty() { self.name.clone() } else { format!("{prefix}/{}", self.name) };
        let archive = Bytes::from(self.archive()?);
        let config = serde_json::json!({
            "name": self.name, "version": self.version, "description": DESCRIPTION,
            "apiVersion": "v2", "appVersion": self.tag, "type": "application"
        });
        let config = Bytes::from(config.to_string());
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::HELM_CONFIG, &config),
            "layers": [Descriptor::of(media_type::HELM_CHART, &archive)],
            "annotations": {
                "org.opencontainers.image.title": self.name,
                "org.opencontainers.image.version": self.version,
                "org.opencontainers.image.created": TIME_TEXT,
            }
        });
        registry.put_blob(&repository, config);
        registry.put_blob(&repository, archive);
        let manifest = StoredManifest::new(media_type::OCI_MANIFEST, document.to_string());
        registry.put_manifest(&repository, manifest.clone());
        registry.put_tag(&repository, &self.version.replace('+', "_"), manifest.digest);
        Ok(manifest)
    }

    fn index_entry(&self, base: Option<&str>) -> io::Result<String> {
        let digest = Digest::of(&self.archive()?).hex();
        let url = match base {
            Some(base) => format!("{}/{}", base.trim_end_matches('/'), self.file_name()),
            None => self.file_name(),
        };
        Ok(format!(
            "  - apiVersion: v2\n    appVersion: \"{}\"\n    created: \"{TIME_TEXT}\"\n    digest: {digest}\n    \
             name: {}\n    type: application\n    urls:\n    - {url}\n    version: {}\n",
            self.tag, self.name, self.version
        ))
    }

    fn chart_yaml(&self) -> String {
        format!(
            "apiVersion: v2\nname: {}\ndescription: {DESCRIPTION}\ntype: application\nversion: {}\nappVersion: \"{}\"\n",
            self.name, self.version, self.tag
        )
    }

    fn values_yaml(&self) -> String {
        format!(
            "replicas: 1\nimage:\n  repository: {}\n  tag: \"{}\"\n  pullPolicy: IfNotPresent\n",
            self.image, self.tag
        )
    }
}

const DESCRIPTION: &str = "Generated by ferry";

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels:
    app: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Release.Name }}
  template:
    metadata:
      labels:
        app: {{ .Release.Name }}
    spec:
      containers:
        - name: main
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: {{ .Values.image.pullPolicy }}
"#;
