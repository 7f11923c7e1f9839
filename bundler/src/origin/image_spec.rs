//! Generated images, described: the same bytes for the same [`ImageSpec`].
//!
//! Real documents and layers that other tools accept; quirks make the ones that ferry must refuse or filter.
//! The first layer depends only on platform, size and `base_seed`: images share it, as real ones share a base.

use std::io;

use bytes::Bytes;
use ferry_bundle_format::oci::Descriptor;
use ferry_bundle_format::{Arch, Digest, Platform};

use super::flavour::Flavour;
use super::generated::mix;
use super::image::{Image, Variant, attestation};
use super::layer::Layer;
use super::registry::MemoryRegistry;
use super::tarball::TIME_TEXT;
use crate::distribution::StoredManifest;

/// What is unusual about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quirk {
    /// One more platform, such as `linux/arm/v7` or Windows.
    Platform(Platform),
    /// A buildkit attestation (`unknown/unknown`) for each image of the index.
    Attestations,
    /// The index claims one architecture, the config has another.
    ArchLie {
        /// In the index.
        claimed: Arch,
        /// In the config.
        actual: Arch,
    },
    /// An index in the index.
    NestedIndex,
    /// An index even for one platform.
    Index,
    /// The configs' diff IDs are not those of the layers.
    DiffIdLie,
    /// The last layer has URLs elsewhere.
    ForeignLayer,
    /// A schema 1 manifest, which nobody should serve any more.
    SchemaOne,
}

/// What image to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// Repository without registry.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// Architectures; more than one makes an index.
    pub arches: Vec<Arch>,
    /// Sizes of the layers' noise in bytes, base first.
    pub layers: Vec<u64>,
    /// Media types.
    pub flavour: Flavour,
    /// Of all layers but the base.
    pub seed: u64,
    /// Of the base layer.
    pub base_seed: u64,
    /// If set, all layers but the base are programs, and another release of the same seed differs in little; else noise.
    pub release: Option<u64>,
    /// What is unusual.
    pub quirks: Vec<Quirk>,
}

