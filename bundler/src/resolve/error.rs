//! Why a manifest can't be resolved.

use std::io;
use std::path::PathBuf;

use ferry_bundle_format::lock::contents::ContentsError;
use ferry_bundle_format::oci::OciError;
use ferry_bundle_format::{Arch, Reference};

use super::chart::ChartError;
use crate::choice::ChoiceError;
use crate::failure::{ExitCode, Failure};
use crate::local::LocalError;
use crate::names::Clashes;
use crate::source::SourceError;
use crate::vendor::VendorError;

/// Why a manifest can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A component that the vendor lists do not give.
    #[error("component in line {}, column {}", place.0, place.1)]
    Vendor {
        /// Why.
        #[source]
        error: VendorError,
        /// Line and column in the manifest.
        place: (u64, u64),
    },
    /// A server failed.
    #[error("{what}")]
    Source {
        /// What was looked up.
        what: String,
        /// Why.
        #[source]
        error: SourceError,
    },
    /// The registry has no such image.
    #[error("{reference}: an image for {arch} is wanted, there is only: {found}")]
    NoArch {
        /// The image.
        reference: Reference,
        /// What is wanted.
        arch: Arch,
        /// What there is.
        found: String,
    },
    /// The image's own config says another architecture than its index.
    #[error("{reference}: the index says linux/{arch}, the image's own config says {config}")]
    ArchLie {
        /// The image.
        reference: Reference,
        /// By the index.
        arch: Arch,
        /// By the config.
        config: String,
    },
    /// No image can be chosen from what is there.
    #[error("{reference}: {error}")]
    Choice {
        /// The image.
        reference: Reference,
        /// Why; said with the image, so that it is no source.
        error: ChoiceError,
    },
    /// Its documents contradict each other.
    #[error("{reference}: {why}")]
    Image {
        /// The image.
        reference: Reference,
        /// What is wrong.
        why: String,
    },
    /// A document that is refused.
    #[error("{what}: the registry's document is refused")]
    Document {
        /// Whose.
        what: String,
        /// Why.
        #[source]
        error: OciError,
    },
    /// A chart.
    #[error("chart {name}")]
    Chart {
        /// Its name and version.
        name: String,
        /// Why.
        #[source]
        error: ChartError,
    },
    /// A local image source.
    #[error("{reference}")]
    Local {
        /// The image.
        reference: Reference,
        /// Why.
        #[source]
        error: LocalError,
    },
    /// A local file.
    #[error("can't read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file's size can't be learned.
    #[error("{what}: the server does not say how large it is")]
    NoSize {
        /// Which file.
        what: String,
    },
    /// The result can't be a bundle.
    #[error("the content does not fit into one bundle")]
    Contents(#[source] ContentsError),
    /// Two contents have one name, however images are named.
    #[error(transparent)]
    Names(Clashes),
    /// Several of the above.
    #[error("{} things can't be resolved:{}", .0.len(), list(.0))]
    Several(Vec<ResolveError>),
}

fn list(errors: &[ResolveError]) -> String {
    errors
        .iter()
        .map(|error| {
            let chain = Failure::of(ExitCode::Input, error).causes.join(": ");
            format!("\n  {}", chain.replace('\n', "\n    "))
        })
        .collect()
}

impl ResolveError {
    /// One or many.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// With exit code and hints.
    pub(crate) fn into_failure(self) -> Failure {
        self.failure()
    }

    fn failure(&self) -> Failure {
        let with = |code, hint: Option<&str>| {
            let mut failure = Failure::of(code, self);
            failure.hints.extend(hint.map(str::to_owned));
            failure
        };
        match self {
            Self::Source { error, .. } | Self::Chart { error: ChartError::Source(error), .. } => {
                with(error.kind().into(), error.hint().as_deref())
            }
            Self::Vendor { .. } => {
                with(ExitCode::Input, Some("add it to a folder of vendor lists and pass that with --vendor-lists"))
            }
            Self::NoArch { .. } => {
                with(ExitCode::Input, Some("narrow the image with `arches:`, or take it from a registry that has it"))
            }
            Self::ArchLie { .. } => with(
                ExitCode::Content,
                Some("the image was built or pushed wrongly; tell its maintainer, or pin another digest"),
            ),
            Self::NoSize { .. } => with(ExitCode::Network, Some("use another --mirror for it")),
            Self::File { .. } => with(ExitCode::Machine, None),
            Self::Choice { error, .. } => with(ExitCode::Input, error.hint()),
            Self::Chart { error, .. } => with(ExitCode::Input, error.hint().as_deref()),
            Self::Image { .. } | Self::Document { .. } | Self::Contents(_) => with(ExitCode::Input, None),
            Self::Names(clashes) => with(ExitCode::Input, Some(clashes.hint())),
            Self::Local { error, .. } => with(ExitCode::Input, error.hint()),
            Self::Several(errors) => Failure::of_several(self.to_string(), errors.iter().map(Self::failure).collect()),
        }
    }
}
