//! `export`: the content as a plain OCI image layout in a folder.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::digest::READ_CHUNK;
use ferry_bundle_format::index::Extent;
use ferry_bundle_format::lock::contents::Contents;
use ferry_bundle_format::lock::derived::OCI_LAYOUT;
use ferry_bundle_format::open::TrustedBundle;
use ferry_bundle_format::store::{Store, write_atomically};

use crate::cli::{BaseArgs, Context, TrustArgs};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};

/// Flags of `export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle export site-1.0.ferry --trust release.pub --oci layout\n  skopeo inspect oci:layout:docker.io/library/nginx:1.27"
)]
pub struct Args {
    /// The bundle.
    pub bundle: PathBuf,
    /// The folder to write; made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    pub oci: PathBuf,
    /// What an upgrade package is applied to.
    #[command(flatten)]
    pub base: BaseArgs,
    /// Whom to trust.
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Exports.
pub fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let bundle = args.base.attach(args.trust.open(&args.bundle, context)?, &args.trust)?;
    let foreign = args.oci.join("index.json").exists()
        && bundle.document("index.json", u64::MAX)? != fs::read(args.oci.join("index.json")).unwrap_or_default();
    if foreign {
        return Err(Failure::new(ExitCode::Input, format!("{} holds another layout", args.oci.display()))
            .hint("give a new folder"));
    }
    bundle.check_bases()?;
    let contents = Contents::of(&bundle.lock()?)?;
    let blobs: Vec<Extent> =
        contents.blobs.iter().map(|(digest, blob)| Extent { digest: *digest, size: blob.size }).collect();
    let total = blobs.iter().map(|blob| blob.size).sum();
    context.reporter.event(&Event::Phase {
        name: "export",
        detail: args.oci.display().to_string(),
        bytes: Some(total),
    });
    write_blobs(&bundle, &blobs, &args.oci, context)?;
    for (name, bytes) in [("oci-layout", OCI_LAYOUT.to_vec()), ("index.json", bundle.document("index.json", u64::MAX)?)]
    {
        let path = args.oci.join(name);
        write_atomically(&path, &bytes).map_err(failure::io("write", &path))?;
    }
    let text = format!("{}: {} blobs, {} names", args.oci.display(), blobs.len(), bundle.index().artifacts.len());
    let data =
        serde_json::json!({ "layout": args.oci, "blobs": blobs.len(), "trusted": bundle.assurance().is_trusted() });
    context.reporter.event(&Event::Result { text, data });
    Ok(())
}

/// A layout's `blobs/` is what a store's is: the store writes them, whole and verified, in a folder beside.
fn write_blobs(bundle: &TrustedBundle, blobs: &[Extent], folder: &Path, context: &Context) -> Result<(), Failure> {
    let store = Store::open(folder)?;
    let mut buffer = vec![0; READ_CHUNK];
    for blob in blobs {
        if store.size(&blob.digest) == Some(blob.size) {
            continue;
        }
        let mut partial = store.partial(&blob.digest)?;
        partial.restart()?;
        let mut reader = bundle.blob(&blob.digest)?.reader().map_err(failure::io("read", bundle.path()))?;
        loop {
            let n = reader.read(&mut buffer).map_err(failure::io("read", bundle.path()))?;
            if n == 0 {
                break;
            }
            partial.append(&buffer[..n])?;
            context.reporter.event(&Event::Moved { bytes: n as u64 });
        }
        partial.publish(&blob.digest)?;
    }
    let partials = folder.join("partial");
    fs::remove_dir(&partials).map_err(failure::io("remove", &partials))
}
