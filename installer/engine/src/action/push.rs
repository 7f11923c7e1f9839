//! Images of the bundle in the site's registry, by digest.

use ferry_bundle_format::Digest;
use serde::{Deserialize, Serialize};

/// Images for the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The registry's name, for its certificate.
    pub server: String,
    /// The port on the host's loopback where it accepts content.
    pub port: u16,
    /// The images.
    pub images: Vec<PushedImage>,
    /// The bytes of all their blobs, each counted once.
    pub bytes: u64,
}

/// An image for the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedImage {
    /// The repository it goes to.
    pub repository: String,
    /// The tag, if it has one.
    pub tag: Option<String>,
    /// What the tag points to.
    pub digest: Digest,
    /// Whether ferry makes it from the probe binary, instead of taking it from the bundle as an image.
    pub made: bool,
}
