//! How fast blobs are made again, in MB of plain bytes per second of processor time. Prints, asserts nothing.
//!
//! Processor time, because the machine is seldom idle; Linux only. Without arguments it takes the generated inputs of the tests; a file named in `FERRY_BENCH_TAR` is taken instead.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/exact/inputs.rs"]
#[expect(dead_code, reason = "only some of the inputs are long enough to measure")]
mod inputs;

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode};

fn main() {
    let only: Option<i8> = std::env::var("FERRY_BENCH_LEVEL").ok().and_then(|level| level.parse().ok());
    let inputs = match std::env::var_os("FERRY_BENCH_TAR") {
        Some(path) => vec![("file", std::fs::read(path).expect("the file named in FERRY_BENCH_TAR"))],
        None => vec![("prose", inputs::prose(16 << 20, 1)), ("records", inputs::records(16 << 20, 1))],
    };
    for (name, plain) in &inputs {
        for encoder in EncoderId::ALL {
            for level in (-2..=9).filter(|level| encoder.has_level(*level) && only.is_none_or(|only| only == *level)) {
                let recipe = Recipe { encoder, level, writes: Writes::TarEntries, header: GzipHeader::of_go(level) };
                let start = on_processor();
                let made = encode(&recipe, &plain[..], std::io::sink()).expect("memory does not fail");
                let seconds = on_processor() - start;
                let rate = count(made.plain) / 1e6 / seconds;
                let share = 100.0 * count(made.gzip) / count(made.plain);
                println!("{name:8} {} level {level:2}: {rate:7.1} MB/s plain, gzip {share:5.1} %", encoder.name());
            }
        }
    }
}

/// How long this thread has been on a processor, in seconds.
fn on_processor() -> f64 {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells the processor time");
    let nanoseconds: f64 = times.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    nanoseconds / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a count of bytes of a benchmark")]
fn count(bytes: u64) -> f64 {
    bytes as f64
}
