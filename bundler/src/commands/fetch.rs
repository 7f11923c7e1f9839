//! `fetch`: everything in a lock goes into the store.

use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::documents::human_size;
use ferry_bundle_format::lock::contents::Contents;
use ferry_bundle_format::store::Store;

use super::lock::{folder_of, read};
use crate::cli::{Context, NetworkArgs};
use crate::event::Event;
use crate::failure::{ExitCode, Failure};
use crate::fetch::{Fetcher, StoreTarget};

/// Flags of `fetch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle fetch site.lock.yaml    # run it again after an interruption: it goes on"
)]
pub struct Args {
    /// The lock.
    pub lock: PathBuf,
    /// Where the store is.
    #[command(flatten)]
    pub store: StoreArgs,
    /// How many transfers run at once.
    #[arg(long, short, value_name = "N", default_value_t = 8)]
    pub jobs: usize,
    /// How to reach servers.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Where the store is.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct StoreArgs {
    /// The store's folder; ~/.cache/ferry/store if nothing is said.
    #[arg(long, value_name = "FOLDER", env = "FERRY_STORE")]
    pub store: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store.
    pub fn open(&self) -> Result<Store, Failure> {
        let root = if let Some(root) = &self.store {
            root.clone()
        } else {
            let cache = std::env::var_os("XDG_CACHE_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
            let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
            cache
                .ok_or_else(|| {
                    Failure::new(ExitCode::Usage, "no HOME, so no default store").hint("pass --store FOLDER")
                })?
                .join("ferry/store")
        };
        Ok(Store::open(&root)?)
    }
}

/// Fetches.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let lock = read(&args.lock)?;
    let contents = Contents::of(&lock)?;
    let store = args.store.open()?;
    let _held = store.lock()?;
    let fetcher = Fetcher {
        client: args.network.client(context)?,
        reporter: context.reporter.clone(),
        jobs: args.jobs,
        base: folder_of(&args.lock),
    };
    let fetched = fetcher.fetch(&contents, Arc::new(StoreTarget(store.clone()))).await?;
    let text = format!(
        "{}: {} blobs brought ({}), {} were there ({})",
        store.root().display(),
        fetched.brought,
        human_size(fetched.brought_bytes),
        fetched.had,
        human_size(fetched.had_bytes)
    );
    let data = serde_json::json!({ "store": store.root(), "brought": fetched.brought, "broughtBytes": fetched.brought_bytes, "had": fetched.had });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
}
