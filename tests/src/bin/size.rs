//! How small layers become. `size --fetch [FOLDER]` downloads Debian's packages and builds Go's programs in two adjacent versions,
//! makes layers of them with the gzip of Go, stores them compact and against their older version, and prints the table
//! beside what is asked for. `size OLD NEW [OLD NEW …]` does the same with layers at hand (tars, or their gzip).
//!
//! `--fetch` needs `apt-get`, `dpkg-deb`, `tar` and `go`, a Debian with its security suite, and a network. Asserts nothing.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tests::size::{Failure, Kind, Pair, Table, fetch, measure};

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

fn pairs() -> Result<Vec<Pair>, Failure> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [flag] if flag == Path::new("--fetch") => fetch(Path::new("target/size"), say),
        [flag, folder] if flag == Path::new("--fetch") => fetch(folder, say),
        given if !given.is_empty() && given.len().is_multiple_of(2) => {
            Ok(given.chunks_exact(2).map(given_pair).collect())
        }
        _ => Err("size --fetch [FOLDER] | size OLD NEW [OLD NEW …]".into()),
    }
}

fn given_pair(pair: &[PathBuf]) -> Pair {
    Pair {
        name: pair[1].file_name().unwrap_or_default().to_string_lossy().into_owned(),
        kind: Kind::Given,
        changed: String::new(),
        old: pair[0].clone(),
        new: pair[1].clone(),
    }
}

fn run() -> Result<(), Failure> {
    let pairs = pairs()?;
    for pair in pairs.iter().filter(|pair| !pair.changed.is_empty()) {
        say(&format!("- {}: {}", pair.name, pair.changed));
    }
    say(&format!("\n{}", Table::head()));
    let mut table = Table::default();
    for pair in &pairs {
        let figures = measure(pair)?;
        say(&table.add(&pair.name, pair.kind, figures));
    }
    say(&table.sums());
    Ok(())
}
