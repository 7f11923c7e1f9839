//! `show`: what is in a bundle. Reads the envelope only.

use std::path::PathBuf;

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::open::{Silent, TrustedBundle, UnverifiedBundle};
use ferry_bundle_format::trust::TrustPolicy;

use crate::cli::{Context, TrustArgs};
use crate::event::Event;
use crate::failure::Failure;

/// Flags of `show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle show site-1.0.ferry --trust release.pub    # without a key it says so in its first line"
)]
pub struct Args {
    /// The bundle.
    pub bundle: PathBuf,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Also list every member with size, place and digest.
    #[arg(long)]
    pub members: bool,
}

/// Shows.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let bundle = open(args)?;
    let index = bundle.index();
    let total: u64 = index.entries.iter().map(|entry| entry.size).sum();
    let mut lines = vec![
        format!(
            "{} {} (channel {}, serial {}, locked {})",
            index.product.name, index.product.version, index.product.channel, index.serial, index.created
        ),
        format!("trust: {}", bundle.assurance().describe()),
        format!(
            "{} in {} members, for {}",
            human_size(total),
            index.entries.len(),
            index.arches.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", ")
        ),
        format!("lock {}", index.lock),
        String::new(),
    ];
    for artifact in &index.artifacts {
        let mut arches: Vec<_> = artifact.platforms.keys().cloned().collect();
        arches.extend(artifact.arch.map(|arch| arch.to_string()));
        lines.push(format!(
            "{:<6} {:>10}  {:<14} {}",
            artifact.kind,
            human_size(artifact.size),
            arches.join(","),
            artifact.name
        ));
    }
    if args.members {
        lines.push(String::new());
        lines.extend(
            index.entries.iter().map(|entry| format!("{:>12} {:>14}  {}", entry.size, entry.offset, entry.name)),
        );
    }
    let data = serde_json::json!({ "trusted": bundle.assurance().is_trusted(), "assurance": bundle.assurance().describe(), "index": index });
    context.reporter.event(&Event::Result { text: lines.join("\n"), data });
    Ok(())
}

fn open(args: &Args) -> Result<TrustedBundle, Failure> {
    let policy = if args.trust.is_configured() {
        args.trust.policy()?
    } else {
        // To look is allowed to everybody; the second line says that nobody was trusted.
        TrustPolicy { insecure_unsigned: true, ..TrustPolicy::default() }
    };
    Ok(UnverifiedBundle::open(&args.bundle)?.trust(&policy, &Silent)?)
}
