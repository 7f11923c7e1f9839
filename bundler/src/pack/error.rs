//! Why a bundle can't be made.

use std::io;
use std::path::PathBuf;

use ferry_bundle_format::Digest;
use ferry_bundle_format::compact::{CacheError, MakeError};
use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::room::NoRoom;
use ferry_bundle_format::write::WriteError;

use crate::failure::{ExitCode, Failure};

/// Why a bundle can't be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something stands under its name.
    #[error("{} exists already: it is {what}", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Another process makes it.
    #[error("{} is being made by another ferry-bundle", path.display())]
    Busy {
        /// The path.
        path: PathBuf,
    },
    /// Not everything is in the store.
    #[error("{count} blobs ({}) of the lock are not in the store {}, sha256:{} first", human_size(*bytes), store.display(), first.short())]
    Missing {
        /// How many.
        count: usize,
        /// How many bytes.
        bytes: u64,
        /// The first of them.
        first: Digest,
        /// The store.
        store: PathBuf,
    },
    /// Not enough room.
    #[error(transparent)]
    Room(#[from] NoRoom),
    /// The system refuses.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A base of another product.
    #[error("the base is {base}, the lock is of {this}: nothing of one can be left out of the other")]
    OtherProduct {
        /// The base's product and channel.
        base: String,
        /// The lock's.
        this: String,
    },
    /// A base that is as new as the lock, or newer.
    #[error(
        "the base has serial {base}, the lock {this}: a site that has the base takes no other bundle of that serial or a lower one"
    )]
    Serial {
        /// The base's.
        base: u64,
        /// The lock's.
        this: u64,
    },
    /// Making blobs compact failed.
    #[error("can't make the blobs compact")]
    Compact(#[source] CacheError),
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl PackError {
    /// With exit code and hints.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Write(error) => error.into(),
            Self::Exists { .. } => {
                Failure::of(ExitCode::Input, &self).hint("give another -o, or --force to replace it")
            }
            Self::Missing { .. } => Failure::of(ExitCode::Input, &self)
                .hint("run `ferry-bundle fetch` with the same lock and --store first"),
            Self::OtherProduct { .. } => {
                Failure::of(ExitCode::Input, &self).hint("give an earlier lock or bundle of this product")
            }
            Self::Serial { .. } => Failure::of(ExitCode::Input, &self)
                .hint("make the lock again with `ferry-bundle make --since`: its serial counts on from the base's"),
            Self::Room(_) => Failure::of(ExitCode::Machine, &self)
                .hint("free some space or write to another disk; nothing has been written"),
            Self::Compact(CacheError::Make(MakeError::Read { .. } | MakeError::Find { .. })) => {
                Failure::of(ExitCode::Machine, &self).hint("run `ferry-bundle fetch` first, with the same --store")
            }
            Self::Compact(_) | Self::Busy { .. } | Self::Io { .. } => Failure::of(ExitCode::Machine, &self),
        }
    }
}
