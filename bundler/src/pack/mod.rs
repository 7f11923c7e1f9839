//! Packing: a lock and its blobs become one file.
//!
//! [`pack`] streams from a store. [`Direct`] is the archive itself as a fetch target: every blob is written
//! straight to its place. Both write under a temporary name and rename when all is verified and synced.

mod compact;
mod direct;
mod error;
mod output;
mod since;

use std::io::BufWriter;
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::assemble::{Place, SignedBundle};
use ferry_bundle_format::store::Store;
use ferry_bundle_format::write::write;

use crate::event::{Event, Reporter};

pub use compact::{Against, Stock};
pub use direct::Direct;
pub use error::PackError;
pub use output::{Output, is_there};
pub use since::{Replaced, Since, against, check as check_bases, following, replaced, wanting};

/// Writes `bundle` to `path` from `stock`. An existing file is replaced only if `force` is set.
pub fn pack(
    bundle: &SignedBundle,
    stock: &Stock<'_>,
    path: &Path,
    force: bool,
    reporter: &dyn Reporter,
) -> Result<(), PackError> {
    let output = Output::claim(path, force)?;
    missing(stock.store(), bundle.places().into_iter().filter(|(digest, _)| !stock.has_made(digest)))?;
    output.check_space(bundle.length())?;
    let length = bundle.length();
    reporter.event(&Event::Phase { name: "pack", detail: path.display().to_string(), bytes: Some(length) });
    let file = output.create()?;
    let mut writer = BufWriter::with_capacity(1024 * 1024, &file);
    let result = write(bundle, |entry| stock.open(entry), &mut writer, |bytes| reporter.event(&Event::Moved { bytes }));
    drop(writer);
    match result {
        Ok(()) => output.publish(&file),
        Err(error) => {
            // What is half written helps nobody: packing from a store has nothing to resume.
            output.discard();
            Err(error.into())
        }
    }
}

/// Whether the store has all of these blobs.
fn missing(store: &Store, needed: impl Iterator<Item = (Digest, Place)>) -> Result<(), PackError> {
    let missing: Vec<_> = needed.filter(|(digest, place)| store.size(digest) != Some(place.size)).collect();
    let Some((first, _)) = missing.first() else { return Ok(()) };
    let bytes = missing.iter().map(|(_, place)| place.size).sum();
    Err(PackError::Missing { count: missing.len(), bytes, first: *first, store: store.root().to_owned() })
}
