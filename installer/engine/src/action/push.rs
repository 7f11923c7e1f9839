//! Images of the bundle in the site's registry, by digest.

use ferry_bundle_format::Digest;
use serde::{Deserialize, Serialize};

use super::Content;

/// Images for the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The registry's name, for its certificate.
    pub server: String,
    /// The port on the host's loopback where it accepts content.
    pub port: u16,
    /// The images.
    pub images: Vec<PushedImage>,
    /// Files that other hosts fetch from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PushedFile>,
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

/// A file for the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedFile {
    /// What it is called, for people.
    pub name: String,
    /// Where its bytes come from.
    pub content: Content,
}
