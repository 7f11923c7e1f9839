//! `keygen`: a signing key, protected, and its public forms for ferry, minisign and OpenSSH.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::sign::secret::{self, Protection};
use ferry_bundle_format::sign::{SecretKey, minisign, sshsig};
use zeroize::Zeroizing;

use crate::cli::Context;
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// Flags of `keygen`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle keygen release\n    release.key              keep it; asks for a passphrase\n    release.pub              what sites trust: --trust release.pub\n    release.minisign.pub     for minisign -V\n    release.allowed_signers  for ssh-keygen -Y verify"
)]
pub struct Args {
    /// The files' name, without ending.
    #[arg(default_value = "release")]
    pub name: PathBuf,
    /// Protect the key for this age recipient (`age1…`) instead of by a passphrase.
    #[arg(long, value_name = "AGE1…")]
    pub age_recipient: Option<String>,
    /// Read the passphrase from this file. Without it: FERRY_KEY_PASSPHRASE, or asked for, twice.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Makes the key.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let files = ["key", "pub", "minisign.pub", "allowed_signers"].map(|ending| with_ending(&args.name, ending));
    if let Some(there) = files.iter().find(|path| path.exists()) {
        return Err(Failure::new(ExitCode::Input, format!("{} exists already", there.display()))
            .hint("a key is never overwritten; give another name"));
    }
    let protection = match &args.age_recipient {
        Some(recipient) => Protection::Recipient(recipient.clone()),
        None => Protection::Passphrase(new_passphrase(args)?),
    };
    let key =
        SecretKey::generate().map_err(|error| Failure::new(ExitCode::Machine, format!("no randomness: {error}")))?;
    let sealed = secret::seal(&key, &protection).map_err(|error| Failure::of(ExitCode::Input, &error))?;
    let public = key.public();
    let name = args.name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    create(&files[0], &sealed, 0o600)?;
    create(&files[1], &public.to_file(&name), 0o644)?;
    create(&files[2], &minisign::public_file(&public), 0o644)?;
    create(&files[3], &sshsig::allowed_signers(&public), 0o644)?;
    let text = format!(
        "{} and {}\nfingerprint {}\nGive sites the .pub on another way than the bundles, and compare the fingerprint aloud.",
        files[0].display(),
        files[1].display(),
        public.id()
    );
    let data = serde_json::json!({ "key": files[0], "public": files[1], "fingerprint": public.id().to_string() });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut file = name.file_name().unwrap_or_default().to_owned();
    file.push(".");
    file.push(ending);
    name.with_file_name(file)
}

fn create(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(failure::io("write", path))
}

fn new_passphrase(args: &Args) -> Result<Zeroizing<String>, Failure> {
    let given = match &args.passphrase_file {
        Some(file) => Some(std::fs::read_to_string(file).map_err(failure::io("read", file))?),
        None => std::env::var("FERRY_KEY_PASSPHRASE").ok(),
    };
    let text = if let Some(text) = given {
        Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
    } else {
        let ask = |prompt: &str| {
            rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
                Failure::of(ExitCode::Usage, &error)
                    .hint("use --passphrase-file, FERRY_KEY_PASSPHRASE or --age-recipient where nobody can type")
            })
        };
        let first = ask("New passphrase: ")?;
        if *first != *ask("Once more: ")? {
            return Err(Failure::new(ExitCode::Input, "the two passphrases differ"));
        }
        first
    };
    if text.chars().count() < 8 {
        return Err(Failure::new(ExitCode::Input, "a passphrase needs at least 8 characters")
            .hint("five random words are better"));
    }
    Ok(text)
}
