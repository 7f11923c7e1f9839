//! One pair of layers through the code that `make` uses: stored alone, stored against the older one, and made again from both.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ferry_bundle_format::archive::Region;
use ferry_bundle_format::compact::{Limits, Older, Rebuilder, StoredBlob, gzip_as_go, make};
use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::index::Extent;

use super::{Failure, Pair};

/// What became of a newer layer. Sizes in bytes, times in seconds of the clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Its plain bytes; 0 where it stays as it is.
    pub plain: u64,
    /// Its gzip: what everybody else carries.
    pub gzip: u64,
    /// As a compact bundle stores it.
    pub full: u64,
    /// As an upgrade package stores it.
    pub upgrade: u64,
    /// To make it for the compact bundle, search for the recipe and proof included.
    pub making: f64,
    /// To make it for the upgrade package.
    pub making_upgrade: f64,
    /// To make the gzip again from what the upgrade package holds (where that leans on nothing: the compact bundle).
    pub again: f64,
}

/// A layer as a registry holds it.
struct Layer {
    blob: Extent,
    source: StoredBlob,
}

/// A layer's gzip, or a tar, which is put under gzip as Go does at its default level.
fn layer(path: &Path) -> Result<Layer, Failure> {
    let unreadable = |error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(unreadable)?;
    let mut start = [0; 2];
    file.read_exact_at(&mut start, 0).map_err(unreadable)?;
    if start != [0x1f, 0x8b] {
        let gzip = gzip_as_go(&std::fs::read(path).map_err(unreadable)?, 6);
        file = tempfile::tempfile()?;
        file.write_all_at(&gzip, 0)?;
    }
    let file = Arc::new(file);
    let whole = Region::new(file.clone(), 0, file.metadata()?.len());
    let (digest, size) = digest_reader(whole.reader())?;
    Ok(Layer { blob: Extent { digest, size }, source: whole.into() })
}

/// What is stored of a layer, its plain bytes, and the seconds to make it and to make the gzip of it again.
fn stored(layer: &Layer, older: Option<&Older>) -> Result<(u64, u64, f64, f64), Failure> {
    let out: File = tempfile::tempfile()?;
    let start = Instant::now();
    let made = make(layer.blob, &layer.source, older, Limits::default(), &out)?;
    let making = start.elapsed().as_secs_f64();
    let Some(made) = made else { return Ok((layer.blob.size, 0, making, 0.0)) };
    let (plain, start) = (made.how.plain.size, Instant::now());
    let region = Region::new(Arc::new(out), 0, made.stored.size);
    Rebuilder::new(region, made.how, older.map(|older| older.source.clone()))?.check(|_| {})?;
    Ok((made.stored.size, plain, making, start.elapsed().as_secs_f64()))
}

/// Stores the newer layer of a pair both ways.
pub fn measure(pair: &Pair) -> Result<Figures, Failure> {
    let (old, new) = (layer(&pair.old)?, layer(&pair.new)?);
    let (full, plain, making, mut again) = stored(&new, None)?;
    let older = Older { blob: old.blob, source: old.source };
    let (leaning, plain_again, making_upgrade, of_leaning) = stored(&new, Some(&older))?;
    if leaning <= full && of_leaning > 0.0 {
        again = of_leaning;
    }
    let upgrade = leaning.min(full);
    Ok(Figures { plain: plain.max(plain_again), gzip: new.blob.size, full, upgrade, making, making_upgrade, again })
}
