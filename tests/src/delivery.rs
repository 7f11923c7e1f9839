//! A delivery to test with: an origin full of generated content, the manifest that asks for it, keys.
//!
//! ```text
//! registry.example   shop/api:1.0 (OCI, amd64 + arm64)     shop/web:1.0 (the same base layer; attestations)
//!                    helm/tools:2.1.0_up1 (an OCI chart)
//! docker.example     db:15.4 (Docker's media types, a platform nobody asked for, a layer that is not sent in one)
//! charts.example     shop 1.0.0, with a values file
//! dl.example         shopctl (by vendor list, two architectures), agent (by URL)
//! notes.txt          a local file
//! ```
//! The names are mirrors' FROM; the flags in [`Delivery::network`] lead them to the origin on loopback.

use std::path::Path;
use std::sync::Arc;

use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_bundle_format::{Digest, Platform};
use ferry_bundler::origin::{
    ChartSpec, FileStore, Flavour, GeneratedBlob, ImageSpec, MemoryRegistry, Origin, OriginConfig, Quirk,
};
use tokio::runtime::Runtime;

use crate::ferry::{Ended, Ferry};

/// An origin with content, and a place in which ferry is asked for it.
pub struct Delivery {
    /// Where ferry runs. Holds `site.yaml`, `vendor-lists/`, `identity.txt` and the keys.
    pub ferry: Ferry,
    /// The origin. Take it away to be offline.
    pub origin: Option<Origin>,
    /// What drives the origin.
    pub runtime: Runtime,
    network: Vec<String>,
    recipient: String,
}

/// The chart of `charts.example`.
#[must_use]
pub fn shop_chart() -> ChartSpec {
    ChartSpec::new("shop", "1.0.0", "registry.example/shop/web", "1.0")
}

/// The chart of `registry.example`.
#[must_use]
pub fn tools_chart() -> ChartSpec {
    ChartSpec::new("tools", "2.1.0+up1", "registry.example/shop/api", "1.0")
}

impl Delivery {
    /// With an origin as [`content`] fills it.
    #[must_use]
    pub fn new() -> Self {
        Self::with(content())
    }

    /// With this origin.
    ///
    /// # Panics
    /// When a file cannot be written or the origin not be started.
    #[must_use]
    pub fn with(config: OriginConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let origin = runtime.block_on(Origin::start(config)).expect("an origin can be started");
        let ferry = Ferry::new();
        let (identity, recipient) = generate_identity();
        ferry.write("identity.txt", format!("{}\n", *identity));
        ferry.write("notes.txt", "Read this first.\n");
        ferry.write("values-site.yaml", "replicas: 3\n");
        ferry.write("vendor-lists/shopctl.yaml", vendor_list());
        ferry.write("site.yaml", manifest());
        let host = origin.registry_host();
        let mut network = Vec::new();
        for mirror in [
            format!("registry.example={host}"),
            format!("docker.example={host}"),
            format!("https://charts.example={}", origin.url("/charts")),
            format!("https://dl.example={}", origin.url("/files")),
        ] {
            network.extend(["--mirror".to_owned(), mirror]);
        }
        network.extend(["--plain-http", &host, "--idle-timeout", "10"].map(str::to_owned));
        let delivery = Self { ferry, origin: Some(origin), runtime, network, recipient };
        delivery.keygen("release");
        delivery
    }

    /// The origin.
    ///
    /// # Panics
    /// When it was taken away.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        self.origin.as_ref().expect("the origin is up")
    }

    /// Flags that lead the manifest's names to the origin.
    #[must_use]
    pub fn network(&self) -> Vec<&str> {
        self.network.iter().map(String::as_str).collect()
    }

    /// Makes a signing key: `NAME.key`, `NAME.pub` and so on.
    pub fn keygen(&self, name: &str) -> Ended {
        self.ferry.run(&["keygen", name, "--age-recipient", &self.recipient])
    }

    /// The arguments of a verb that resolves: `verb` and what follows, then vendor lists and network flags.
    #[must_use]
    pub fn resolving<'a>(&'a self, verb: &[&'a str]) -> Vec<&'a str> {
        let mut all = verb.to_vec();
        all.extend(["--vendor-lists", "vendor-lists"]);
        all.extend(self.network());
        all
    }

    /// Locks `site.yaml`; `more` are further flags.
    #[must_use]
    pub fn lock(&self, more: &[&str]) -> Ended {
        self.ferry.ends(&self.resolving(&[&["lock", "site.yaml"], more].concat()))
    }

    /// Makes `output` of `site.yaml`, signed by `release.key`; `more` are further flags.
    #[must_use]
    pub fn make(&self, output: &str, more: &[&str]) -> Ended {
        let signed = ["make", "site.yaml", "-o", output, "--sign", "release.key", "--age-identity", "identity.txt"];
        self.ferry.ends(&self.resolving(&[&signed, more].concat()))
    }

    /// Makes `site.ferry`, which must succeed; returns its lock.
    ///
    /// # Panics
    /// When it fails, with all it said.
    #[must_use]
    pub fn made(&self) -> Lock {
        let _ = self.make("site.ferry", &[]).expect_code(0, "make");
        self.locked()
    }

    /// `site.lock.yaml` as it is now.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn locked(&self) -> Lock {
        let text = String::from_utf8(self.ferry.read("site.lock.yaml")).expect("a lock is text");
        Lock::parse(Path::new("site.lock.yaml"), &text).expect("a lock")
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self::new()
    }
}

