//! A file of a host comes to the operator: piece by piece, resumed where it ended, compared by digest, then renamed.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferry_bundle_format::digest::digest_reader;

use super::Found;
use crate::host::{Command, Host, HostError, quote};

/// Bytes in one piece: what a command's output may be, with room to spare.
const PIECE: u64 = 16 << 20;
/// How often a piece is asked for again when the connection breaks.
const TRIES: u32 = 3;

/// Why a file did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The operator's disk.
    #[error("can't write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not what the host said.
    #[error("{path} of {host} did not arrive whole: take the snapshot again")]
    Broken {
        /// The host.
        host: String,
        /// The file there.
        path: String,
    },
}

/// Brings `found` to `to`, mode 0600. Does nothing where that is it already.
pub async fn fetch(host: &dyn Host, found: &Found, to: &Path) -> Result<(), FetchError> {
    let failed = |source| FetchError::File { path: to.to_owned(), source };
    if digest(to).map_err(failed)?.is_some_and(|hex| hex == found.sha256) {
        return Ok(());
    }
    let part = to.with_extension("part");
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&part).map_err(failed)?;
    let mut have = file.metadata().map_err(failed)?.len() / PIECE * PIECE;
    file.set_len(have).map_err(failed)?;
    while have < found.size {
        let script = format!("dd if={} bs={PIECE} skip={} count=1 2>/dev/null", quote(&found.path), have / PIECE);
        let command = Command::root(script).within(Duration::from_secs(300));
        let mut tries = 1;
        let bytes = loop {
            match host.run(&command).await.and_then(|output| output.ok(host.name(), &command)) {
                Ok(output) => break output.stdout,
                Err(error) if error.may_pass() && tries < TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        };
        if bytes.is_empty() {
            break;
        }
        file.write_all(&bytes).map_err(failed)?;
        have += bytes.len() as u64;
    }
    file.sync_all().map_err(failed)?;
    if digest(&part).map_err(failed)?.is_none_or(|hex| hex != found.sha256) {
        std::fs::remove_file(&part).map_err(failed)?;
        return Err(FetchError::Broken { host: found.host.clone(), path: found.path.clone() });
    }
    std::fs::rename(&part, to).map_err(failed)
}

/// The digest of a file in hexadecimal; `None` where there is none.
fn digest(path: &Path) -> std::io::Result<Option<String>> {
    match File::open(path) {
        Ok(file) => Ok(Some(digest_reader(file)?.0.hex())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
