//! A valid bundle from a seed, in memory: what tests of this crate and of others begin with.

use std::collections::BTreeMap;
use std::path::Path;

use crate::assemble::{Packing, SignedBundle, UnsignedBundle};
use crate::compact::{Made, gzip_as_go, plain_layer};
use crate::digest::Digest;
use crate::lock::contents::Supply;
use crate::lock::{
    Lock, LockKind, LockedChart, LockedFile, LockedImage, LockedManifest, Origin, Pin, Timestamp, derived,
};
use crate::manifest::file::{ApiVersion, Product};
use crate::name::{FileName, Name, Version};
use crate::oci::media_type as mt;
use crate::platform::Arch;
use crate::reference::Reference;
use crate::sign::SecretKey;
use crate::write::{WriteError, write};

/// A lock and the blobs it names.
#[derive(Debug, Clone)]
pub struct Fake {
    /// The lock.
    pub lock: Lock,
    /// The blobs that ferry does not derive.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

/// Deterministic bytes: a xorshift generator, good enough to look random to a compressor.
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

impl Fake {
    /// Two images for two architectures that share a layer, a chart, a file; `layer` is a layer's size in bytes.
    ///
    /// # Panics
    /// Never: the names are literals that are names.
    #[must_use]
    pub fn new(seed: u64, layer: usize) -> Self {
        let mut fake = Self { lock: empty_lock(), blobs: BTreeMap::new() };
        let shared = fake.blob(mt::OCI_LAYER_GZIP, noise(seed, layer));
        for (n, name) in ["registry.example/shop/api:1.0", "registry.example/shop/web:1.0"].into_iter().enumerate() {
            let manifests: Vec<_> = [Arch::Amd64, Arch::Arm64]
                .into_iter()
                .map(|arch| {
                    let own =
                        fake.blob(mt::OCI_LAYER_GZIP, noise(seed * 31 + n as u64 * 7 + arch as u64 + 1, layer / 2 + 1));
                    fake.image(arch, vec![shared.clone(), own])
                })
                .collect();
            let index = derived::narrowed_index(&manifests);
            let target = fake.blob(mt::OCI_INDEX, index);
            let name = Reference::parse(name).expect("a literal");
            let from = Origin::Registry(name.name());
            fake.lock.images.push(LockedImage {
                name,
                from,
                via: None,
                groups: vec![],
                component: None,
                target,
                narrowed: None,
                manifests,
            });
        }
        let json = r#"{"apiVersion":"v2","name":"shop","version":"1.0.0"}"#.to_owned();
        let archive = fake.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", noise(seed + 99, layer / 4 + 1));
        let mut chart = LockedChart {
            name: Name::parse("shop").expect("a literal"),
            version: Version::parse("1.0.0").expect("a literal"),
            from: Origin::Url("https://charts.example/shop-1.0.0.tgz".into()),
            via: None,
            groups: vec![],
            manifest: pin(mt::OCI_MANIFEST, b""),
            config: pin(mt::HELM_CONFIG, json.as_bytes()),
            chart_json: Some(json),
            layers: vec![archive],
        };
        chart.manifest = pin(mt::OCI_MANIFEST, &derived::chart_manifest(&chart));
        fake.lock.charts.push(chart);
        let tool = fake.blob(mt::OCTETS, noise(seed + 100, layer / 3 + 1));
        fake.lock.files.push(LockedFile {
            name: FileName::parse("kubeadm").expect("a literal"),
            version: Some(Version::parse("v1.34.4").expect("a literal")),
            arch: Some(Arch::Amd64),
            from: Origin::Url("https://dl.example/v1.34.4/kubeadm".into()),
            via: None,
            groups: vec![],
            component: None,
            chart: None,
            executable: true,
            digest: tool.digest,
            size: tool.size,
        });
        fake.lock.sort();
        fake
    }

    /// The `version`th release of a product whose layers compress, each of `layer` plain bytes: one image with a layer
    /// that never changes, two that change with each version, and one that is new; a file.
    ///
    /// # Panics
    /// Never: the names are literals that are names.
    #[must_use]
    pub fn release(version: u64, layer: usize) -> Self {
        let mut fake = Self { lock: empty_lock(), blobs: BTreeMap::new() };
        fake.lock.serial = version;
        fake.lock.arches = vec![Arch::Amd64];
        let layers: Vec<_> = [(1, 0, 6), (2, version, 6), (3, version, 1), (1000 + version, 0, 6)]
            .into_iter()
            .map(|(seed, version, level)| {
                let plain = plain_layer(
                    seed,
                    version,
                    layer + usize::from(seed == 2) * 517 * usize::try_from(version).unwrap_or(0),
                );
                fake.blob(mt::OCI_LAYER_GZIP, gzip_as_go(&plain, level))
            })
            .collect();
        let name = Reference::parse("registry.example/shop/api:1.0").expect("a literal");
        let manifests = vec![fake.image(Arch::Amd64, layers)];
        let target = fake.blob(mt::OCI_INDEX, derived::narrowed_index(&manifests));
        fake.lock.images.push(LockedImage {
            from: Origin::Registry(name.name()),
            name,
            via: None,
            groups: vec![],
            component: None,
            target,
            narrowed: None,
            manifests,
        });
        let tool = fake.blob(mt::OCTETS, noise(version, layer / 8 + 1));
        fake.lock.files.push(LockedFile {
            name: FileName::parse("tool").expect("a literal"),
            version: None,
            arch: Some(Arch::Amd64),
            from: Origin::Url("https://dl.example/tool".into()),
            via: None,
            groups: vec![],
            component: None,
            chart: None,
            executable: true,
            digest: tool.digest,
            size: tool.size,
        });
        fake.lock.sort();
        fake
    }

