//! The media types of an image: OCI's or Docker's.

use ferry_bundle_format::oci::media_type;

/// Whose media types an image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// OCI image specification.
    #[default]
    Oci,
    /// Docker image manifest, version 2, schema 2.
    Docker,
}

impl Flavour {
    pub(super) fn index(self) -> &'static str {
        if self == Self::Oci { media_type::OCI_INDEX } else { media_type::DOCKER_LIST }
    }

    pub(super) fn manifest(self) -> &'static str {
        if self == Self::Oci { media_type::OCI_MANIFEST } else { media_type::DOCKER_MANIFEST }
    }

    pub(super) fn config(self) -> &'static str {
        if self == Self::Oci { media_type::OCI_CONFIG } else { "application/vnd.docker.container.image.v1+json" }
    }

    pub(super) fn layer(self) -> &'static str {
        match self {
            Self::Oci => media_type::OCI_LAYER_GZIP,
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}
