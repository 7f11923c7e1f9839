//! `volume`: writes a known stream of bytes to a volume and, later or elsewhere, compares what is there with it.
//!
//! Byte by byte, with the stream made anew: that finds everything that a digest would, and says where.

use std::fs::{self, File};
use std::io::{BufWriter, Error, Read, Write};
use std::path::Path;
use std::time::Instant;

use crate::Verdict;
use crate::arguments::{Arguments, Misuse};
use crate::json::Line;
use crate::random::Stream;

const NAME: &str = "ferry-volume-test";
const BYTES: u64 = 64 << 20;
const BLOCK: usize = 64 << 10;

pub(crate) fn run(mut arguments: Arguments) -> Verdict {
    let bytes: u64 = arguments.option("--bytes")?.unwrap_or(BYTES);
    let seed: u64 = arguments.option("--seed")?.unwrap_or(1);
    let verb = arguments.required("write or check")?;
    let folder = arguments.required("a folder")?;
    arguments.end()?;
    let path = Path::new(&folder).join(NAME);
    let begin = Instant::now();
    let done = match verb.as_str() {
        "write" => write(&path, bytes, seed),
        "check" => check(&path, bytes, seed),
        other => return Err(Misuse(format!("volume {other} is not known"))),
    };
    let line = Line::new().text("verb", &verb).text("file", path.display().to_string()).number("bytes", bytes);
    line.outcome(&done).milliseconds("ms", begin.elapsed()).print();
    Ok(done.is_ok())
}

fn write(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    blocks(bytes, seed, |block| file.write_all(block))?;
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    // The entry in the folder has to be kept, too.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn check(path: &Path, bytes: u64, seed: u64) -> std::io::Result<()> {
    let length = fs::metadata(path)?.len();
    if length != bytes {
        return Err(Error::other(format!("it has {length} bytes, not {bytes}")));
    }
    let mut file = File::open(path)?;
    let mut found = vec![0; BLOCK];
    let mut at: u64 = 0;
    blocks(bytes, seed, |block| {
        let found = &mut found[..block.len()];
        file.read_exact(found)?;
        if let Some(wrong) = block.iter().zip(found.iter()).position(|(a, b)| a != b) {
            return Err(Error::other(format!("byte {} differs from what was written", at + wrong as u64)));
        }
        at += block.len() as u64;
        Ok(())
    })
}

/// Calls with each block of the stream, the last one shorter.
fn blocks(bytes: u64, seed: u64, mut each: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut stream = Stream::new(seed);
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    while left > 0 {
        stream.fill(&mut block);
        let count = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        each(&block[..count])?;
        left -= count as u64;
    }
    Ok(())
}
