//! Who signs: key files, and what opens them.

use std::path::{Path, PathBuf};

use ferry_bundle_format::assemble::{SignedBundle, UnsignedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::sign::secret::{self, Opening, SecretError};
use zeroize::Zeroizing;

use super::Context;
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// The keys of those who sign.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Signing")]
pub struct KeyArgs {
    /// Sign with this key. Repeatable: each key signs.
    #[arg(id = "sign", long = "sign", value_name = "FILE.key")]
    pub keys: Vec<PathBuf>,
    /// Open the keys with this age identity file.
    #[arg(long, value_name = "FILE", env = "FERRY_AGE_IDENTITY")]
    pub age_identity: Option<PathBuf>,
    /// Read the passphrase from this file. Without it: FERRY_KEY_PASSPHRASE, or asked for.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Who signs a bundle, or that nobody does.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Signing")]
pub struct SigningArgs {
    /// With which keys.
    #[command(flatten)]
    pub with: KeyArgs,
    /// Make a bundle that nobody signed. It is refused wherever it goes, unless the same is said there.
    #[arg(long)]
    pub insecure_unsigned: bool,
}

impl SigningArgs {
    /// Opens the keys, before any long work: a wrong passphrase should not be noticed after an hour.
    pub fn open(&self) -> Result<Vec<SecretKey>, Failure> {
        if self.with.keys.is_empty() && !self.insecure_unsigned {
            return Err(Failure::new(ExitCode::Usage, "nobody signs the bundle")
                .hint("make a key with `ferry-bundle keygen release` and pass --sign release.key")
                .hint("--insecure-unsigned makes a bundle that everybody refuses by default"));
        }
        if !self.with.keys.is_empty() && self.insecure_unsigned {
            return Err(Failure::new(ExitCode::Usage, "--sign and --insecure-unsigned contradict each other"));
        }
        self.with.open()
    }
}

impl KeyArgs {
    /// Opens them, in the order in which they were given.
    pub fn open(&self) -> Result<Vec<SecretKey>, Failure> {
        self.keys.iter().map(|path| self.open_one(path)).collect()
    }

    fn open_one(&self, path: &Path) -> Result<SecretKey, Failure> {
        let file = std::fs::read(path).map_err(failure::io("read", path))?;
        let opening = if secret::wants_passphrase(&file) {
            Opening::Passphrase(self.passphrase(path)?)
        } else {
            let Some(identity) = &self.age_identity else {
                return Err(Failure::new(ExitCode::Usage, format!("{} is sealed for an age identity", path.display()))
                    .hint("pass --age-identity FILE"));
            };
            let text = std::fs::read_to_string(identity).map_err(failure::io("read", identity))?;
            Opening::Identity(Zeroizing::new(text))
        };
        secret::open(&file, &opening).map_err(|error| {
            let hint = match &error {
                SecretError::Open(_) => "the passphrase or the identity is not the one the key was made with",
                _ => "this is not a key that `ferry-bundle keygen` made",
            };
            Failure::of(ExitCode::Input, &error).while_doing(format!("can't use {}", path.display())).hint(hint)
        })
    }

    fn passphrase(&self, path: &Path) -> Result<Zeroizing<String>, Failure> {
        if let Some(file) = &self.passphrase_file {
            let text = std::fs::read_to_string(file).map_err(failure::io("read", file))?;
            return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        if let Ok(text) = std::env::var("FERRY_KEY_PASSPHRASE") {
            return Ok(Zeroizing::new(text));
        }
        rpassword::prompt_password(format!("Passphrase of {}: ", path.display())).map(Zeroizing::new).map_err(|error| {
            Failure::of(ExitCode::Usage, &error)
                .hint("use --passphrase-file or FERRY_KEY_PASSPHRASE where nobody can type")
        })
    }
}

/// Signs another form of a bundle that has been sealed before: the same keys, nothing said again.
pub(crate) fn resign(bundle: UnsignedBundle, keys: &[SecretKey]) -> SignedBundle {
    if keys.is_empty() { bundle.leave_unsigned_insecurely() } else { bundle.sign(keys) }
}

/// Signs, or leaves it out as was asked for; says which.
pub(crate) fn seal(bundle: UnsignedBundle, keys: &[SecretKey], context: &Context) -> SignedBundle {
    if keys.is_empty() {
        context.reporter.event(&Event::Warning { text: "the bundle is UNSIGNED, as --insecure-unsigned asks".into() });
        return bundle.leave_unsigned_insecurely();
    }
    for key in keys {
        context.reporter.event(&Event::Note { text: format!("signed by {}", key.public().id()) });
    }
    bundle.sign(keys)
}
