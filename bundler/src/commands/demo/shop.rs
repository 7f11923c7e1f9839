//! What the demo's supplier has: two releases of a small product on an embedded origin, and the manifest that a delivery engineer
//! writes for each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::{self, ExitCode, Failure};
use crate::origin::{ChartSpec, FileStore, GeneratedBlob, ImageSpec, Origin, OriginConfig, Quirk};

/// The names by which the demo's manifest calls its origin; mirrors lead them to this process.
pub(super) const REGISTRY: &str = "registry.demo.ferry.dev";
pub(super) const CHARTS: &str = "https://charts.demo.ferry.dev";
pub(super) const DOWNLOADS: &str = "https://dl.demo.ferry.dev";

/// A release of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    number: u64,
    version: &'static str,
}

/// What the site gets first.
pub(super) const FIRST: Release = Release { number: 1, version: "1.0" };

/// What it is upgraded to.
pub(super) const SECOND: Release = Release { number: 2, version: "1.1" };

fn failing() -> impl Fn(std::io::Error) -> Failure {
    |error| Failure::of(ExitCode::Machine, &error).while_doing("can't start the embedded origin")
}

/// The origin with everything that the first release's manifest asks for.
pub(super) async fn start() -> Result<Origin, Failure> {
    let files = FileStore::default();
    for arch in ["amd64", "arm64"] {
        files.put_reader(&format!("v1.0.0/{arch}/shopctl"), Arc::new(tool(arch))).map_err(failing())?;
    }
    let config = OriginConfig { files: Arc::new(files), ..OriginConfig::default() };
    let origin = Origin::start(config).await.map_err(failing())?;
    publish(&origin, FIRST)?;
    Ok(origin)
}

/// Adds a release's images and chart.
pub(super) fn publish(origin: &Origin, release: Release) -> Result<(), Failure> {
    // Both images stand on the same base layer, as images do; one also has platforms that nobody asked for.
    let image = |name: &str, seed, program| ImageSpec {
        layers: vec![3_000_000, program],
        seed,
        release: Some(release.number),
        ..ImageSpec::new(name, release.version)
    };
    let (api, web) = (image("shop/api", 1, 2_000_000), image("shop/web", 2, 3_500_000).quirk(Quirk::Attestations));
    for image in [api, web] {
        image.publish(origin.registry()).map_err(failing())?;
    }
    let charts: Vec<ChartSpec> =
        [FIRST, SECOND].iter().filter(|one| one.number <= release.number).map(|one| chart(*one)).collect();
    for chart in &charts {
        chart.publish_file(origin.charts()).map_err(failing())?;
    }
    ChartSpec::write_index(origin.charts(), &charts, None).map_err(failing())
}

fn chart(release: Release) -> ChartSpec {
    ChartSpec::new("shop", &format!("{}.0", release.version), &format!("{REGISTRY}/shop/web"), release.version)
}

fn tool(arch: &str) -> GeneratedBlob {
    GeneratedBlob::new(if arch == "amd64" { 1 } else { 2 }, 1_500_000)
}

/// The manifest and the vendor list of a release, as a delivery engineer would write them.
pub(super) fn write_inputs(folder: &Path, release: Release) -> Result<PathBuf, Failure> {
    let digest = |arch: &str| {
        let digest = crate::distribution::BlobReader::digest(&tool(arch));
        digest.map_err(|error| Failure::of(ExitCode::Bug, &error)).map(|digest| digest.hex())
    };
    let lists = folder.join("vendor-lists");
    std::fs::create_dir_all(&lists).map_err(failure::io("make", &lists))?;
    let vendor = format!(
        "apiVersion: ferry.dev/v1\nkind: VendorList\ncomponent: shopctl\nfiles:\n\
         - {{name: shopctl, url: \"{DOWNLOADS}/{{version}}/{{arch}}/shopctl\", executable: true}}\nversions:\n\
        \x20 v1.0.0: {{sha256: {{shopctl: {{amd64: \"{}\", arm64: \"{}\"}}}}}}\n",
        digest("amd64")?,
        digest("arm64")?
    );
    let version = release.version;
    let manifest = format!(
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct:\n  name: shop\n  version: \"{version}\"\narches: [amd64, arm64]\n\
         components:\n- name: shopctl\n  version: v1.0.0\n  groups: [tools]\n\
         images:\n- name: {REGISTRY}/shop/api:{version}\n- name: {REGISTRY}/shop/web:{version}\n\
         charts:\n- name: shop\n  version: {version}.0\n  repo: {CHARTS}\n  values: [values-site.yaml]\n\
         groups:\n  tools: Command line tools for operators\n"
    );
    let write =
        |path: PathBuf, text: &str| std::fs::write(&path, text).map_err(failure::io("write", &path)).map(|()| path);
    write(lists.join("shopctl.yaml"), &vendor)?;
    write(folder.join("values-site.yaml"), "replicas: 3\n")?;
    write(folder.join("site.yaml"), &manifest)
}
