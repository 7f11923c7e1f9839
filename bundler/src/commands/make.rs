//! `make`: lock, fetch and pack in one. Without a store every blob goes straight to its
//! place in the bundle; compact storage needs a store, because sizes are known only when all blobs have been worked on.

use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::assemble::{SignedBundle, UnsignedBundle};
use ferry_bundle_format::lock::Lock;

use super::lock::{ResolvingArgs, check_frozen, check_names, folder_of, last, read_manifest, show_changes, write};
use super::pack::finish;
use super::storage::{StorageArgs, packed};
use crate::cli::{Context, NetworkArgs, SigningArgs, seal};
use crate::event::Event;
use crate::failure::{ExitCode, Failure};
use crate::fetch::{Fetcher, StoreTarget};
use crate::pack::{self, Direct, Stock};

/// Flags of `make`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle make manifests/site.yaml -o site-1.0.ferry --sign release.key\n  ferry-bundle make manifests/site.yaml -o site-1.0.ferry --sign release.key --frozen    # exactly what the lock says"
)]
pub struct Args {
    /// The manifest.
    pub manifest: PathBuf,
    /// The bundle to write.
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
    /// How the manifest is resolved.
    #[command(flatten)]
    pub resolving: ResolvingArgs,
    /// Take the lock as it is; fail unless it holds what the manifest asks for.
    #[arg(long)]
    pub frozen: bool,
    /// Bring everything into this store first and pack from there: twice the disk, but the next bundle finds it.
    #[arg(long, value_name = "FOLDER")]
    pub store: Option<PathBuf>,
    /// How blobs are stored.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// Who signs.
    #[command(flatten)]
    pub signing: SigningArgs,
    /// How to reach servers.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Makes.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let keys = args.signing.open()?;
    let path = args.resolving.lock_path(&args.manifest);
    let lock = locked(args, &path, context).await?;
    let bundle = seal(UnsignedBundle::of(&lock)?, &keys, context);
    let compact = args.storage.is_packed();
    if !compact && is_there(&bundle, args, context)? {
        return Ok(());
    }
    let fetcher = Fetcher {
        client: args.network.client(context)?,
        reporter: context.reporter.clone(),
        jobs: args.resolving.jobs,
        base: folder_of(&path),
    };
    if compact {
        let store = super::fetch::StoreArgs { store: args.store.clone() }.open()?;
        let _held = store.lock()?;
        fetcher.fetch(bundle.contents(), Arc::new(StoreTarget(store.clone()))).await?;
        args.storage.bring_older(&lock, &store, &fetcher).await?;
        let against = args.storage.against(&lock, &store, context)?;
        let (bundle, stock) = packed(&lock, &bundle, &keys, &store, &against, context)?;
        if !is_there(&bundle, args, context)? {
            pack::pack(&bundle, &stock, &args.output, args.force, context.reporter.as_ref())?;
            finish(context, &args.output, &bundle);
        }
        return Ok(());
    }
    if let Some(root) = &args.store {
        let store = super::fetch::StoreArgs { store: Some(root.clone()) }.open()?;
        let _held = store.lock()?;
        fetcher.fetch(bundle.contents(), Arc::new(StoreTarget(store.clone()))).await?;
        let stock = Stock::verbatim(&store);
        pack::pack(&bundle, &stock, &args.output, args.force, context.reporter.as_ref())?;
    } else {
        let target = Arc::new(Direct::begin(&bundle, &args.output, args.force)?);
        fetcher.fetch(bundle.contents(), target.clone()).await?;
        target.publish()?;
    }
    finish(context, &args.output, &bundle);
    Ok(())
}

/// Whether the bundle is there already; says so.
fn is_there(bundle: &SignedBundle, args: &Args, context: &Context) -> Result<bool, Failure> {
    let there = pack::is_there(bundle, &args.output)?;
    if there {
        let text = "it is there already; `ferry-bundle verify` checks its content".into();
        context.reporter.event(&Event::Note { text });
        finish(context, &args.output, bundle);
    }
    Ok(there)
}

async fn locked(args: &Args, path: &std::path::Path, context: &Context) -> Result<Lock, Failure> {
    let last = last(path)?;
    if args.frozen {
        let (manifest, _) = read_manifest(&args.manifest, path)?;
        let lock = last.ok_or_else(|| {
            Failure::new(ExitCode::Drift, format!("{} is not there", path.display()))
                .hint("run `ferry-bundle lock` first, or leave --frozen out")
        })?;
        check_frozen(&manifest, &lock)?;
        check_names(&lock, context)?;
        let next = args.storage.following(lock.clone())?;
        if next.digest() != lock.digest() {
            let text =
                format!("{} has serial {}, after --since it has to be {}", path.display(), lock.serial, next.serial);
            return Err(
                Failure::new(ExitCode::Drift, text).hint("leave --frozen out: the serial counts on from the base's")
            );
        }
        return Ok(lock);
    }
    let lock = args.resolving.resolve(&args.manifest, last.as_ref(), &args.network, context).await?;
    let lock = args.storage.following(lock)?;
    match last {
        Some(last) if lock.same_content(&last) && lock.serial == last.serial => Ok(last),
        last => {
            if let Some(last) = &last {
                show_changes(last, &lock, context);
            }
            write(path, &lock)?;
            Ok(lock)
        }
    }
}
