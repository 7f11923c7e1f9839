//! Whom to trust: public keys from flags, the environment, or the user's own folder.

use std::path::{Path, PathBuf};

use ferry_bundle_format::open::{TrustedBundle, UnverifiedBundle};
use ferry_bundle_format::sign::PublicKey;
use ferry_bundle_format::store::write_atomically;
use ferry_bundle_format::trust::{Seen, TrustPolicy};

use super::Context;
use crate::event::{Event, StepsTo};
use crate::failure::{self, ExitCode, Failure};

/// Whom to trust.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Trust")]
pub struct TrustArgs {
    /// Trust the keys in this file. Repeatable. Without it: the files in FERRY_TRUST (separated by `:`), else
    /// ~/.config/ferry/trust/*.pub.
    #[arg(long = "trust", value_name = "FILE.pub")]
    pub keys: Vec<PathBuf>,
    /// How many of the trusted keys must have signed.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub threshold: usize,
    /// Let in what nobody trusted has signed. Shows in every output.
    #[arg(long)]
    pub insecure_unsigned: bool,
    /// Remember in this file the newest serial seen, and refuse older ones.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Go back to a lower serial: a permit that `ferry-bundle permit` made, signed as a bundle must be.
    #[arg(long, value_name = "FILE", requires = "state")]
    pub permit: Option<PathBuf>,
}

impl TrustArgs {
    /// Opens a bundle as far as its index can be believed.
    pub fn open(&self, path: &Path, context: &Context) -> Result<TrustedBundle, Failure> {
        let policy = self.policy()?;
        let bundle = UnverifiedBundle::open(path)?.trust(&policy, &StepsTo(context.reporter.as_ref()))?;
        warn(&bundle, context);
        Ok(bundle)
    }

    /// The policy these flags describe.
    pub fn policy(&self) -> Result<TrustPolicy, Failure> {
        let mut keys = Vec::new();
        for path in self.key_files()? {
            let text = std::fs::read_to_string(&path).map_err(failure::io("read", &path))?;
            let found = PublicKey::read_file(&text).map_err(|error| {
                Failure::of(ExitCode::Input, &error).while_doing(format!("can't trust {}", path.display()))
            })?;
            keys.extend(found);
        }
        if keys.is_empty() && !self.insecure_unsigned {
            return Err(Failure::new(ExitCode::Untrusted, "no key is trusted, so no bundle can be")
                .hint("pass --trust release.pub, or copy it to ~/.config/ferry/trust/"));
        }
        let mut policy = TrustPolicy {
            keys,
            threshold: self.threshold,
            insecure_unsigned: self.insecure_unsigned,
            seen: self.seen()?,
            ..TrustPolicy::default()
        };
        if let Some(path) = &self.permit {
            let file = std::fs::read(path).map_err(failure::io("read", path))?;
            policy.admit_permit(&file).map_err(|error| {
                let failure =
                    Failure::of(ExitCode::Untrusted, &error).while_doing(format!("can't use {}", path.display()));
                failure.hint("a permit is signed by those who sign the bundles; ask them for another")
            })?;
        }
        Ok(policy)
    }

    /// Whether any key is configured at all.
    pub fn is_configured(&self) -> bool {
        self.insecure_unsigned || self.key_files().is_ok_and(|files| !files.is_empty())
    }

    fn key_files(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.keys.is_empty() {
            return Ok(self.keys.clone());
        }
        if let Some(list) = std::env::var_os("FERRY_TRUST") {
            return Ok(std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect());
        }
        let Some(folder) = config_folder().map(|folder| folder.join("trust")) else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failure::io("read", &folder)(error)),
        };
        let mut files: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "pub"))
            .collect();
        files.sort();
        Ok(files)
    }

    fn seen(&self) -> Result<Vec<Seen>, Failure> {
        let Some(path) = &self.state else { return Ok(Vec::new()) };
        match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failure::io("read", path)(error)),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let failure = Failure::of(ExitCode::Input, &error).while_doing(format!("can't use {}", path.display()));
                failure.hint("it is ferry's memory of serials; restore it, or give another --state")
            }),
        }
    }

    /// Remembers the bundle's serial. Only after every check has passed.
    pub fn remember(&self, bundle: &TrustedBundle) -> Result<(), Failure> {
        let Some(path) = &self.state else { return Ok(()) };
        if !bundle.assurance().is_trusted() {
            return Ok(());
        }
        let mut seen = self.seen()?;
        // Lower than before only with a permit: the policy has seen to that.
        Seen::of(bundle.index()).remember(&mut seen);
        let mut text = serde_json::to_vec_pretty(&seen).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
        text.push(b'\n');
        write_atomically(path, &text).map_err(failure::io("write", path))
    }
}

fn warn(bundle: &TrustedBundle, context: &Context) {
    if !bundle.assurance().is_trusted() {
        context.reporter.event(&Event::Warning { text: bundle.assurance().describe() });
    }
}

fn config_folder() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").filter(|v| !v.is_empty()).map(PathBuf::from);
    config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config"))).map(|folder| folder.join("ferry"))
}
