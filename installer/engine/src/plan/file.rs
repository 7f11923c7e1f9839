//! A plan on disk: JSON, written whole; read with its version checked first.

use std::path::{Path, PathBuf};

use ferry_bundle_format::store::write_atomically;

use super::{FORMAT, Plan};

/// Why a plan file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    /// It can't be read or written.
    #[error("can't use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is no plan.
    #[error("{path} is no plan of ferry's")]
    Form {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// It was made by another version.
    #[error("{path} is a plan of form {found}; this ferry reads form {FORMAT}: make the plan anew")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
}

/// Writes a plan.
pub fn save(plan: &Plan, path: &Path) -> Result<(), PlanFileError> {
    let mut text =
        serde_json::to_vec_pretty(plan).map_err(|source| PlanFileError::Form { path: path.to_owned(), source })?;
    text.push(b'\n');
    write_atomically(path, &text).map_err(|source| PlanFileError::File { path: path.to_owned(), source })
}

/// Reads a plan.
pub fn load(path: &Path) -> Result<Plan, PlanFileError> {
    let bytes = std::fs::read(path).map_err(|source| PlanFileError::File { path: path.to_owned(), source })?;
    let form = |source| PlanFileError::Form { path: path.to_owned(), source };
    // Only the version first, and not the whole as a tree: plans of large sites are large.
    let head: Head = serde_json::from_slice(&bytes).map_err(form)?;
    if head.format != u64::from(FORMAT) {
        return Err(PlanFileError::Version { path: path.to_owned(), found: head.format });
    }
    serde_json::from_slice(&bytes).map_err(form)
}

/// What every version of the form begins with.
#[derive(serde::Deserialize)]
struct Head {
    #[serde(default)]
    format: u64,
}
