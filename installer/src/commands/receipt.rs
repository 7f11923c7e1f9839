//! `receipt`: what the site has, signed by its own key, for whoever makes the next upgrade package.

use std::path::{Path, PathBuf};

use ferry_bundle_format::sign::statement::sign;
use ferry_bundle_format::store::write_atomically;

use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::installed;
use crate::session::Session;
use crate::show;

/// Acknowledge what was installed: half a page, and a short code for the telephone. Touches no host.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-install receipt site.yaml -o plant-7.receipt\n  ferry-bundle make site.yaml -o up.ferry --since plant-7.receipt --sign release.key    # where the bundles are made"
)]
pub(crate) struct Args {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
    /// The receipt to write [default: CLUSTER.receipt in the state folder]. The site's public key is written beside it.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    let receipt = installed::read(&session)?;
    let mut vault = session.vault().await?;
    let key = installed::key(&mut vault)?;
    let path = arguments.output.clone().unwrap_or_else(|| session.state.join(format!("{}.receipt", receipt.site)));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".pub");
    let public = path.with_file_name(name);
    let write = |path: &Path, bytes: &[u8]| write_atomically(path, bytes).map_err(failure::file("write", path));
    write(&public, key.public().to_file(receipt.site.as_str()).as_bytes())?;
    write(&path, &sign(&receipt, std::slice::from_ref(&key)))?;
    if common.json {
        let data = serde_json::json!({
            "receipt": receipt, "code": receipt.code().to_string(), "file": path, "key": key.public().id().to_string(),
        });
        show::text(&format!("{data}\n"));
        return Ok(ExitCode::Success);
    }
    show::text(&format!(
        "{} has {} {} (channel {}) serial {}\n  lock    {}\n  receipt {}, signed by the site's key {}\n  code    {}\n\
         Carry the receipt back, or read the code out: `ferry-bundle make --since` takes either.\n",
        receipt.site,
        receipt.product.name,
        receipt.product.version,
        receipt.product.channel,
        receipt.serial,
        receipt.lock,
        path.display(),
        key.public().id(),
        receipt.code()
    ));
    Ok(ExitCode::Success)
}
