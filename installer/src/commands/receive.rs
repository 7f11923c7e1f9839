//! `receive`: the volumes that came through a gate become the bundle again, in as many rounds as it takes. The engine is the
//! bundle format's; `ferry-bundle` has the same verb.

use std::path::PathBuf;
use std::time::Duration;

use ferry_bundle_format::volume::custody::Custody;
use ferry_bundle_format::volume::receive::{Order, Receiver, Round};
use ferry_bundle_format::volume::say;

use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::show;

/// Put the volumes of a bundle together again: any order, damaged, in several rounds.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders (or files) with volumes. They may be read-only; names do not matter.
    #[arg(required = true, value_name = "DIR")]
    places: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Which set, by the first digits of its id, where there are several.
    #[arg(long, value_name = "ID")]
    set: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
    /// Keep looking until everything is there.
    #[arg(long)]
    watch: bool,
    /// How many seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    every: u64,
    /// Keep no copy of good blocks while something is missing: all media must then be there at once.
    #[arg(long)]
    no_keep: bool,
    /// The custody log; FILE.custody.jsonl if nothing is said.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// Runs it.
pub(crate) fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let log = arguments.log.clone().unwrap_or_else(|| {
        let mut name = arguments.output.file_name().unwrap_or_default().to_owned();
        name.push(".custody.jsonl");
        arguments.output.with_file_name(name)
    });
    let mut log = Custody::open(&log)?;
    let mut receiver = Receiver::new(Order {
        places: arguments.places.clone(),
        output: arguments.output.clone(),
        set: arguments.set.clone(),
        force: arguments.force,
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        keep: !arguments.no_keep,
    })?;
    let mut told = String::new();
    let round = loop {
        let lines = match receiver.round(&|_| ()) {
            Ok(Round::Incomplete { picture, code, .. }) if arguments.watch => {
                picture.lines(say::FINDINGS).join("\n") + &format!("\n  still to come, at least: code {code}")
            }
            Err(error) if arguments.watch && error.may_pass() => format!("waiting: {error}"),
            Ok(round) => break round,
            Err(error) => {
                receiver.release();
                return Err(error.into());
            }
        };
        if lines != told {
            show::aside(&lines);
            told = lines;
        }
        std::thread::sleep(Duration::from_secs(arguments.every.max(1)));
    };
    say::log_round(&mut log, &round)?;
    if common.json {
        show::text(&format!("{}\n", say::data(&round, &arguments.output)));
    } else {
        show::text(&(say::lines(&round, &arguments.output).join("\n") + "\n"));
    }
    match round {
        Round::Received { .. } => {
            receiver.clear()?;
            Ok(ExitCode::Success)
        }
        Round::Incomplete { .. } => {
            receiver.release();
            Ok(ExitCode::Incomplete)
        }
    }
}