    /// The bundle with some blobs packed or left out; `packs` gives the stored bytes by blob.
    pub fn packed_bytes(
        &self,
        keys: &[SecretKey],
        packing: &Packing,
        packs: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Vec<u8>, WriteError> {
        let unsigned = UnsignedBundle::packed(&self.lock, packing).expect("a fake lock is possible");
        let bundle = if keys.is_empty() { unsigned.leave_unsigned_insecurely() } else { unsigned.sign(keys) };
        let mut out = Vec::new();
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let stored = |entry: &crate::index::Entry| match entry.rebuilt() {
            Some(how) => packs.get(&how.blob.digest),
            None => self.blobs.get(&entry.digest),
        };
        write(&bundle, |entry| stored(entry).map(Vec::as_slice).ok_or_else(missing), &mut out, |_| {})?;
        Ok(out)
    }

    /// What stands at the beginning of the bundle with every blob as it is, signed by `keys`.
    #[must_use]
    pub fn packing(&self, keys: &[SecretKey], packs: BTreeMap<Digest, Made>) -> Packing {
        Packing { packs, verbatim_head: self.bundle(keys).head().to_vec(), ..Packing::default() }
    }

    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Pin {
        let pin = pin(media_type, &bytes);
        self.blobs.insert(pin.digest, bytes);
        pin
    }

    fn image(&mut self, arch: Arch, layers: Vec<Pin>) -> LockedManifest {
        let diff_ids: Vec<_> = layers.iter().map(|layer| format!("\"{}\"", layer.digest)).collect();
        let config = format!(
            r#"{{"architecture":"{arch}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            diff_ids.join(",")
        );
        let config = self.blob(mt::OCI_CONFIG, config.into_bytes());
        let manifest = self.blob(mt::OCI_MANIFEST, derived::image_manifest(&config, &layers));
        LockedManifest { arch, variant: None, manifest, config, layers }
    }

    /// The signed bundle; unsigned if there are no keys.
    ///
    /// # Panics
    /// If the lock has been made impossible.
    #[must_use]
    pub fn bundle(&self, keys: &[SecretKey]) -> SignedBundle {
        let unsigned = UnsignedBundle::of(&self.lock).expect("a fake lock is possible");
        if keys.is_empty() { unsigned.leave_unsigned_insecurely() } else { unsigned.sign(keys) }
    }

    /// The bundle's bytes.
    pub fn bytes(&self, keys: &[SecretKey]) -> Result<Vec<u8>, WriteError> {
        let mut out = Vec::new();
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        write(
            &self.bundle(keys),
            |entry| self.blobs.get(&entry.digest).map(Vec::as_slice).ok_or_else(missing),
            &mut out,
            |_| {},
        )?;
        Ok(out)
    }

    /// The blobs that somebody must supply.
    #[must_use]
    pub fn needed(&self) -> Vec<Digest> {
        let bundle = self.bundle(&[]);
        let derived = |supplies: &[Supply]| matches!(supplies.first(), Some(Supply::Derived(_)));
        bundle.contents().blobs.iter().filter(|(_, blob)| !derived(&blob.supplies)).map(|(digest, _)| *digest).collect()
    }

    /// Parses the lock back from its text, as a check on the fake itself.
    pub fn reparse(&self) -> Result<Lock, crate::yaml::Problems> {
        Lock::parse(Path::new("fake.lock.yaml"), &self.lock.to_yaml())
    }
}

fn pin(media_type: &str, bytes: &[u8]) -> Pin {
    Pin { digest: Digest::of(bytes), size: bytes.len() as u64, media_type: media_type.to_owned() }
}

fn empty_lock() -> Lock {
    let name = |text| Name::parse(text).expect("a literal");
    let version = Version::parse("1.0").expect("a literal");
    Lock {
        api_version: ApiVersion::V1,
        kind: LockKind::Lock,
        product: Product { name: name("shop"), version, channel: name("stable") },
        serial: 1,
        created: Timestamp::from_unix(1_767_225_600),
        valid_for_days: None,
        arches: vec![Arch::Amd64, Arch::Arm64],
        groups: BTreeMap::new(),
        components: vec![],
        images: vec![],
        charts: vec![],
        files: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_reads_back_as_it_was_written() {
        let fake = Fake::new(1, 100);
        assert_eq!(fake.reparse().unwrap(), fake.lock);
        assert_eq!(fake.reparse().unwrap().to_yaml(), fake.lock.to_yaml());
    }

    #[test]
    fn a_lock_that_was_edited_is_noticed() {
        let text = Fake::new(1, 100).lock.to_yaml();
        let path = Path::new("a.lock.yaml");
        for edited in [text.replace("serial: 1", "serial:  1"), text.replace('\n', "\r\n"), format!("{text}# x\n")] {
            assert!(Lock::parse(path, &edited).unwrap_err().to_string().contains("canonical"));
        }
        let size = text.replacen("size: 100", "size: 101", 1);
        assert!(Lock::parse(path, &size).unwrap_err().to_string().contains("bytes"), "{size}");
    }
}
