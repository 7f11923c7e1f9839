//! What an upgrade package is applied to: bundles or stores that have what it leaves out.

use std::path::PathBuf;

use ferry_bundle_format::open::TrustedBundle;

use super::TrustArgs;
use crate::failure::Failure;

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
        if self.bases.is_empty() {
            return Ok(bundle);
        }
        Ok(bundle.on_files(&self.bases, &trust.policy()?)?)
    }
}
