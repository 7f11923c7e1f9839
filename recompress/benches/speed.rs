//! How fast blobs are made again, in MB of plain bytes per second on one core. Prints, asserts nothing.
//!
//! Without arguments it takes the generated inputs of the tests; a file named in `FERRY_BENCH_TAR` is taken instead.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/exact/inputs.rs"]
#[expect(dead_code, reason = "only some of the inputs are long enough to measure")]
mod inputs;

use std::time::Instant;

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode};

fn main() {
    let inputs = match std::env::var_os("FERRY_BENCH_TAR") {
        Some(path) => vec![("file", std::fs::read(path).expect("the file named in FERRY_BENCH_TAR"))],
        None => vec![("prose", inputs::prose(16 << 20, 1)), ("records", inputs::records(16 << 20, 1))],
    };
    for (name, plain) in &inputs {
        for encoder in EncoderId::ALL {
            for level in (-2..=9).filter(|level| encoder.has_level(*level)) {
                let recipe = Recipe { encoder, level, writes: Writes::TarEntries, header: GzipHeader::of_go(level) };
                let start = Instant::now();
                let made = encode(&recipe, &plain[..], std::io::sink()).expect("memory does not fail");
                let seconds = start.elapsed().as_secs_f64();
                let rate = made.plain as f64 / 1e6 / seconds;
                let share = 100.0 * made.gzip as f64 / made.plain as f64;
                println!("{name:8} {} level {level:2}: {rate:7.1} MB/s plain, gzip {share:5.1} %", encoder.name());
            }
        }
    }
}
