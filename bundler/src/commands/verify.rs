//! `verify`: every numbered step, every byte.

use std::path::PathBuf;

use ferry_bundle_format::documents::human_size;

use crate::cli::{BaseArgs, Context, TrustArgs, processors};
use crate::event::{Event, StepsTo};
use crate::failure::Failure;

/// Flags of `verify`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle verify site-1.0.ferry --trust release.pub\n  ferry-bundle verify site-1.0.ferry --trust a.pub --trust b.pub --threshold 2 --state seen.json"
)]
pub struct Args {
    /// The bundle.
    pub bundle: PathBuf,
    /// What an upgrade package is applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How many threads read and hash; one for each processor if nothing is said.
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
}

/// Verifies.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let trusted = args.base.attach(args.trust.open(&args.bundle, context)?, &args.trust)?;
    let detail = args.bundle.display().to_string();
    context.reporter.event(&Event::Phase { name: "verify", detail, bytes: Some(trusted.length()) });
    let jobs = args.jobs.unwrap_or_else(processors);
    let verified = trusted.verify(jobs, &StepsTo(context.reporter.as_ref()))?;
    args.trust.remember(&verified)?;
    let (index, assurance) = (verified.index(), verified.assurance().describe());
    let text = format!(
        "OK: {} {} (channel {}, serial {}), {} artifacts, {}\n    {assurance}\n    bundle {}",
        index.product.name,
        index.product.version,
        index.product.channel,
        index.serial,
        index.artifacts.len(),
        human_size(verified.length()),
        verified.id()
    );
    let data = serde_json::json!({ "id": verified.id(), "serial": index.serial, "trusted": verified.assurance().is_trusted(), "assurance": assurance });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
}
