//! Architectures and OCI platforms. ferry carries Linux only; the names are Go's, as registries use them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A processor architecture that a bundle can carry content for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64, any variant (`v8` is implied, as containerd does).
    Arm64,
    /// LoongArch64.
    Loong64,
    /// 64-bit PowerPC, little endian.
    Ppc64le,
    /// 64-bit RISC-V.
    Riscv64,
    /// IBM Z.
    S390x,
}

impl Arch {
    /// All architectures, in the order of their names.
    pub const ALL: [Self; 6] = [Self::Amd64, Self::Arm64, Self::Loong64, Self::Ppc64le, Self::Riscv64, Self::S390x];

    /// Go's name for it, as it stands in image configs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Loong64 => "loong64",
            Self::Ppc64le => "ppc64le",
            Self::Riscv64 => "riscv64",
            Self::S390x => "s390x",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name that is no architecture we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an architecture (one of amd64, arm64, loong64, ppc64le, riscv64, s390x)")]
pub struct ArchError(String);

impl FromStr for Arch {
    type Err = ArchError;
    fn from_str(text: &str) -> Result<Self, ArchError> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.as_str() == text)
            .ok_or_else(|| ArchError(text.chars().take(40).collect()))
    }
}

/// The platform of an image, as an OCI index states it. Unknown members are kept out: only what selects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`, `windows`, or `unknown` for attestations. Empty means `linux`, as docker and containerd read it.
    #[serde(default, deserialize_with = "crate::oci::nullable")]
    pub os: String,
    /// Go's architecture name; free text because indexes name many that ferry does not carry.
    #[serde(default, deserialize_with = "crate::oci::nullable")]
    pub architecture: String,
    /// Such as `v7` for 32-bit ARM or `v8` for arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a host must offer beside the system, such as a special snapshotter.
    #[serde(
        default,
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::oci::nullable"
    )]
    pub os_features: Vec<String>,
}

impl Platform {
    /// `linux/<arch>` without a variant.
    #[must_use]
    pub fn linux(arch: Arch) -> Self {
        Self { os: "linux".into(), architecture: arch.as_str().into(), variant: None, os_features: Vec::new() }
    }

    /// Whether it names anything.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !self.os.is_empty() || !self.architecture.is_empty()
    }

    /// Whether this is Linux on `arch` for every host. Names are read as containerd reads them: in any case, and
    /// `x86_64` is amd64. For arm64 the variant may be absent or `v8`; for amd64 absent or
    /// `v1`; a higher micro-architecture level is another platform, because it would not run everywhere.
    #[must_use]
    pub fn is_linux_on(&self, arch: Arch) -> bool {
        let base: &[&str] = match arch {
            Arch::Arm64 => &["", "v8", "8"],
            Arch::Amd64 => &["", "v1", "1"],
            _ => &[""],
        };
        let variant = self.variant.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.is_some_linux_on(arch) && base.contains(&variant.as_str()) && self.os_features.is_empty()
    }

    /// Whether this is Linux on `arch`, of any variant and with any features.
    #[must_use]
    pub fn is_some_linux_on(&self, arch: Arch) -> bool {
        let architecture = self.architecture.to_ascii_lowercase();
        let architecture = match architecture.as_str() {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        matches!(self.os.to_ascii_lowercase().as_str(), "linux" | "") && architecture == arch.as_str()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers are those of containerd's `platforms`, for a host of the base variant.
    #[test]
    fn platforms_are_read_in_every_spelling() {
        for (os, architecture, variant, amd64, arm64) in [
            ("linux", "amd64", None, true, false),
            ("Linux", "AMD64", Some(""), true, false),
            ("linux", "x86_64", None, true, false),
            ("linux", "x86-64", Some("V1"), true, false),
            ("linux", "amd64", Some("1"), true, false),
            ("linux", "amd64", Some("v2"), false, false),
            ("", "amd64", None, true, false),
            ("linux", "aarch64", None, false, true),
            ("linux", "arm64", Some("8"), false, true),
            ("linux", "arm64", Some("v8"), false, true),
            ("linux", "arm64", Some("v9"), false, false),
            ("linux", "arm", Some("v8"), false, false),
            ("linux", "", None, false, false),
            ("", "", None, false, false),
            ("unknown", "unknown", None, false, false),
            ("windows", "amd64", None, false, false),
            ("linux", "386", None, false, false),
        ] {
            let (variant, os_features) = (variant.map(str::to_owned), Vec::new());
            let platform = Platform { os: os.into(), architecture: architecture.into(), variant, os_features };
            let found = (platform.is_linux_on(Arch::Amd64), platform.is_linux_on(Arch::Arm64));
            assert_eq!(found, (amd64, arm64), "{platform}");
        }
        let special = Platform { os_features: vec!["nydus.remoteimage.v1".into()], ..Platform::linux(Arch::Amd64) };
        assert!(!special.is_linux_on(Arch::Amd64) && special.is_some_linux_on(Arch::Amd64));
        let nulls: Platform =
            serde_json::from_str(r#"{"os":null,"architecture":"amd64","variant":null,"os.features":null}"#).unwrap();
        assert!(nulls.is_linux_on(Arch::Amd64));
    }

    #[test]
    fn only_the_base_variant_matches() {
        let mut platform = Platform::linux(Arch::Amd64);
        assert!(platform.is_linux_on(Arch::Amd64));
        platform.variant = Some("v1".into());
        assert!(platform.is_linux_on(Arch::Amd64));
        platform.variant = Some("v3".into());
        assert!(!platform.is_linux_on(Arch::Amd64));
        assert!(!platform.is_linux_on(Arch::Arm64));
    }
}
