//! `fsync`: how long a disk takes to keep what etcd writes: 2,300-byte appends, each followed by fdatasync.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Verdict;
use crate::arguments::Arguments;
use crate::json::Line;

/// 22 MiB in 2,300-byte writes: what the etcd documentation tells fio to do.
const BYTES: u64 = 22 << 20;
const BLOCK: u64 = 2300;
/// No disk needs longer to be judged: what was written by then is enough. A disk that keeps a write in less than a
/// millisecond does all of them before; of a slower one there are a thousand by then at 10 ms each, the limit that it is judged by.
const LONGEST: Duration = Duration::from_secs(10);
/// Nor do so many writes in so much time need more to follow: twenty of them are slower than the one by which the disk is
/// judged, the 99th of a hundred.
const ENOUGH: (usize, Duration) = (2000, Duration::from_secs(3));

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let bytes = arguments.option("--bytes")?.unwrap_or(BYTES);
    let block = arguments.option("--block")?.unwrap_or(BLOCK).clamp(1, 1 << 20);
    let folder = arguments.required("a folder")?;
    arguments.end()?;
    let measured = measure(Path::new(&folder), bytes, block);
    let line = Line::new().text("folder", &folder).outcome(&measured);
    match &measured {
        Ok(times) => {
            let part = |thousandth: usize| times[(times.len() - 1) * thousandth / 1000];
            let line = line.number("writes", times.len() as u128).milliseconds("p50_ms", part(500));
            line.milliseconds("p99_ms", part(990)).milliseconds("max_ms", part(1000)).print();
        }
        Err(_) => line.print(),
    }
    Ok(measured.is_ok())
}

/// The times of all writes, sorted; never none.
fn measure(folder: &Path, bytes: u64, block: u64) -> std::io::Result<Vec<Duration>> {
    let path = folder.join(format!(".ferry-fsync-{}", std::process::id()));
    // One that is there already is somebody else's: it is neither written nor removed.
    let file = File::create_new(&path)?;
    let measured = write(file, bytes, block);
    let removed = fs::remove_file(&path);
    let mut times = measured?;
    removed?;
    times.sort_unstable();
    Ok(times)
}

fn write(mut file: File, bytes: u64, block: u64) -> std::io::Result<Vec<Duration>> {
    let content = vec![0x5A; usize::try_from(block).unwrap_or_default()];
    let begin = Instant::now();
    let mut times = Vec::new();
    for _ in 0..(bytes / block).max(1) {
        let one = Instant::now();
        file.write_all(&content)?;
        file.sync_data()?;
        times.push(one.elapsed());
        let elapsed = begin.elapsed();
        if elapsed > LONGEST || (times.len() >= ENOUGH.0 && elapsed > ENOUGH.1) {
            break;
        }
    }
    Ok(times)
}