impl ImageSpec {
    /// A small OCI image for amd64 and arm64 with two layers, its seed made of the name.
    #[must_use]
    pub fn new(repository: &str, tag: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            arches: vec![Arch::Amd64, Arch::Arm64],
            layers: vec![20_000, 5_000],
            flavour: Flavour::Oci,
            seed: word(&format!("{repository}:{tag}")),
            base_seed: 0,
            release: None,
            quirks: Vec::new(),
        }
    }

    /// With one more quirk.
    #[must_use]
    pub fn quirk(mut self, quirk: Quirk) -> Self {
        self.quirks.push(quirk);
        self
    }

    /// Generates the image and stores it in a registry. Blocks while large layers are hashed.
    pub fn publish(&self, registry: &MemoryRegistry) -> io::Result<Image> {
        let image = self.generate()?;
        image.publish(registry);
        Ok(image)
    }

    /// Generates the image.
    pub fn generate(&self) -> io::Result<Image> {
        let extra = self.quirks.iter().filter_map(|quirk| match quirk {
            Quirk::Platform(platform) => Some(platform.clone()),
            _ => None,
        });
        let platforms = self.arches.iter().copied().map(platform).chain(extra);
        let variants = platforms.map(|platform| self.variant(platform)).collect::<io::Result<Vec<_>>>()?;
        let mut image = Image {
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            root: variants.first().map_or_else(|| self.index(&[]), |variant| variant.manifest.clone()),
            manifests: variants.iter().map(|variant| variant.manifest.clone()).collect(),
            variants,
            extra: Vec::new(),
        };
        self.assemble(&mut image);
        Ok(image)
    }

    /// Puts what is above the variants in place: attestations, indexes.
    fn assemble(&self, image: &mut Image) {
        if self.quirks.contains(&Quirk::SchemaOne) {
            image.root = self.schema_one(&image.variants);
            image.manifests = vec![image.root.clone()];
            return;
        }
        let mut children: Vec<Descriptor> = image.variants.iter().map(Variant::descriptor).collect();
        if self.quirks.contains(&Quirk::Attestations) {
            for variant in &image.variants {
                let (descriptor, manifest, blobs) = attestation(variant);
                children.push(descriptor);
                image.manifests.push(manifest);
                image.extra.extend(blobs);
            }
        }
        if children.len() != 1 || self.quirks.contains(&Quirk::Index) || self.quirks.contains(&Quirk::NestedIndex) {
            image.root = self.index(&children);
            image.manifests.push(image.root.clone());
        }
        if self.quirks.contains(&Quirk::NestedIndex) {
            image.root = self.index(&[image.root.descriptor()]);
            image.manifests.push(image.root.clone());
        }
    }

    fn variant(&self, platform: Platform) -> io::Result<Variant> {
        let of_platform = word(&format!("{platform:?}"));
        let layers = self.layers.iter().enumerate().map(|(number, &size)| {
            let seed = mix(self.seed ^ number as u64) ^ of_platform;
            match self.release {
                _ if number == 0 => Layer::generate("base", size, mix(self.base_seed) ^ of_platform),
                Some(release) => Layer::of_release(seed, release, size),
                None => Layer::generate("app", size, seed),
            }
        });
        let layers = layers.collect::<io::Result<Vec<_>>>()?;
        let config = Bytes::from(self.config(&platform, &layers).to_string());
        let mut descriptors: Vec<Descriptor> = layers
            .iter()
            .map(|layer| Descriptor::new(self.flavour.layer(), layer.digest, layer.packed.size()))
            .collect();
        if let Some(last) = descriptors.last_mut().filter(|_| self.quirks.contains(&Quirk::ForeignLayer)) {
            last.urls = vec![format!("https://elsewhere.invalid/{}", last.digest.hex())];
        }
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": self.flavour.manifest(),
            "config": Descriptor::of(self.flavour.config(), &config),
            "layers": descriptors,
        });
        let manifest = StoredManifest::new(self.flavour.manifest(), document.to_string());
        Ok(Variant { platform, manifest, config, layers })
    }

    fn config(&self, platform: &Platform, layers: &[Layer]) -> serde_json::Value {
        let lies = self.quirks.contains(&Quirk::DiffIdLie);
        let diff_id = |layer: &Layer| if lies { layer.digest } else { layer.diff_id };
        let actual = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ArchLie { claimed, actual } if claimed.as_str() == platform.architecture => Some(actual.as_str()),
            _ => None,
        });
        let history = |number| {
            serde_json::json!({
                "created": TIME_TEXT, "created_by": format!("COPY layer-{number} / # generated")
            })
        };
        let mut config = serde_json::json!({
            "architecture": actual.unwrap_or(&platform.architecture),
            "os": platform.os,
            "created": TIME_TEXT,
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Entrypoint": ["/usr/bin/app"],
                "Labels": { "org.opencontainers.image.title": self.repository, "seed": self.seed.to_string() }
            },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(diff_id).collect::<Vec<_>>() },
            "history": (0..layers.len()).map(history).collect::<Vec<_>>(),
        });
        if let Some(variant) = platform.variant.as_ref().filter(|_| actual.is_none()) {
            config["variant"] = variant.as_str().into();
        }
        config
    }

    fn index(&self, children: &[Descriptor]) -> StoredManifest {
        let document = serde_json::json!({
            "schemaVersion": 2, "mediaType": self.flavour.index(), "manifests": children
        });
        StoredManifest::new(self.flavour.index(), document.to_string())
    }

    fn schema_one(&self, variants: &[Variant]) -> StoredManifest {
        let layers = variants.first().map(|variant| variant.layers.as_slice()).unwrap_or_default();
        let document = serde_json::json!({
            "schemaVersion": 1, "name": self.repository, "tag": self.tag, "architecture": "amd64",
            "fsLayers": layers.iter().rev().map(|layer| serde_json::json!({ "blobSum": layer.digest }))
                .collect::<Vec<_>>(),
            "history": layers.iter().map(|_| serde_json::json!({ "v1Compatibility": "{}" })).collect::<Vec<_>>(),
            "signatures": [],
        });
        StoredManifest::new("application/vnd.docker.distribution.manifest.v1+prettyjws", document.to_string())
    }
}