/// An origin's configuration with all that the manifest asks for.
///
/// # Panics
/// When content cannot be generated.
#[must_use]
pub fn content() -> OriginConfig {
    let (registry, files, charts) = (MemoryRegistry::default(), FileStore::default(), FileStore::default());
    for image in [api("1.0"), web(), db()] {
        image.publish(&registry).expect("an image can be generated");
    }
    tools_chart().publish_oci(&registry, "helm").expect("a chart can be generated");
    let chart = shop_chart();
    chart.publish_file(&charts).expect("a chart can be generated");
    ChartSpec::write_index(&charts, &[chart], None).expect("an index can be generated");
    for arch in ["amd64", "arm64"] {
        files.put_reader(&format!("v1.0.0/{arch}/shopctl"), Arc::new(tool(arch))).expect("a file can be generated");
    }
    files.put("agent", AGENT);
    OriginConfig {
        registry: Arc::new(registry),
        files: Arc::new(files),
        charts: Arc::new(charts),
        ..OriginConfig::default()
    }
}

/// The image `shop/api:1.0`, with `seed` for content: another seed, a tag that moved.
#[must_use]
pub fn api(seed: &str) -> ImageSpec {
    ImageSpec { layers: vec![300_000, 40_000], tag: "1.0".to_owned(), ..ImageSpec::new("shop/api", seed) }
}

/// The image `shop/web:1.0`.
#[must_use]
pub fn web() -> ImageSpec {
    ImageSpec { layers: vec![300_000, 70_000], ..ImageSpec::new("shop/web", "1.0") }.quirk(Quirk::Attestations)
}

/// The image `db:15.4`.
#[must_use]
pub fn db() -> ImageSpec {
    let (os, architecture, variant) = ("linux".to_owned(), "arm".to_owned(), Some("v7".to_owned()));
    let arm = Platform { os, architecture, variant, os_features: Vec::new() };
    ImageSpec {
        flavour: Flavour::Docker,
        base_seed: 7,
        layers: vec![20_000, 5_000_000],
        ..ImageSpec::new("db", "15.4")
    }
    .quirk(Quirk::Platform(arm))
}

/// The file `agent`.
pub const AGENT: &[u8] = b"#!/bin/sh\nexit 0\n";

fn tool(arch: &str) -> GeneratedBlob {
    GeneratedBlob::new(if arch == "amd64" { 1 } else { 2 }, 150_000)
}

fn vendor_list() -> String {
    let digest = |arch| ferry_bundler::distribution::BlobReader::digest(&tool(arch)).expect("a file can be read").hex();
    format!(
        "apiVersion: ferry.dev/v1\nkind: VendorList\ncomponent: shopctl\nfiles:\n\
         - {{name: shopctl, url: \"https://dl.example/{{version}}/{{arch}}/shopctl\", executable: true}}\nversions:\n\
         \x20 v1.0.0: {{sha256: {{shopctl: {{amd64: \"{}\", arm64: \"{}\"}}}}}}\n",
        digest("amd64"),
        digest("arm64")
    )
}

fn manifest() -> String {
    format!(
        "\
apiVersion: ferry.dev/v1
kind: Manifest
product:
  name: shop
  version: \"1.0\"
arches: [amd64, arm64]
components:
- name: shopctl
  version: v1.0.0
  groups: [tools]
images:
- name: registry.example/shop/api:1.0
- name: registry.example/shop/web:1.0
- name: docker.example/db:15.4
charts:
- name: shop
  version: 1.0.0
  repo: https://charts.example
  values: [values-site.yaml]
- name: tools
  version: 2.1.0+up1
  oci: oci://registry.example/helm
files:
- name: agent
  version: \"1.2\"
  arch: amd64
  url: https://dl.example/agent
  sha256: {}
  executable: true
- name: notes.txt
  path: notes.txt
groups:
  tools: Command line tools for operators
",
        Digest::of(AGENT).hex()
    )
}
