//! How blobs are stored in the bundle that `pack` and `make` write: as they are, or compact.

use ferry_bundle_format::assemble::{SignedBundle, UnsignedBundle};
use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::store::Store;

use crate::cli::{Context, processors, resign};
use crate::failure::Failure;
use crate::pack::{Against, Stock};

/// How blobs are stored.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// verbatim: every blob as it is, as fast as the disk. compact: layers smaller by a quarter or more, and slower to
    /// make and to bring in; their digests stay. Full bundles are verbatim and upgrade packages compact if nothing is said.
    #[arg(long, value_name = "HOW")]
    pub storage: Option<Storage>,
}

/// Verbatim or compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// Every blob as it is.
    Verbatim,
    /// Layers as plain bytes under zstd, made again on site.
    Compact,
}

impl StorageArgs {
    /// Whether layers are to be stored compact.
    #[must_use]
    pub fn is_compact(&self) -> bool {
        self.storage == Some(Storage::Compact)
    }
}

/// The bundle of `lock` with blobs made compact, signed as `full` was, and where its bytes are. The store must be held.
pub(super) fn packed<'a>(
    lock: &Lock,
    full: &SignedBundle,
    keys: &[SecretKey],
    store: &'a Store,
    against: &Against,
    context: &Context,
) -> Result<(SignedBundle, Stock<'a>), Failure> {
    let (stock, packing) = Stock::compact(store, full, against, processors(), context.reporter.as_ref())?;
    Ok((resign(UnsignedBundle::packed(lock, &packing)?, keys), stock))
}
