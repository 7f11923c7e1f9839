//! What an upgrade package is applied to: bundles or stores that have what it leaves out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::open::{Base, Silent, TrustedBundle, UnverifiedBundle};
use ferry_bundle_format::store::Store;
use ferry_bundle_format::trust::TrustPolicy;

use super::TrustArgs;
use crate::failure::{ExitCode, Failure};

/// What an upgrade package is applied to.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct BaseArgs {
    /// A bundle, or the folder of a store, that has what an upgrade package leaves out. Repeatable.
    #[arg(long = "base", value_name = "BUNDLE|STORE")]
    pub bases: Vec<PathBuf>,
}

impl BaseArgs {
    /// `bundle` with these bases. A bundle among them must be one that it applies to.
    pub fn attach(&self, bundle: TrustedBundle, trust: &TrustArgs) -> Result<TrustedBundle, Failure> {
        let mut bases: Vec<Arc<dyn Base>> = Vec::new();
        for path in &self.bases {
            if path.join("blobs/sha256").is_dir() {
                bases.push(Arc::new(Store::open_existing(path)));
                continue;
            }
            // An older bundle is what a base is: what the site has seen since does not count against it.
            let policy = TrustPolicy { seen: Vec::new(), ..trust.policy()? };
            let base = UnverifiedBundle::open(path)?.trust(&policy, &Silent)?;
            fits(&bundle, &base, path)?;
            bases.push(Arc::new(base));
        }
        Ok(bundle.on(bases))
    }
}

/// Whether the package names the base's serial.
fn fits(bundle: &TrustedBundle, base: &TrustedBundle, path: &Path) -> Result<(), Failure> {
    let (package, base) = (bundle.index(), base.index());
    let same = (&package.product.name, &package.product.channel) == (&base.product.name, &base.product.channel);
    if package.applies_to.is_empty() || (same && package.applies_to.contains(&base.serial)) {
        return Ok(());
    }
    let serials: Vec<String> = package.applies_to.iter().map(u64::to_string).collect();
    let text = format!(
        "{} is {} ({}) serial {}, but the package applies to {} ({}) serial {}",
        path.display(),
        base.product.name,
        base.product.channel,
        base.serial,
        package.product.name,
        package.product.channel,
        serials.join(" or ")
    );
    Err(Failure::new(ExitCode::Refused, text).hint("give the bundle of that serial, or a package made for this one"))
}