/// The platform of an architecture as indexes have it: arm64 with its variant.
fn platform(arch: Arch) -> Platform {
    let variant = (arch == Arch::Arm64).then(|| "v8".to_owned());
    Platform { variant, ..Platform::linux(arch) }
}

/// A seed made of a text.
fn word(text: &str) -> u64 {
    Digest::of(text.as_bytes()).as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use ferry_bundle_format::oci::{Document, ImageConfig};

    use super::*;

    #[test]
    fn the_same_spec_is_the_same_image_and_bases_are_shared() {
        let spec = ImageSpec::new("team/app", "v1");
        let (one, two) = (spec.generate().unwrap(), spec.generate().unwrap());
        assert_eq!(one.root.digest, two.root.digest);
        let other = ImageSpec::new("team/other", "v1").generate().unwrap();
        for (a, b) in one.variants.iter().zip(&other.variants) {
            assert_eq!(a.layers[0].digest, b.layers[0].digest);
            assert_ne!(a.layers[1].digest, b.layers[1].digest);
        }
        assert_ne!(one.variants[0].layers[0].digest, one.variants[1].layers[0].digest);
    }

    #[test]
    fn ordinary_images_hold_together() {
        for flavour in [Flavour::Oci, Flavour::Docker] {
            let spec = ImageSpec { flavour, ..ImageSpec::new("a", "v1") }.quirk(Quirk::Attestations);
            let image = spec.generate().unwrap();
            let Ok(Document::Index(index)) = Document::parse(&image.root.bytes, Some(&image.root.media_type)) else {
                panic!("the root is no index");
            };
            assert_eq!(index.manifests.len(), 4);
            for variant in &image.variants {
                let config = ImageConfig::parse(&variant.config).unwrap();
                assert_eq!(config.platform(), variant.platform);
                let diff_ids: Vec<_> = variant.layers.iter().map(|layer| layer.diff_id).collect();
                assert_eq!(config.rootfs.diff_ids, diff_ids);
            }
        }
    }

    #[test]
    fn quirks_are_what_they_say() {
        let generate = |quirk| ImageSpec::new("a", "v1").quirk(quirk).generate().unwrap();
        let parse = |image: &Image| Document::parse(&image.root.bytes, Some(&image.root.media_type));
        assert!(parse(&generate(Quirk::SchemaOne)).is_err());
        let lie = generate(Quirk::ArchLie { claimed: Arch::Arm64, actual: Arch::Amd64 });
        let config = ImageConfig::parse(&lie.variants[1].config).unwrap();
        assert_eq!((config.architecture.as_str(), lie.variants[1].platform.architecture.as_str()), ("amd64", "arm64"));
        let nested = generate(Quirk::NestedIndex);
        let Ok(Document::Index(index)) = parse(&nested) else { panic!("the root is no index") };
        assert_eq!((index.manifests.len(), nested.manifests.len()), (1, 4));
        let foreign = generate(Quirk::ForeignLayer);
        assert!(Document::parse(&foreign.manifests[0].bytes, None).is_err());
        let one = ImageSpec { arches: vec![Arch::Amd64], ..ImageSpec::new("a", "v1") };
        assert!(matches!(parse(&one.generate().unwrap()), Ok(Document::Manifest(_))));
        assert!(matches!(parse(&one.quirk(Quirk::Index).generate().unwrap()), Ok(Document::Index(_))));
    }
}
