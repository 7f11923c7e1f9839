//! `pack`: a lock and the store become one signed bundle.

use std::path::{Path, PathBuf};

use ferry_bundle_format::assemble::{SignedBundle, UnsignedBundle};
use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::index::Index;

use super::fetch::StoreArgs;
use super::lock::{check_names, read};
use super::storage::{StorageArgs, packed};
use crate::cli::{Context, SigningArgs, seal};
use crate::event::Event;
use crate::failure::Failure;
use crate::pack::{self, Stock};

/// Flags of `pack`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  ferry-bundle pack site.lock.yaml -o site-1.0.ferry --sign release.key")]
pub struct Args {
    /// The lock.
    pub lock: PathBuf,
    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// Accepted for symmetry with fetch and make: packing is one stream, its bytes never depend on this.
    #[arg(long, short, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How blobs are stored.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// Who signs.
    #[command(flatten)]
    pub signing: SigningArgs,
}

/// Packs.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let lock = read(&args.lock)?;
    check_names(&lock, context)?;
    let keys = args.signing.open()?;
    let full = seal(UnsignedBundle::of(&lock)?, &keys, context);
    let store = args.store.open()?;
    let _held = args.storage.is_packed().then(|| store.lock()).transpose()?;
    let (bundle, stock) = if args.storage.is_packed() {
        let against = args.storage.against(&lock, &store, context)?;
        packed(&lock, &full, &keys, &store, &against, context)?
    } else {
        (full, Stock::verbatim(&store))
    };
    if pack::is_there(&bundle, &args.output)? {
        context
            .reporter
            .event(&Event::Note { text: "it is there already; `ferry-bundle verify` checks its content".into() });
        finish(context, &args.output, &bundle);
        return Ok(());
    }
    pack::pack(&bundle, &stock, &args.output, args.force, context.reporter.as_ref())?;
    finish(context, &args.output, &bundle);
    Ok(())
}

pub(super) fn finish(context: &Context, path: &Path, bundle: &SignedBundle) {
    written(context, path, bundle.index(), bundle.length());
}

/// What was written, for people and machines.
pub(super) fn written(context: &Context, path: &Path, index: &Index, length: u64) {
    let text = format!(
        "{}: {} {} serial {}, {} artifacts, {}",
        path.display(),
        index.product.name,
        index.product.version,
        index.serial,
        index.artifacts.len(),
        human_size(length)
    );
    let data = serde_json::json!({ "bundle": path, "serial": index.serial, "bytes": length, "lock": index.lock });
    context.reporter.event(&Event::Result { text, data });
}
