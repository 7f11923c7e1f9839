//! `diff`: what moved between two bundles or locks.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::lock::contents::Contents;
use ferry_bundle_format::lock::{Lock, diff};
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::trust::TrustPolicy;

use super::lock::read;
use crate::cli::{Context, TrustArgs};
use crate::event::Event;
use crate::failure::{self, Failure};

/// Flags of `diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ferry-bundle diff site-1.0.ferry site-1.1.lock.yaml")]
pub struct Args {
    /// The old bundle or lock.
    pub old: PathBuf,
    /// The new bundle or lock.
    pub new: PathBuf,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Compares.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let (old, new) = (lock_of(&args.old, args, context)?, lock_of(&args.new, args, context)?);
    let changes = diff(&old, &new);
    let (before, after) = (Contents::of(&old)?, Contents::of(&new)?);
    let fresh = after.blobs.iter().filter(|(digest, _)| !before.blobs.contains_key(digest));
    let (count, bytes) = fresh.fold((0usize, 0u64), |(count, bytes), (_, blob)| (count + 1, bytes + blob.size));
    let mut lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
    lines.push(format!(
        "{} changes; {count} blobs are new ({} of {})",
        changes.len(),
        human_size(bytes),
        human_size(after.total())
    ));
    let data = serde_json::json!({ "changes": changes.iter().map(ToString::to_string).collect::<Vec<_>>(), "newBlobs": count, "newBytes": bytes });
    context.reporter.event(&Event::Result { text: lines.join("\n"), data });
    Ok(())
}

fn lock_of(path: &Path, args: &Args, context: &Context) -> Result<Lock, Failure> {
    let mut magic = [0; 10];
    let read_magic = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read_magic.map_err(failure::io("read", path))?;
    if &magic != b"README.txt" {
        return read(path);
    }
    let policy = if args.trust.is_configured() { args.trust.policy()? } else { TrustPolicy::only_looking() };
    let bundle = UnverifiedBundle::open(path)?.trust(&policy, &Silent)?;
    if !bundle.assurance().is_trusted() {
        context
            .reporter
            .event(&Event::Warning { text: format!("{}: {}", path.display(), bundle.assurance().describe()) });
    }
    Ok(bundle.lock()?)
}
