//! From a local origin and a name to an image that can be locked.

use std::path::Path;

use ferry_bundle_format::lock::{LockedManifest, Origin, Pin};
use ferry_bundle_format::manifest::Image;

use super::archive::Links;
use super::docker::DockerArchive;
use super::error::LocalError;
use super::layout::Layout;
use super::source::Source;

/// What a local source holds under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// What the name points to: an index, or the only manifest.
    pub target: Pin,
    /// The derived index, where not all platforms of `target` are carried.
    pub narrowed: Option<Pin>,
    /// The images by architecture.
    pub manifests: Vec<LockedManifest>,
}

/// Looks up `image` in the source, whose path is relative to `base`. Checks all documents, and
/// that every layer is there with its size; blocks while the layers of a `docker save` tar are hashed.
pub fn resolve(origin: &Origin, base: &Path, image: &Image) -> Result<LocalImage, LocalError> {
    match open(origin, base)? {
        Opened::Docker(archive) => archive.resolve(image),
        Opened::Layout(layout) => layout.resolve(image),
    }
}

/// A local source of either kind.
pub(super) enum Opened {
    Docker(DockerArchive),
    Layout(Layout),
}

/// Opens the source and reads its list of images.
pub(super) fn open(origin: &Origin, base: &Path) -> Result<Opened, LocalError> {
    match origin {
        Origin::DockerArchive(path) => DockerArchive::open(&base.join(path)).map(Opened::Docker),
        Origin::OciArchive(path) => {
            Source::archive(&base.join(path), Links::Refused).and_then(Layout::open).map(Opened::Layout)
        }
        Origin::OciLayout(path) => Source::folder(&base.join(path)).and_then(Layout::open).map(Opened::Layout),
        other => Err(LocalError::NotLocal { what: format!("{other:?}") }),
    }
}
