//! `demo`: the whole way of a bundle on an embedded origin: keys, lock, bundle, verification, listing, push; then a release,
//! its upgrade package, a gate that loses some of it, and the bundle that comes out. Each step runs the command that a
//! person would type, and says which.

mod shop;
mod upgrade;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{keygen, make, push, show, verify};
use crate::cli::{BaseArgs, Context, KeyArgs, NetworkArgs, SigningArgs, TrustArgs};
use crate::event::{Event, Silent};
use crate::failure::{self, ExitCode, Failure};
use crate::origin::{Origin, OriginConfig};
use ferry_bundle_format::sign::secret::generate_identity;
use shop::{CHARTS, DOWNLOADS, REGISTRY};

/// Flags of `demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  ferry-bundle demo\n  ferry-bundle show ferry-demo/shop-1.0.ferry --trust ferry-demo/release.pub"
)]
pub struct Args {
    /// The folder for bundle, keys, lock and lists.
    #[arg(default_value = "ferry-demo")]
    pub folder: PathBuf,
}

/// Runs the demo.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let folder = &args.folder;
    let bundle = folder.join("shop-1.0.ferry");
    prepare(folder)?;
    let typed = |text: &str| context.reporter.event(&Event::Command { text: format!("ferry-bundle {text}") });

    let origin = shop::start().await?;
    let target = start_target().await?;
    let network = NetworkArgs {
        mirror: vec![
            format!("{REGISTRY}={}", origin.registry_host()),
            format!("{CHARTS}={}", origin.url("/charts")),
            format!("{DOWNLOADS}={}", origin.url("/files")),
        ],
        plain_http: vec![origin.registry_host(), target.registry_host()],
        attempts: 3,
        idle_timeout: 10,
        ..NetworkArgs::default()
    };
    let manifest = shop::write_inputs(folder, shop::FIRST)?;

    let (identity, recipient) = generate_identity();
    let identity_file = folder.join("identity.age.txt");
    write_secret(&identity_file, &identity)?;
    let name = folder.join("release");
    typed(&format!("keygen {} --age-recipient {recipient}", name.display()));
    keygen::run(&keygen::Args { name: name.clone(), age_recipient: Some(recipient), passphrase_file: None }, context)?;

    typed(&format!("make {} -o {} --sign {}.key …", manifest.display(), bundle.display(), name.display()));
    let making = make::Args {
        manifest,
        output: bundle.clone(),
        force: false,
        resolving: super::lock::ResolvingArgs {
            lock: Some(folder.join("site.lock.yaml")),
            vendor_lists: vec![folder.join("vendor-lists")],
            jobs: 8,
        },
        frozen: false,
        store: None,
        storage: super::storage::StorageArgs::default(),
        signing: SigningArgs {
            with: KeyArgs {
                keys: vec![folder.join("release.key")],
                age_identity: Some(identity_file),
                ..KeyArgs::default()
            },
            ..SigningArgs::default()
        },
        network: network.clone(),
    };
    make::run(&making, context).await?;

    let trust = TrustArgs { keys: vec![folder.join("release.pub")], threshold: 1, ..TrustArgs::default() };
    typed(&format!("verify {} --trust {}.pub", bundle.display(), name.display()));
    verify::run(
        &verify::Args { bundle: bundle.clone(), base: BaseArgs::default(), trust: trust.clone(), jobs: None },
        context,
    )?;
    typed(&format!("show {} --trust {}.pub", bundle.display(), name.display()));
    show::run(&show::Args { bundle: bundle.clone(), trust: trust.clone(), members: false }, context)?;

    let place = format!("{}/platform", target.registry_host());
    typed(&format!(
        "push {} {place} --trust {}.pub --plain-http {}",
        bundle.display(),
        name.display(),
        target.registry_host()
    ));
    let pushing = push::Args {
        bundle: bundle.clone(),
        target: place,
        full_names: false,
        dry_run: false,
        jobs: 4,
        base: BaseArgs::default(),
        trust: trust.clone(),
        network,
    };
    push::run(&pushing, context).await?;

    shop::publish(&origin, shop::SECOND)?;
    shop::write_inputs(folder, shop::SECOND)?;
    let made = upgrade::run(folder, &bundle, &making, &trust, context).await?;
    volumes::run(folder, &bundle, &made, &trust, context)?;
    write_lists(folder, &trust, &bundle)?;
    finish(folder, &bundle, context);
    Ok(())
}

