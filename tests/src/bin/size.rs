//! How small layers become: `size OLD.tar NEW.tar [OLD.tar NEW.tar …]`, each pair the same layer of two adjacent versions.
//! Each tar is put under the gzip of Go, as BuildKit does; then stored compact, and against its older version. Prints the
//! sums beside what the issue asks for (0.75 of the gzip sum, 0.15 of the changed layers), and how fast; asserts nothing.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::compact::{Limits, Made, Older, Rebuilder, StoredBlob, gzip_as_go, make};
use ferry_bundle_format::index::Extent;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn say(text: &str) {
    println!("{text}");
}

/// A layer as a registry holds it.
struct Layer {
    blob: Extent,
    source: StoredBlob,
    plain: u64,
}

fn layer(tar: &Path, level: i8) -> Result<Layer, Failure> {
    let plain = std::fs::read(tar)?;
    let gzip = gzip_as_go(&plain, level);
    let file = tempfile::tempfile()?;
    std::os::unix::fs::FileExt::write_all_at(&file, &gzip, 0)?;
    let blob = Extent { digest: Digest::of(&gzip), size: gzip.len() as u64 };
    Ok(Layer { blob, source: Region::new(Arc::new(file), 0, blob.size).into(), plain: plain.len() as u64 })
}

/// What is stored of a layer, and the seconds to make it and to make the blob of it again.
fn stored(layer: &Layer, older: Option<&Older>) -> Result<(u64, f64, f64), Failure> {
    let out: File = tempfile::tempfile()?;
    let start = Instant::now();
    let made: Option<Made> = make(layer.blob, &layer.source, older, Limits::default(), &out)?;
    let making = start.elapsed().as_secs_f64();
    let Some(made) = made else { return Ok((layer.blob.size, making, 0.0)) };
    let start = Instant::now();
    let region = Region::new(Arc::new(out), 0, made.stored.size);
    Rebuilder::new(region, made.how, older.map(|older| older.source.clone()))?.check(|_| {})?;
    Ok((made.stored.size, making, start.elapsed().as_secs_f64()))
}

fn part(of: u64, whole: u64) -> String {
    let tenths = u128::from(of) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn run() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() || !arguments.len().is_multiple_of(2) {
        return Err("size OLD.tar NEW.tar [OLD.tar NEW.tar …]".into());
    }
    let level = 6;
    say(
        "layer                       plain MB   gzip MB   alone MB   of gzip   against older MB   of gzip   make, again s",
    );
    let (mut gzip, mut full, mut changed) = (0, 0, 0);
    for pair in arguments.chunks_exact(2) {
        let (old, new) = (layer(Path::new(&pair[0]), level)?, layer(Path::new(&pair[1]), level)?);
        let (alone, making, again) = stored(&new, None)?;
        let older = Older { blob: old.blob, source: old.source };
        let (leaning, ..) = stored(&new, Some(&older))?;
        let leaning = leaning.min(alone);
        let name = Path::new(&pair[1]).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mega = |bytes: u64| format!("{}.{:02}", bytes / 1_000_000, bytes % 1_000_000 / 10_000);
        say(&format!(
            "{name:<26} {:>9} {:>9} {:>10} {:>9} {:>18} {:>9}   {making:.1}, {again:.1}",
            mega(new.plain),
            mega(new.blob.size),
            mega(alone),
            part(alone, new.blob.size),
            mega(leaning),
            part(leaning, new.blob.size)
        ));
        gzip += new.blob.size;
        full += alone;
        changed += leaning;
    }
    say(&format!("full: {} of the gzip sum (asked for: at most 75 %)", part(full, gzip)));
    say(&format!("upgrade: {} of the changed layers (asked for: at most 15 %)", part(changed, gzip)));
    Ok(())
}
