//! Which manifest of an index is the image for an architecture, and whether manifest and config agree.
//!
//! Pure, and the same for registries and local sources: whoever has brought the documents asks here. What is
//! wrong is said without the image's name; the caller knows it.

use ferry_bundle_format::lock::{LockedManifest, Pin, derived};
use ferry_bundle_format::oci::{Descriptor, ImageConfig, MAX_CONFIG, Manifest, media_type};
use ferry_bundle_format::{Arch, Digest, Platform};

/// Why nothing, or nothing that may be believed, is there for an architecture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// Not there.
    #[error("an image for {arch} is wanted, there is only: {found}")]
    NoArch {
        /// What is wanted.
        arch: Arch,
        /// The platforms that are there.
        found: String,
    },
    /// There more than once.
    #[error("its index has two manifests for linux/{0}")]
    Twice(Arch),
    /// The index says one architecture, the config another.
    #[error("the index says linux/{arch}, the image's own config says {config}")]
    ArchLie {
        /// By the index.
        arch: Arch,
        /// By the config.
        config: String,
    },
    /// Manifest and config differ in their layers.
    #[error("its manifest has {manifest} layers, its config {config}")]
    Layers {
        /// By the manifest.
        manifest: usize,
        /// By the config.
        config: usize,
    },
    /// A config that is not read.
    #[error("its config of {0} bytes is too large")]
    LargeConfig(u64),
    /// An artifact of another kind.
    #[error("it is no image (an artifact can be carried as a chart or a file)")]
    NoImage,
}

/// The one manifest for `arch`.
pub fn pick(manifests: &[Descriptor], arch: Arch) -> Result<&Descriptor, ChoiceError> {
    let on = |d: &&Descriptor| d.platform.as_ref().is_some_and(|platform| platform.is_linux_on(arch));
    let mut matching = manifests.iter().filter(on);
    match (matching.next(), matching.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(ChoiceError::Twice(arch)),
        (None, _) => {
            let known = |d: &Descriptor| d.platform.as_ref().filter(|p| p.os != "unknown").map(ToString::to_string);
            let found: Vec<_> = manifests.iter().filter_map(known).collect();
            Err(ChoiceError::NoArch { arch, found: found.join(", ") })
        }
    }
}

/// The architecture of a name that points to a single manifest whose config says `found`: the wanted one, if no
/// other is wanted.
pub fn only_arch(found: &Platform, wanted: &[Arch]) -> Result<Arch, ChoiceError> {
    let missing = wanted.iter().find(|arch| !found.is_linux_on(**arch));
    match (wanted, missing) {
        ([only], None) => Ok(*only),
        (_, missing) => {
            let arch = missing.or(wanted.first()).copied().unwrap_or(Arch::Amd64);
            Err(ChoiceError::NoArch { arch, found: found.to_string() })
        }
    }
}

/// Whether the config of `manifest` is an image's, and can be read. Other artifacts have configs of their own kinds.
pub fn has_image_config(manifest: &Manifest) -> Result<bool, ChoiceError> {
    if manifest.config.size > MAX_CONFIG {
        return Err(ChoiceError::LargeConfig(manifest.config.size));
    }
    let kinds = [media_type::OCI_CONFIG, "application/vnd.docker.container.image.v1+json"];
    Ok(kinds.contains(&manifest.config.media_type.as_str()))
}

/// Whether the config is for `arch` and has as many layers as the manifest.
pub fn agree(layers: usize, config: &ImageConfig, arch: Arch) -> Result<(), ChoiceError> {
    let platform = config.platform();
    if !platform.is_linux_on(arch) {
        return Err(ChoiceError::ArchLie { arch, config: platform.to_string() });
    }
    let diff_ids = config.rootfs.diff_ids.len();
    if diff_ids == layers { Ok(()) } else { Err(ChoiceError::Layers { manifest: layers, config: diff_ids }) }
}

/// What a manifest pins.
#[must_use]
pub fn locked(arch: Arch, variant: Option<String>, pin: Pin, manifest: &Manifest) -> LockedManifest {
    let layers = manifest.layers.iter().map(pin_of).collect();
    LockedManifest { arch, variant, manifest: pin, config: pin_of(&manifest.config), layers }
}

/// A descriptor as the lock writes it.
#[must_use]
pub fn pin_of(descriptor: &Descriptor) -> Pin {
    Pin { digest: descriptor.digest, size: descriptor.size, media_type: descriptor.media_type.clone() }
}

/// The pin of a document that ferry makes itself.
#[must_use]
pub fn pin_to(media_type: &str, bytes: &[u8]) -> Pin {
    Pin { digest: Digest::of(bytes), size: bytes.len() as u64, media_type: media_type.to_owned() }
}

/// The index that is carried instead of one that lists `listed` manifests, unless all of them are carried.
#[must_use]
pub fn narrowed(listed: usize, manifests: &[LockedManifest]) -> Option<Pin> {
    (listed != manifests.len()).then(|| pin_to(media_type::OCI_INDEX, &derived::narrowed_index(manifests)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(platform: &str) -> Descriptor {
        let mut parts = platform.split('/').map(str::to_owned);
        let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
        let content = Descriptor::of(media_type::OCI_MANIFEST, platform.as_bytes());
        Descriptor { platform: Some(Platform { os, architecture, variant: parts.next() }), ..content }
    }

    #[test]
    fn one_manifest_is_for_an_architecture_or_none() {
        let list = ["linux/amd64", "linux/arm64/v8", "windows/amd64", "unknown/unknown"].map(on);
        assert_eq!(pick(&list, Arch::Arm64).unwrap(), &list[1]);
        let error = pick(&list, Arch::S390x).unwrap_err();
        assert_eq!(
            error.to_string(),
            "an image for s390x is wanted, there is only: linux/amd64, linux/arm64/v8, windows/amd64"
        );
        let twice = ["linux/amd64", "linux/amd64/v1"].map(on);
        assert_eq!(pick(&twice, Arch::Amd64), Err(ChoiceError::Twice(Arch::Amd64)));
    }

    #[test]
    fn a_single_manifest_serves_a_single_architecture() {
        let amd64 = Platform::linux(Arch::Amd64);
        assert_eq!(only_arch(&amd64, &[Arch::Amd64]), Ok(Arch::Amd64));
        for wanted in [&[Arch::Arm64][..], &[Arch::Amd64, Arch::Arm64], &[]] {
            assert!(matches!(only_arch(&amd64, wanted), Err(ChoiceError::NoArch { .. })), "{wanted:?}");
        }
        let higher = Platform { variant: Some("v3".into()), ..amd64 };
        assert!(only_arch(&higher, &[Arch::Amd64]).is_err());
    }
}
