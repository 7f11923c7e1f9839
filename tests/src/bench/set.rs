//! The set of images that is carried: as many as the measured set of other bundlers had (21), with base layers that
//! several share, put into a real registry by ferry itself.

use std::io;
use std::sync::Arc;

use ferry_bundle_format::Arch;
use ferry_bundler::origin::{ImageSpec, MemoryRegistry, Origin, OriginConfig, RegistryOptions};

/// How many images the set has.
pub const IMAGES: u64 = 21;

/// An origin with the set; `total` is about the sum of its unique layers in bytes. Returns the names with tags.
pub async fn origin(total: u64) -> io::Result<(Origin, Vec<String>)> {
    let registry = MemoryRegistry::new(RegistryOptions::default());
    // Three base layers of a twentieth each, shared by seven images; the rest in two layers for each image.
    let base = total / 20;
    let own = (total - 3 * base) / IMAGES;
    let mut names = Vec::new();
    for n in 0..IMAGES {
        let spec = ImageSpec {
            arches: vec![Arch::Amd64],
            layers: vec![base, own * 3 / 4, own / 4],
            base_seed: n % 3,
            seed: 1000 + n,
            ..ImageSpec::new(&format!("set/image-{n:02}"), "1.0")
        };
        spec.publish(&registry)?;
        names.push(format!("set/image-{n:02}:1.0"));
    }
    let origin = Origin::start(OriginConfig { registry: Arc::new(registry), ..OriginConfig::default() }).await?;
    Ok((origin, names))
}

/// A manifest that asks for these images of a registry.
#[must_use]
pub fn manifest(registry: &str, names: &[String]) -> String {
    let mut text = String::from(
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct: {name: bench, version: \"1\"}\narches: [amd64]\nimages:\n",
    );
    for name in names {
        text.extend(["- name: ", registry, "/", name, "\n"]);
    }
    text
}
