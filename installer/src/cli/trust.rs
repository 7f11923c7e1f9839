//! Which bundle, and whom to trust for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::open::{Observer, Step, UnverifiedBundle, VerifiedBundle};
use ferry_bundle_format::sign::PublicKey;
use ferry_bundle_format::store::write_atomically;
use ferry_bundle_format::trust::{Seen, TrustPolicy};

use crate::failure::{self, ExitCode, Failure};
use crate::installed;
use crate::show;

/// Which bundle, and whom to trust for it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Bundle")]
pub(crate) struct TrustArgs {
    /// The bundle.
    #[arg(long, value_name = "FILE.ferry")]
    pub(crate) bundle: PathBuf,
    /// Trust the keys in this file. Repeatable. Without it: the files in FERRY_TRUST (separated by `:`), else
    /// ~/.config/ferry/trust/*.pub.
    #[arg(long = "trust", value_name = "FILE.pub")]
    keys: Vec<PathBuf>,
    /// How many of the trusted keys must have signed.
    #[arg(long, value_name = "K", default_value_t = 1)]
    threshold: usize,
    /// What an upgrade package is applied to: the bundle of the serial that the site has, or the folder of a store. Both are
    /// then read as one bundle; nothing is written. Repeatable.
    #[arg(long = "base", value_name = "BUNDLE|STORE")]
    bases: Vec<PathBuf>,
    /// Go back to a lower serial: a permit that `ferry-bundle permit` made, signed as a bundle must be.
    #[arg(long, value_name = "FILE")]
    permit: Option<PathBuf>,
}

struct Told(bool);

impl Observer for Told {
    fn step(&self, step: Step) {
        if self.0 {
            show::aside(&format!(
                "  bundle {}/{} {}: {}",
                step.number,
                ferry_bundle_format::open::STEPS,
                step.title,
                step.detail
            ));
        }
    }
}

impl TrustArgs {
    /// Checks every byte of the bundle. `state` remembers the newest serial that this site has seen.
    pub(crate) fn open(&self, state: &Path, told: bool) -> Result<Arc<VerifiedBundle>, Failure> {
        let memory = state.join("seen.json");
        let mut seen = remembered(&memory)?;
        complete(&mut seen, state);
        let keys = self.keys()?;
        let mut policy = TrustPolicy { keys, threshold: self.threshold, seen: seen.clone(), ..TrustPolicy::default() };
        if let Some(path) = &self.permit {
            let file = std::fs::read(path).map_err(failure::file("read", path))?;
            policy.admit_permit(&file).map_err(|error| {
                let mut failure = Failure::of(ExitCode::Untrusted, &error);
                failure.causes.insert(0, format!("can't use {}", path.display()));
                failure.hint("a permit is signed by those who sign the bundles; ask them for another")
            })?;
        }
        let observer = Told(told);
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let bundle = UnverifiedBundle::open(&self.bundle)?.trust(&policy, &observer)?.on_files(&self.bases, &policy)?;
        // A package without its base is refused before a byte of it is used or its serial remembered.
        bundle.check_bases()?;
        let bundle = bundle.verify(jobs, &observer)?;
        if !Seen::of(bundle.index()).remember(&mut seen) {
            return Ok(Arc::new(bundle));
        }
        let text = serde_json::to_vec_pretty(&seen).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
        write_atomically(&memory, &text).map_err(failure::file("write", &memory))?;
        Ok(Arc::new(bundle))
    }

    fn keys(&self) -> Result<Vec<PublicKey>, Failure> {
        let mut keys = Vec::new();
        for path in self.files()? {
            let text = std::fs::read_to_string(&path).map_err(failure::file("read", &path))?;
            let found = PublicKey::read_file(&text).map_err(|error| {
                let mut failure = Failure::of(ExitCode::Input, &error);
                failure.causes.insert(0, format!("can't trust {}", path.display()));
                failure
            })?;
            keys.extend(found);
        }
        if keys.is_empty() {
            let failure = Failure::new(ExitCode::Untrusted, "no key is trusted, so no bundle can be");
            return Err(failure.hint("pass --trust release.pub, or copy it to ~/.config/ferry/trust/"));
        }
        Ok(keys)
    }

    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.keys.is_empty() {
            return Ok(self.keys.clone());
        }
        if let Some(list) = std::env::var_os("FERRY_TRUST") {
            return Ok(std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect());
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
        let Some(folder) = config.or_else(home).map(|folder| folder.join("ferry/trust")) else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failure::file("read", &folder)(error)),
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "pub")).collect();
        files.sort();
        Ok(files)
    }
}

/// Older versions have not remembered what the content of a serial was. The note of what was installed knows it.
fn complete(seen: &mut [Seen], state: &Path) {
    let Some(receipt) = installed::noted(state) else { return };
    for one in seen.iter_mut().filter(|one| one.lock.is_none()) {
        let same = (&one.product, &one.channel, one.serial)
            == (&receipt.product.name, &receipt.product.channel, receipt.serial);
        one.lock = same.then_some(receipt.lock);
    }
}

fn remembered(memory: &Path) -> Result<Vec<Seen>, Failure> {
    match std::fs::read(memory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failure::file("read", memory)(error)),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            let mut failure = Failure::of(ExitCode::Input, &error);
            failure.causes.insert(0, format!("can't use {}", memory.display()));
            failure.hint("it is the site's memory of serials: restore it from a backup")
        }),
    }
}
