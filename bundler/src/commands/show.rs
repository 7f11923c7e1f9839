//! `show`: what is in a bundle. Reads the envelope only.

use std::path::PathBuf;

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::index::Index;
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
    lines.extend(storage_lines(index));
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

/// What each blob that is stored compact costs and saves, and what the bundle needs from elsewhere.
fn storage_lines(index: &Index) -> Vec<String> {
    let mut packed: Vec<_> = index.entries.iter().filter_map(|entry| Some((entry.size, entry.rebuilt()?))).collect();
    packed.sort_by_key(|(_, how)| (std::cmp::Reverse(how.blob.size), how.blob.digest));
    let (stored, blobs): (u64, u64) =
        packed.iter().fold((0, 0), |sum, (size, how)| (sum.0 + size, sum.1 + how.blob.size));
    let mut lines = Vec::new();
    if !packed.is_empty() {
        lines.push(String::new());
        lines.push(format!(
            "stored compact: {} blobs, {} in {} ({}): {} saved",
            packed.len(),
            human_size(blobs),
            human_size(stored),
            percent(stored, blobs),
            human_size(blobs.saturating_sub(stored))
        ));
    }
    for (size, how) in packed {
        let maker = how.maker();
        let older = how.leans_on.map(|leans| format!(", against sha256:{}", leans.blob.digest.short()));
        lines.push(format!(
            "  sha256:{} {:>10} in {:>10} {:>6}  {maker}{}",
            how.blob.digest.short(),
            human_size(how.blob.size),
            human_size(size),
            percent(size, how.blob.size),
            older.unwrap_or_default()
        ));
    }
    if !index.requires.is_empty() {
        let serials: Vec<String> = index.applies_to.iter().map(u64::to_string).collect();
        let bytes = index.requires.iter().map(|one| one.size).sum();
        lines.push(String::new());
        lines.push(format!(
            "an upgrade package: applies to serial {}, needs {} blobs ({}) that are there",
            serials.join(" or "),
            index.requires.len(),
            human_size(bytes)
        ));
    }
    lines
}

/// A part of a whole for people.
fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn open(args: &Args) -> Result<TrustedBundle, Failure> {
    let policy = if args.trust.is_configured() {
        args.trust.policy()?
    } else {
        // To look is allowed to everybody; the second line says that nobody was trusted.
        TrustPolicy::only_looking()
    };
    Ok(UnverifiedBundle::open(&args.bundle)?.trust(&policy, &Silent)?)
}