/// What the demo leaves in its folder.
const LEFT: [&str; 13] = [
    "identity.age.txt",
    "release.allowed_signers",
    "release.key",
    "release.minisign.pub",
    "release.pub",
    "sbom.json",
    "shop-1.0.ferry",
    "site.lock.yaml",
    "site.yaml",
    "transfer-list.csv",
    "transfer-list.txt",
    "values-site.yaml",
    "vendor-lists/shopctl.yaml",
];

/// The file that says that a folder is the demo's own.
const MARK: &str = "made-by-ferry-demo";

/// Makes the folder, or clears an earlier demo out of it: nothing else is ever removed.
fn prepare(folder: &Path) -> Result<(), Failure> {
    let mark = folder.join(MARK);
    if mark.exists() {
        let folders = volumes::LEFT.iter().chain(&upgrade::LEFT_FOLDERS).map(|name| folder.join(name));
        for path in folders.filter(|path| path.is_dir()) {
            std::fs::remove_dir_all(&path).map_err(failure::io("remove", &path))?;
        }
        for path in LEFT.iter().chain(&upgrade::LEFT).map(|name| folder.join(name)) {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failure::io("remove", &path)(error));
                }
                _ => {}
            }
        }
    } else if folder.exists() {
        return Err(Failure::new(
            ExitCode::Input,
            format!("{} exists, and is not of an earlier demo", folder.display()),
        )
        .hint("give the demo a folder of its own: ferry-bundle demo FOLDER"));
    }
    std::fs::create_dir_all(folder).map_err(failure::io("make", folder))?;
    std::fs::write(&mark, "ferry-bundle demo may replace what it made here.\n").map_err(failure::io("write", &mark))
}

async fn start_target() -> Result<Origin, Failure> {
    Origin::start(OriginConfig::default())
        .await
        .map_err(|error| Failure::of(ExitCode::Machine, &error).while_doing("can't start the embedded registry"))
}

fn write_secret(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let open = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    open.and_then(|mut file| writeln!(file, "{text}")).map_err(failure::io("write", path))
}

/// The lists that a security officer reads, taken out of the bundle.
fn write_lists(folder: &Path, trust: &TrustArgs, bundle: &Path) -> Result<(), Failure> {
    let bundle = trust.open(bundle, &Context { reporter: Arc::new(Silent) })?;
    for name in ["transfer-list.txt", "transfer-list.csv", "sbom.json"] {
        let path = folder.join(name);
        std::fs::write(&path, bundle.document(name, u64::MAX)?).map_err(failure::io("write", &path))?;
    }
    Ok(())
}

fn finish(folder: &Path, bundle: &Path, context: &Context) {
    let (folder, bundle) = (folder.display(), bundle.display());
    let text = format!(
        "\nIn {folder}/:\n  site.yaml, vendor-lists/, values-site.yaml   what was asked for (1.0 first, now 1.1)\n  \
         site.lock.yaml                               what it resolved to\n  \
         release.key, release.pub, …                  who signed (release.key opens with identity.age.txt)\n  \
         shop-1.0.ferry, shop-1.1.ferry               the bundles\n  \
         shop-1.1-upgrade.ferry                       what is new in 1.1\n  \
         transfer-list.txt, .csv, sbom.json           what crossed the gate with 1.0\n  \
         volumes/, received/                          the upgrade as it crossed, what came out, and 1.1 made of it\n  \
         store/                                       blobs by digest: the next bundle finds them\n\nTry next:\n  \
         ferry-bundle verify {bundle} --trust {folder}/release.pub\n  \
         ferry-bundle show {folder}/shop-1.1-upgrade.ferry --trust {folder}/release.pub\n  \
         ferry-bundle serve {folder}/shop-1.1-upgrade.ferry --base {bundle} --trust {folder}/release.pub --listen 127.0.0.1:5000\n  \
         tar tf {bundle}"
    );
    let data = serde_json::json!({ "folder": folder.to_string(), "bundle": bundle.to_string() });
    context.reporter.event(&Event::Result { text, data });
}
