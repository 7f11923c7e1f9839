//! Why content could not be brought.

use std::io;
use std::path::PathBuf;

use ferry_bundle_format::Digest;
use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::lock::contents::Supply;
use ferry_bundle_format::store::StoreError;

use crate::failure::{ExitCode, Failure};
use crate::local::LocalError;
use crate::resolve::chart::ChartError;
use crate::source::{SourceError, SourceErrorKind};

/// Why content could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A server failed, and went on failing.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What came is not what the lock says.
    #[error("{digest} came as {actual}{from}")]
    Digest {
        /// What was asked for.
        digest: Digest,
        /// What came.
        actual: Digest,
        /// ` from <place>`, once that is known.
        from: String,
    },
    /// Not enough room.
    #[error("{} has {} free, {} are needed", path.display(), human_size(*free), human_size(*needed))]
    Space {
        /// The folder.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The target file or folder fails.
    #[error("can't {doing} {}", path.display())]
    Target {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A local source fails while it is read.
    #[error("can't read a local source")]
    ReadLocal {
        /// Why.
        source: io::Error,
    },
    /// A local image source fails.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// A local chart folder fails.
    #[error(transparent)]
    Chart(Box<ChartError>),
    /// The lock names no place for it.
    #[error("the lock names no place for {digest}")]
    NoSupply {
        /// The blob.
        digest: Digest,
    },
    /// The lock names an impossible place.
    #[error("{text:?} in the lock is neither a repository nor a URL")]
    BadSupply {
        /// The text.
        text: String,
    },
    /// Several of the above.
    #[error("{} transfers failed:{}", .0.len(), list(.0))]
    Several(Vec<FetchError>),
}

fn list(errors: &[FetchError]) -> String {
    errors.iter().map(|error| format!("\n  {error}")).collect()
}

impl FetchError {
    /// One or many.
    pub(super) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    /// Whether every other transfer would fail in the same way.
    pub(super) fn is_hopeless(&self) -> bool {
        match self {
            Self::Source(error) => matches!(error.kind(), SourceErrorKind::Auth | SourceErrorKind::Local),
            Self::Store(StoreError::Io { .. } | StoreError::Busy { .. }) | Self::Target { .. } | Self::Space { .. } => {
                true
            }
            _ => false,
        }
    }

    /// Says where a wrong blob came from.
    pub(super) fn coming_from(self, supply: &Supply) -> Self {
        match self {
            Self::Digest { digest, actual, .. } => {
                let place = match supply {
                    Supply::Manifest(name) | Supply::Blob(name) | Supply::Url(name) => name.clone(),
                    Supply::Local(origin) => format!("{origin:?}"),
                    Supply::Derived(_) => "ferry itself".to_owned(),
                };
                Self::Digest { digest, actual, from: format!(" from {place}") }
            }
            other => other,
        }
    }

    /// With exit code and hints.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Source(error) => error.into(),
            Self::Store(error) => error.into(),
            Self::Digest { .. } => Failure::of(ExitCode::Content, &self)
                .hint("the place serves something else under this digest; run `ferry-bundle lock` again or use another --mirror"),
            Self::Space { .. } => Failure::of(ExitCode::Machine, &self).hint("free some space, or choose another place; what is there already is kept"),
            Self::Target { .. } | Self::ReadLocal { .. } => Failure::of(ExitCode::Machine, &self),
            Self::Local(ref error) => {
                let mut failure = Failure::of(ExitCode::Input, &self);
                failure.hints.extend(error.hint().map(str::to_owned));
                failure
            }
            Self::Chart(_) | Self::NoSupply { .. } | Self::BadSupply { .. } => Failure::of(ExitCode::Input, &self),
            Self::Several(mut errors) => {
                let all = Self::Several(std::mem::take(&mut errors));
                let mut failure = Failure::of(ExitCode::Network, &all);
                if let Self::Several(errors) = all
                    && let Some(first) = errors.into_iter().next()
                {
                    let first = first.into_failure();
                    failure.code = first.code;
                    failure.hints = first.hints;
                }
                failure
            }
        }
    }
}
