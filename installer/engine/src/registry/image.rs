//! The image of the probe: made on site from the probe's binary in the bundle, always the same bytes.

use std::sync::Arc;

use ferry_bundle_format::{Arch, Digest};
use serde_json::json;

use crate::host::Bytes;
use crate::supply::{Supply, SupplyError};

/// Where the probe's image lies in the registry.
pub const PROBE_REPOSITORY: &str = "ferry/probe";
/// The largest probe binary, in bytes.
const LARGEST: u64 = 64 << 20;

/// The image of the probe.
#[derive(Debug, Clone)]
pub struct ProbeImage {
    /// Its only layer, an uncompressed tar.
    pub layer: Bytes,
    /// Its config.
    pub config: Bytes,
    /// Its manifest.
    pub manifest: Bytes,
}

impl ProbeImage {
    /// From the bundle's `ferry-probe` for `arch`.
    pub fn make(supply: &Supply, arch: Arch) -> Result<Self, SupplyError> {
        let file = supply.file("ferry-probe", arch)?;
        let fail = |source| SupplyError::Archive { name: "ferry-probe".into(), source };
        if file.size > LARGEST {
            return Err(fail(std::io::Error::other("it is too large to be the probe")));
        }
        let binary = supply.blob(&file.digest)?.read_all().map_err(fail)?;
        Self::of(&binary, arch).map_err(fail)
    }

    fn of(binary: &[u8], arch: Arch) -> std::io::Result<Self> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(binary.len() as u64);
        header.set_mtime(0);
        builder.append_data(&mut header, "ferry-probe", binary)?;
        let layer = builder.into_inner()?;
        let diff_id = Digest::of(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": arch.as_str(),
            "os": "linux",
            "config": {"Entrypoint": ["/ferry-probe"], "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id.to_string()]},
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(&config).to_string(), "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": diff_id.to_string(), "size": layer.len()}],
        }))?;
        let bytes = |bytes: Vec<u8>| Bytes(Arc::new(bytes));
        Ok(Self { layer: bytes(layer), config: bytes(config), manifest: bytes(manifest) })
    }

    /// The manifest's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest.0)
    }

    /// How many bytes it has in all.
    #[must_use]
    pub fn size(&self) -> u64 {
        (self.layer.0.len() + self.config.0.len() + self.manifest.0.len()) as u64
    }
}

/// The media type of its manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_binary_gives_the_same_image() {
        let (one, two) = (ProbeImage::of(b"elf", Arch::Amd64).unwrap(), ProbeImage::of(b"elf", Arch::Amd64).unwrap());
        assert_eq!(one.digest(), two.digest());
        assert_ne!(one.digest(), ProbeImage::of(b"elf", Arch::Arm64).unwrap().digest());
        let mut archive = tar::Archive::new(one.layer.0.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((entry.path().unwrap().to_str(), entry.header().mode().unwrap()), (Some("ferry-probe"), 0o755));
    }
}
