//! A plan on disk: JSON, written whole; read with its version checked first.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

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
    #[error("{path} is a plan of form {found}; this ferry reads form {FORMAT}: make the plan again")]
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
    write(path, &text).map_err(|source| PlanFileError::File { path: path.to_owned(), source })
}

/// Whole, by rename, and for its owner only: it tells how every host of a site is set up.
fn write(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".ferry-plan-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
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

#[cfg(test)]
mod tests {
    use ferry_bundle_format::Digest;
    use ferry_bundle_format::lock::Timestamp;

    use super::*;

    #[test]
    fn a_plan_is_for_its_owner_only_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        std::fs::write(&path, "an old one").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let (site, bundle, created) = (Digest::of(b"s"), Digest::of(b"b"), Timestamp::from_unix(0));
        let plan =
            Plan { format: FORMAT, cluster: "c".into(), site, bundle, product: "p".into(), created, stages: vec![] };
        save(&plan, &path).unwrap();
        assert_eq!(load(&path).unwrap(), plan);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
