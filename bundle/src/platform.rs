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
    /// `linux`, `windows`, or `unknown` for attestations.
    pub os: String,
    /// Go's architecture name; free text because indexes name many that ferry does not carry.
    pub architecture: String,
    /// Such as `v7` for 32-bit ARM or `v8` for arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// `linux/<arch>` without a variant.
    #[must_use]
    pub fn linux(arch: Arch) -> Self {
        Self { os: "linux".into(), architecture: arch.as_str().into(), variant: None }
    }

    /// Whether this is Linux on `arch`. For arm64 the variant may be absent or `v8`; for amd64 absent or
    /// `v1`; a higher micro-architecture level is another platform, because it would not run everywhere.
    #[must_use]
    pub fn is_linux_on(&self, arch: Arch) -> bool {
        let base = match arch {
            Arch::Arm64 => Some("v8"),
            Arch::Amd64 => Some("v1"),
            _ => None,
        };
        self.os == "linux"
            && self.architecture == arch.as_str()
            && (self.variant.is_none() || self.variant.as_deref() == Some("") || self.variant.as_deref() == base)
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
