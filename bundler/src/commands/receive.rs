//! `receive`: volumes become the file again, in as many rounds as it takes.

use std::path::PathBuf;
use std::time::Duration;

use ferry_bundle_format::volume::custody::Custody;
use ferry_bundle_format::volume::receive::{Order, Receiver, Round};
use ferry_bundle_format::volume::say;

use super::split::beside;
use crate::cli::{Context, processors};
use crate::event::Event;
use crate::failure::{ExitCode, Failure};

/// Flags of `receive`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle receive /media/disc -o site-1.0.ferry     # again for each disc, in any order\n  ferry-bundle receive /srv/drop --watch -o site-1.0.ferry\nExit code 15: something is still missing; the code that is printed says what."
)]
pub struct Args {
    /// Folders (or files) with volumes. They may be read-only; names do not matter.
    #[arg(required = true, value_name = "DIR")]
    pub places: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Which set, by the first digits of its id, where there are several.
    #[arg(long, value_name = "ID")]
    pub set: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Keep looking until everything is there.
    #[arg(long)]
    pub watch: bool,
    /// How many seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    pub every: u64,
    /// Keep no copy of good blocks while something is missing: all media must then be there at once.
    #[arg(long)]
    pub no_keep: bool,
    /// The custody log; `FILE.custody.jsonl` if nothing is said.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// How many threads read and hash; one for each processor if nothing is said.
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
}

/// Receives.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let log = args.log.clone().unwrap_or_else(|| beside(&args.output, ".custody.jsonl"));
    let mut log = Custody::open(&log)?;
    let detail = args.output.display().to_string();
    context.reporter.event(&Event::Phase { name: "receive", detail, bytes: None });
    let mut receiver = Receiver::new(Order {
        places: args.places.clone(),
        output: args.output.clone(),
        set: args.set.clone(),
        force: args.force,
        jobs: args.jobs.unwrap_or_else(processors),
        keep: !args.no_keep,
    })?;
    let round = if args.watch { watch(args, &mut receiver, context) } else { once(&mut receiver, context) };
    let round = match round {
        Ok(round) => round,
        Err(failure) => {
            receiver.release();
            return Err(failure);
        }
    };
    say::log_round(&mut log, &round)?;
    let (lines, data) = (say::lines(&round, &args.output), say::data(&round, &args.output));
    context.reporter.event(&Event::Result { text: lines.join("\n"), data });
    match round {
        Round::Received { .. } => Ok(receiver.clear()?),
        Round::Incomplete { set, code, .. } => {
            receiver.release();
            Err(Failure::new(ExitCode::Incomplete, format!("{} is not complete yet", set.name))
                .hint("run the same command with the next media: what is good is kept")
                .hint(format!("or have it sent again: ferry-bundle resend {code} --from FOLDER -o NEW-FOLDER")))
        }
    }
}

fn once(receiver: &mut Receiver, context: &Context) -> Result<Round, Failure> {
    let passed = |bytes| context.reporter.event(&Event::Moved { bytes });
    Ok(receiver.round(&passed)?)
}

/// Looks until everything is there. What may pass (a disc that is being changed) is told and waited out.
fn watch(args: &Args, receiver: &mut Receiver, context: &Context) -> Result<Round, Failure> {
    let mut told = String::new();
    loop {
        let passed = |bytes| context.reporter.event(&Event::Moved { bytes });
        let lines = match receiver.round(&passed) {
            Ok(round @ Round::Received { .. }) => return Ok(round),
            Ok(Round::Incomplete { picture, code, .. }) => {
                let mut lines = picture.lines(say::FINDINGS);
                lines.push(format!("  still to come, at least: code {code}"));
                let picture = serde_json::to_value(&picture).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
                (lines, picture)
            }
            Err(error) if error.may_pass() => (vec![format!("waiting: {error}")], serde_json::Value::Null),
            Err(error) => return Err(error.into()),
        };
        let text = lines.0.join("\n");
        if text != told {
            context.reporter.event(&Event::Picture { text: text.clone(), picture: lines.1 });
            told = text;
        }
        std::thread::sleep(Duration::from_secs(args.every.max(1)));
    }
}
