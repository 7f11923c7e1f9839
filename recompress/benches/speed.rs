//! How fast blobs are made again, in MB of plain bytes per second of processor time. Prints, asserts nothing.
//!
//! Processor time, because the machine is seldom idle; Linux only. Without arguments it takes the generated inputs of the tests; a file named in `FERRY_BENCH_TAR` is taken instead.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../tests/exact/inputs.rs"]
#[expect(dead_code, reason = "only some of the inputs are long enough to measure")]
mod inputs;

use std::time::Instant;

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode, encode_parallel, find_recipe};

fn main() {
    let only: Option<i8> = std::env::var("FERRY_BENCH_LEVEL").ok().and_then(|level| level.parse().ok());
    let inputs = match std::env::var_os("FERRY_BENCH_TAR") {
        Some(path) => vec![("file", std::fs::read(path).expect("the file named in FERRY_BENCH_TAR"))],
        None => vec![("prose", inputs::prose(16 << 20, 1)), ("records", inputs::records(16 << 20, 1))],
    };
    for (name, plain) in &inputs {
        for encoder in EncoderId::ALL {
            for level in (-2..=9).filter(|level| encoder.has_level(*level) && only.is_none_or(|only| only == *level)) {
                let recipe = Recipe {
                    encoder,
                    level,
                    writes: Writes::TarEntries,
                    header: GzipHeader::of_go(level),
                    borders: vec![],
                };
                let start = on_processor();
                let made = encode(&recipe, &plain[..], std::io::sink()).expect("memory does not fail");
                let seconds = on_processor() - start;
                let rate = count(made.plain) / 1e6 / seconds;
                let share = 100.0 * count(made.gzip) / count(made.plain);
                println!("{name:8} {} level {level:2}: {rate:7.1} MB/s plain, gzip {share:5.1} %", encoder.name());
            }
        }
        on_two(name, plain);
    }
}

/// One blob on one thread and on two, by the clock and by processor time. Borders come from the search for the recipe.
fn on_two(name: &str, plain: &[u8]) {
    for (encoder, level) in [(EncoderId::GoFlateClassicV1, 6), (EncoderId::KlauspostPgzipV1, 5)] {
        let header = if level == 6 { GzipHeader::of_go(level) } else { GzipHeader::of_pgzip() };
        let recipe = Recipe { encoder, level, writes: Writes::Aligned, header, borders: vec![] };
        let mut blob = Vec::new();
        encode(&recipe, plain, &mut blob).expect("memory does not fail");
        let recipe = find_recipe(|| Ok(&blob[..])).expect("memory does not fail").expect("it was just made");
        let mut alone = 0.0;
        for workers in [1, 2] {
            let (start, before) = (Instant::now(), ticks());
            let made = encode_parallel(&recipe, plain, std::io::sink(), workers).expect("memory does not fail");
            let rate = count(made.plain) / 1e6 / start.elapsed().as_secs_f64();
            let used = ticks() - before;
            alone = if workers == 1 { used } else { alone };
            println!(
                "{name:8} {} level {level}, {workers} threads, {} borders: {rate:.1} MB/s plain by the clock; processor time {:.3} of one thread's",
                encoder.name(),
                recipe.borders.len(),
                used / alone
            );
        }
    }
}

/// How long all threads of this process have been on a processor, those that ended included, in the system's ticks.
fn ticks() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux tells the processor time");
    let behind_name = stat.rsplit(')').next().expect("the fields behind the name");
    behind_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().expect("a number")).sum()
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
