//! `apply`: an upgrade package and its base, or a compact bundle alone, become the full bundle with every blob as it is.

use std::path::PathBuf;

use ferry_bundle_format::open::expand;

use super::pack::written;
use crate::cli::{BaseArgs, Context, TrustArgs, processors};
use crate::event::{Event, StepsTo};
use crate::failure::Failure;
use crate::pack::Output;

/// Flags of `apply`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle apply upgrade-1.1.ferry --base site-1.0.ferry -o site-1.1.ferry --trust release.pub\n  ferry-bundle apply compact.ferry -o verbatim.ferry --trust release.pub"
)]
pub struct Args {
    /// The upgrade package, or a compact bundle.
    pub package: PathBuf,
    /// What it is applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// The bundle to write: the same bytes that its maker would have written in full.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How many threads verify; one for each processor if nothing is said.
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
}

/// Applies.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let package = args.base.attach(args.trust.open(&args.package, context)?, &args.trust)?;
    package.check_bases()?;
    let output = Output::claim(&args.output, args.force)?;
    let detail = args.output.display().to_string();
    context.reporter.event(&Event::Phase { name: "apply", detail, bytes: None });
    let file = output.create()?;
    let (jobs, steps) = (args.jobs.unwrap_or_else(processors), StepsTo(context.reporter.as_ref()));
    let expanded = expand(&package, &args.trust.policy()?, &file, output.temporary(), jobs, &steps);
    let full = match expanded {
        Ok(full) => full,
        Err(error) => {
            // What is half written helps nobody, and must not be taken for the bundle.
            output.discard();
            return Err(error.into());
        }
    };
    output.publish(&file)?;
    args.trust.remember(&full)?;
    written(context, &args.output, full.index(), full.length());
    Ok(())
}
