//! The demo's chapter on upgrades: the product gets a release, and the package of what is new since the last bundle is made
//! from what the site is known to have. Made in full as well, to have something to compare with.

use std::path::{Path, PathBuf};

use crate::cli::{Context, TrustArgs};
use crate::commands::make;
use crate::commands::storage::StorageArgs;
use crate::event::{Event, Silent};
use crate::failure::{self, Failure};

/// What the chapter leaves in the demo's folder.
pub(super) const LEFT_FOLDERS: [&str; 1] = ["store"];
/// As above: files.
pub(super) const LEFT: [&str; 2] = [UPGRADE, FULL];

const UPGRADE: &str = "shop-1.1-upgrade.ferry";
const FULL: &str = "shop-1.1.ferry";

/// What was made.
pub(super) struct Upgrade {
    /// The package.
    pub(super) package: PathBuf,
    /// The bundle of the same release in full.
    pub(super) full: PathBuf,
    /// The blobs that are new, as registries hold them, in bytes: what leaving out by digest alone would carry.
    pub(super) changed: u64,
}

/// Makes the upgrade package since `base` and the full bundle. `making` is how the base was made; the manifest that it
/// names asks for the new release by now.
pub(super) async fn run(
    folder: &Path,
    base: &Path,
    making: &make::Args,
    trust: &TrustArgs,
    context: &Context,
) -> Result<Upgrade, Failure> {
    let typed = |text: &str| context.reporter.event(&Event::Command { text: format!("ferry-bundle {text}") });
    let (package, full, store) = (folder.join(UPGRADE), folder.join(FULL), folder.join("store"));
    let text = format!("{} now asks for 1.1; the site has {}", making.manifest.display(), base.display());
    context.reporter.event(&Event::Note { text });

    let (manifest, key) = (making.manifest.display(), folder.join("release.key"));
    typed(&format!(
        "make {manifest} -o {} --since {} --store {} --sign {} …",
        package.display(),
        base.display(),
        store.display(),
        key.display()
    ));
    let storage = StorageArgs { since: vec![base.to_owned()], ..StorageArgs::default() };
    let (output, store) = (package.clone(), Some(store));
    make::run(&make::Args { output, store: store.clone(), storage, ..making.clone() }, context).await?;

    typed(&format!("make {manifest} -o {} …    # in full, only to compare", full.display()));
    make::run(&make::Args { output: full.clone(), store, ..making.clone() }, context).await?;

    let carried = trust.open(&package, &Context { reporter: std::sync::Arc::new(Silent) })?;
    let changed =
        carried.index().entries.iter().filter_map(ferry_bundle_format::index::Entry::blob).map(|blob| blob.size).sum();
    Ok(Upgrade { package, full, changed })
}

/// The length of a file.
pub(super) fn size(path: &Path) -> Result<u64, Failure> {
    std::fs::metadata(path).map(|it| it.len()).map_err(failure::io("measure", path))
}
