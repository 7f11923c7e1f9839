//! Packing: a lock and its blobs become one file.
//!
//! [`pack`] streams from a store. [`Direct`] is the archive itself as a fetch target: every blob is written
//! straight to its place. Both write under a temporary name and rename when all is verified and synced.

mod direct;
mod error;
mod output;

use std::io::BufWriter;
use std::path::Path;

use ferry_bundle_format::assemble::SignedBundle;
use ferry_bundle_format::store::Store;
use ferry_bundle_format::write::write;

use crate::event::{Event, Reporter};

pub use direct::Direct;
pub use error::PackError;
pub use output::{Output, is_there};

/// Writes `bundle` to `path` from the blobs of `store`. An existing file is replaced only if `force` is set.
pub fn pack(
    bundle: &SignedBundle,
    store: &Store,
    path: &Path,
    force: bool,
    reporter: &dyn Reporter,
) -> Result<(), PackError> {
    let output = Output::claim(path, force)?;
    let missing: Vec<_> =
        bundle.places().into_iter().filter(|(digest, place)| store.size(digest) != Some(place.size)).collect();
    if !missing.is_empty() {
        let bytes = missing.iter().map(|(_, place)| place.size).sum();
        return Err(PackError::Missing {
            count: missing.len(),
            bytes,
            first: missing[0].0,
            store: store.root().to_owned(),
        });
    }
    output.check_space(bundle.length())?;
    let length = bundle.length();
    reporter.event(&Event::Phase { name: "pack", detail: path.display().to_string(), bytes: Some(length) });
    let file = output.create()?;
    let mut writer = BufWriter::with_capacity(1024 * 1024, &file);
    let result =
        write(bundle, |digest| store.reader(digest), &mut writer, |bytes| reporter.event(&Event::Moved { bytes }));
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
