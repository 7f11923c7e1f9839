//! `demo`: the whole way of a bundle on an embedded origin: keys, lock, bundle, verification, listing, push, a gate. Each step
//! runs the command that a person would type, and says which.

mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{keygen, make, push, show, verify};
use crate::cli::{BaseArgs, Context, KeyArgs, NetworkArgs, SigningArgs, TrustArgs};
use crate::event::{Event, Silent};
use crate::failure::{self, ExitCode, Failure};
use crate::origin::{ChartSpec, FileStore, GeneratedBlob, ImageSpec, MemoryRegistry, Origin, OriginConfig, Quirk};
use ferry_bundle_format::sign::secret::generate_identity;

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

/// The names by which the demo's manifest calls its origin; mirrors lead them to this process.
const REGISTRY: &str = "registry.demo.ferry.dev";
const CHARTS: &str = "https://charts.demo.ferry.dev";
const DOWNLOADS: &str = "https://dl.demo.ferry.dev";

/// Runs the demo.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let folder = &args.folder;
    let bundle = folder.join("shop-1.0.ferry");
    prepare(folder)?;
    let typed = |text: &str| context.reporter.event(&Event::Command { text: format!("ferry-bundle {text}") });

    let origin = start_origin().await?;
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
    let manifest = write_inputs(folder)?;

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

    volumes::run(folder, &bundle, &trust, context)?;
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
        for path in volumes::LEFT.map(|name| folder.join(name)).iter().filter(|path| path.is_dir()) {
            std::fs::remove_dir_all(path).map_err(failure::io("remove", path))?;
        }
        for path in LEFT.map(|name| folder.join(name)) {
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

/// The origin with everything that the manifest asks for.
async fn start_origin() -> Result<Origin, Failure> {
    let fail =
        |error: std::io::Error| Failure::of(ExitCode::Machine, &error).while_doing("can't start the embedded origin");
    let (registry, files, charts) = (MemoryRegistry::default(), FileStore::default(), FileStore::default());
    // Both images stand on the same base layer, as images do; one also has platforms that nobody asked for.
    let api = ImageSpec { layers: vec![3_000_000, 400_000], ..ImageSpec::new("shop/api", "1.0") };
    let web =
        ImageSpec { layers: vec![3_000_000, 700_000], ..ImageSpec::new("shop/web", "1.0") }.quirk(Quirk::Attestations);
    for image in [api, web] {
        image.publish(&registry).map_err(fail)?;
    }
    let chart = ChartSpec::new("shop", "1.0.0", &format!("{REGISTRY}/shop/web"), "1.0");
    chart.publish_file(&charts).map_err(fail)?;
    ChartSpec::write_index(&charts, &[chart], None).map_err(fail)?;
    for arch in ["amd64", "arm64"] {
        let blob = tool(arch);
        files.put_reader(&format!("v1.0.0/{arch}/shopctl"), Arc::new(blob)).map_err(fail)?;
    }
    let config = OriginConfig {
        registry: Arc::new(registry),
        files: Arc::new(files),
        charts: Arc::new(charts),
        ..OriginConfig::default()
    };
    Origin::start(config).await.map_err(fail)
}

async fn start_target() -> Result<Origin, Failure> {
    Origin::start(OriginConfig::default())
        .await
        .map_err(|error| Failure::of(ExitCode::Machine, &error).while_doing("can't start the embedded registry"))
}

fn tool(arch: &str) -> GeneratedBlob {
    GeneratedBlob::new(if arch == "amd64" { 1 } else { 2 }, 1_500_000)
}

/// The manifest and the vendor list, as a delivery engineer would write them.
fn write_inputs(folder: &Path) -> Result<PathBuf, Failure> {
    let digest = |arch: &str| {
        let digest = crate::distribution::BlobReader::digest(&tool(arch));
        digest.map_err(|error| Failure::of(ExitCode::Bug, &error)).map(|digest| digest.hex())
    };
    let lists = folder.join("vendor-lists");
    std::fs::create_dir_all(&lists).map_err(failure::io("make", &lists))?;
    let vendor = format!(
        "apiVersion: ferry.dev/v1\nkind: VendorList\ncomponent: shopctl\nfiles:\n\
         - {{name: shopctl, url: \"{DOWNLOADS}/{{version}}/{{arch}}/shopctl\", executable: true}}\nversions:\n\
        \x20 v1.0.0: {{sha256: {{shopctl: {{amd64: \"{}\", arm64: \"{}\"}}}}}}\n",
        digest("amd64")?,
        digest("arm64")?
    );
    let manifest = format!(
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct:\n  name: shop\n  version: \"1.0\"\narches: [amd64, arm64]\n\
         components:\n- name: shopctl\n  version: v1.0.0\n  groups: [tools]\n\
         images:\n- name: {REGISTRY}/shop/api:1.0\n- name: {REGISTRY}/shop/web:1.0\n\
         charts:\n- name: shop\n  version: 1.0.0\n  repo: {CHARTS}\n  values: [values-site.yaml]\n\
         groups:\n  tools: Command line tools for operators\n"
    );
    let write =
        |path: PathBuf, text: &str| std::fs::write(&path, text).map_err(failure::io("write", &path)).map(|()| path);
    write(lists.join("shopctl.yaml"), &vendor)?;
    write(folder.join("values-site.yaml"), "replicas: 3\n")?;
    write(folder.join("site.yaml"), &manifest)
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
        "\nIn {folder}/:\n  site.yaml, vendor-lists/, values-site.yaml   what was asked for\n  site.lock.yaml                               what it resolved to\n  \
         release.key, release.pub, …                  who signed (release.key opens with identity.age.txt)\n  {bundle}   the bundle\n  \
         transfer-list.txt, .csv, sbom.json           what crosses the gate\n  volumes/, received/                          as it crossed in volumes, and what came out\n\nTry next:\n  \
         ferry-bundle verify {bundle} --trust {folder}/release.pub\n  \
         ferry-bundle serve {bundle} --trust {folder}/release.pub --listen 127.0.0.1:5000\n  \
         tar tf {bundle}"
    );
    let data = serde_json::json!({ "folder": folder.to_string(), "bundle": bundle.to_string() });
    context.reporter.event(&Event::Result { text, data });
}
