//! Why a local image source fails. Each variant names the source's path; what came from inside it is printable.

use std::io;
use std::path::PathBuf;

use ferry_bundle_format::Digest;
use ferry_bundle_format::oci::OciError;

use crate::choice::ChoiceError;

/// Why a local image source fails.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The system refuses.
    #[error("can't read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file where a folder is expected, or something that is neither.
    #[error("{} is {found}, {wanted} is expected", path.display())]
    Kind {
        /// What was named.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A compressed archive: its members have no places that could be read.
    #[error("{} is compressed with {with}", path.display())]
    Compressed {
        /// The archive.
        path: PathBuf,
        /// By what.
        with: &'static str,
    },
    /// Not a tar archive, or a broken one.
    #[error("{} is no readable tar archive", path.display())]
    Tar {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive ends too early.
    #[error("{} ends too early: {what}", path.display())]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// Something stands behind the archive's end.
    #[error("{} goes on behind its end: two archives in one, or another file", path.display())]
    Trailing {
        /// The archive.
        path: PathBuf,
    },
    /// A member that no image archive needs and that could do harm.
    #[error("{}: member {name:?} is refused: {why}", path.display())]
    Member {
        /// The archive or folder.
        path: PathBuf,
        /// The member, printable.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// A name twice: readers would differ in which one they take.
    #[error("{}: member {name:?} is there twice", path.display())]
    Duplicate {
        /// The archive.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// More members than any image needs.
    #[error("{} has more than {limit} members", path.display())]
    Members {
        /// The archive.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A member that the documents name is not there.
    #[error("{} has no {name}", path.display())]
    Missing {
        /// The archive or folder.
        path: PathBuf,
        /// The member.
        name: String,
    },
    /// Larger than such a document may be.
    #[error("{}: {name} is {size} bytes, more than the limit of {limit}", path.display())]
    TooLarge {
        /// The archive or folder.
        path: PathBuf,
        /// The document.
        name: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A layer that does not fit into a bundle.
    #[error("{}: {name} is {size} bytes; a single blob of a bundle can be at most 8 GiB − 1", path.display())]
    LargeLayer {
        /// The archive.
        path: PathBuf,
        /// The layer.
        name: String,
        /// Its size.
        size: u64,
    },
    /// The only image there has another name.
    #[error("{}: the only image there is not called {wanted}; it is {there}", path.display())]
    OtherName {
        /// The archive or folder.
        path: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What it is called.
        there: String,
    },
    /// A layout whose index lists nothing.
    #[error("{}: index.json lists no image", path.display())]
    Empty {
        /// The archive or folder.
        path: PathBuf,
        /// Whether the list of `docker save` is there instead.
        docker: bool,
    },
    /// Not the JSON it should be.
    #[error("{}: {name} is not what it should be: {why}", path.display())]
    Json {
        /// The archive or folder.
        path: PathBuf,
        /// The document.
        name: String,
        /// Why.
        why: String,
    },
    /// An OCI document that is refused.
    #[error("{}: {name} is refused", path.display())]
    Document {
        /// The archive or folder.
        path: PathBuf,
        /// The document.
        name: String,
        /// Why.
        source: OciError,
    },
    /// Content is not what its name or its document says.
    #[error("{}: {name} should be {expected}, is {actual}", path.display())]
    Digest {
        /// The archive or folder.
        path: PathBuf,
        /// What.
        name: String,
        /// By name or document.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// Content has another size than its document says.
    #[error("{}: {name} should have {expected} bytes, it has {actual}", path.display())]
    Size {
        /// The archive or folder.
        path: PathBuf,
        /// What.
        name: String,
        /// By the document.
        expected: u64,
        /// What it has.
        actual: u64,
    },
    /// No image of this name.
    #[error("{} has no image {wanted}; there is: {there}", path.display())]
    NotFound {
        /// The archive or folder.
        path: PathBuf,
        /// The reference.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// Several images of this name.
    #[error("{} has several images that could be {wanted}: {there}", path.display())]
    Ambiguous {
        /// The archive or folder.
        path: PathBuf,
        /// The reference.
        wanted: String,
        /// Which.
        there: String,
    },
    /// The reference is pinned to other content.
    #[error("{}: the reference is pinned to {expected}, the image is {actual}", path.display())]
    Pinned {
        /// The archive or folder.
        path: PathBuf,
        /// By the reference.
        expected: Digest,
        /// What it is.
        actual: Digest,
    },
    /// Not there for the architecture, or its documents contradict each other.
    #[error("{}", path.display())]
    Choice {
        /// The archive or folder.
        path: PathBuf,
        /// Why.
        source: ChoiceError,
    },
    /// The origin is none of this machine's image sources.
    #[error("{what} is no local image source")]
    NotLocal {
        /// The origin.
        what: String,
    },
}

impl LocalError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Compressed { with: "gzip", .. } => "unpack it first with `gunzip`; its layers are read by position",
            Self::Compressed { .. } => "unpack it first; its layers are read by position",
            Self::Truncated { .. } | Self::Digest { .. } | Self::Size { .. } => {
                "the file was changed or copied incompletely: save or copy it again"
            }
            Self::Kind { wanted: "a file", .. } => "name a layout in a folder with `ociLayout:`",
            Self::Kind { .. } => "name a layout in a tar with `ociArchive:`",
            Self::Missing { name, .. } if name == "manifest.json" => {
                "is it an OCI layout in a tar? name that with `ociArchive:`"
            }
            Self::Missing { name, .. } if name == "index.json" || name == "oci-layout" => {
                "is it the work of `docker save`? name that with `dockerArchive:`"
            }
            Self::OtherName { .. } => {
                "is it the right file? then write the name that it has there as `storedAs: NAME` beside `from:`"
            }
            Self::Empty { docker: true, .. } => {
                "it has a manifest.json, the list of `docker save`: name it with `dockerArchive:`"
            }
            Self::Empty { .. } => "save the image into it again",
            Self::LargeLayer { .. } => "build the image with smaller layers",
            Self::NotFound { .. } => "name the image as the archive does, or save it under this name",
            Self::Ambiguous { .. } => "pin the one that is meant with `@sha256:…`, or save it alone",
            Self::Pinned { .. } => "`docker save` keeps no manifests, so that digests of a registry do not hold there",
            Self::Choice { source: ChoiceError::NoArch { .. }, .. } => {
                "narrow the image with `arches:`, or save all its platforms into an OCI archive"
            }
            Self::Choice { source, .. } => return source.hint(),
            _ => return None,
        })
    }
}
