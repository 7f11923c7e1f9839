//! `lock`: a manifest becomes a lock; what moved since the last one is shown.

use std::path::{Path, PathBuf};

use ferry_bundle_format::lock::{ChangeKind, Lock, Timestamp, diff};
use ferry_bundle_format::manifest::Manifest;
use ferry_bundle_format::store::write_atomically;

use crate::cli::{Context, NetworkArgs};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};
use crate::names;
use crate::resolve::Resolver;
use crate::vendor::VendorLists;

/// Flags of `lock`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ferry-bundle lock manifests/site.yaml            # writes site.lock.yaml, prints what changed\n  ferry-bundle lock manifests/site.yaml --check    # exit code 6 if anything moved\n  ferry-bundle lock manifests/site.yaml --mirror registry.k8s.io=mirror.example/k8s"
)]
pub struct Args {
    /// The manifest.
    pub manifest: PathBuf,
    /// How the manifest is resolved.
    #[command(flatten)]
    pub resolving: ResolvingArgs,
    /// Write nothing; exit with code 6 if the lock is no longer what the manifest resolves to.
    #[arg(long, conflicts_with = "frozen")]
    pub check: bool,
    /// Ask no server; fail unless the lock is there and asks for what the manifest asks for.
    #[arg(long)]
    pub frozen: bool,
    /// How to reach servers.
    #[command(flatten)]
    pub network: NetworkArgs,
}

/// How a manifest is resolved; `make` takes the same.
#[derive(Debug, Clone, clap::Args)]
pub struct ResolvingArgs {
    /// The lock; NAME.lock.yaml in the current folder for a manifest NAME.yaml.
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// A folder of vendor lists that override the built-in ones. Repeatable, later ones first.
    #[arg(long, value_name = "FOLDER")]
    pub vendor_lists: Vec<PathBuf>,
    /// How many lookups and transfers run at once.
    #[arg(long, short, value_name = "N", default_value_t = 8)]
    pub jobs: usize,
}

/// Locks.
pub async fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let path = args.resolving.lock_path(&args.manifest);
    let last = read_if_there(&path)?;
    if args.frozen {
        let (manifest, _) = read_manifest(&args.manifest, &path)?;
        let lock = last.ok_or_else(|| {
            Failure::new(ExitCode::Drift, format!("{} is not there", path.display()))
                .hint("run `ferry-bundle lock` where there is a network")
        })?;
        check_frozen(&manifest, &lock)?;
        finish(context, &path, &lock, "is what the manifest asks for");
        return Ok(());
    }
    let lock = args.resolving.resolve(&args.manifest, last.as_ref(), &args.network, context).await?;
    let Some(last) = last else {
        if args.check {
            return Err(Failure::new(ExitCode::Drift, format!("{} is not there", path.display()))
                .hint("run `ferry-bundle lock` without --check"));
        }
        write(&path, &lock)?;
        finish(context, &path, &lock, "written");
        return Ok(());
    };
    show_changes(&last, &lock, context);
    if lock.same_content(&last) {
        finish(context, &path, &last, "is up to date");
        return Ok(());
    }
    if args.check {
        return Err(Failure::new(
            ExitCode::Drift,
            format!("{} is no longer what {} resolves to", path.display(), args.manifest.display()),
        )
        .hint("look at the changes above, then run `ferry-bundle lock` without --check"));
    }
    write(&path, &lock)?;
    finish(context, &path, &lock, "written");
    Ok(())
}

impl ResolvingArgs {
    /// Where the lock of a manifest stands.
    #[must_use]
    pub fn lock_path(&self, manifest: &Path) -> PathBuf {
        self.lock.clone().unwrap_or_else(|| {
            let stem = manifest.file_stem().unwrap_or_default().to_string_lossy();
            PathBuf::from(format!("{stem}.lock.yaml"))
        })
    }

    /// Resolves a manifest against the network.
    pub async fn resolve(
        &self,
        manifest: &Path,
        last: Option<&Lock>,
        network: &NetworkArgs,
        context: &Context,
    ) -> Result<Lock, Failure> {
        let (manifest, base) = read_manifest(manifest, &self.lock_path(manifest))?;
        let vendors = VendorLists::load(&self.vendor_lists).map_err(|error| Failure::of(ExitCode::Input, &error))?;
        let resolver =
            Resolver { client: network.client(context)?, reporter: context.reporter.clone(), jobs: self.jobs, base };
        Ok(resolver.resolve(&manifest, &vendors, last, now()).await?)
    }
}

/// The manifest, its local paths made relative to the lock's folder, and that folder.
pub(crate) fn read_manifest(path: &Path, lock: &Path) -> Result<(Manifest, PathBuf), Failure> {
    let text = std::fs::read_to_string(path).map_err(failure::io("read", path))?;
    let mut manifest = Manifest::parse(path, &text)?;
    let base = folder_of(lock);
    let from = std::path::absolute(folder_of(path)).map_err(failure::io("find", path))?;
    let to = std::path::absolute(&base).map_err(failure::io("find", &base))?;
    manifest.rebase(&relative(&to, &from));
    Ok((manifest, base))
}

/// The folder of a file; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// The way from one absolute folder to another.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| std::path::Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

fn now() -> Timestamp {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    Timestamp::from_unix(epoch.unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_secs()).unwrap_or(0)
    }))
}

/// Reads a lock.
pub(crate) fn read(path: &Path) -> Result<Lock, Failure> {
    let text = std::fs::read_to_string(path).map_err(failure::io("read", path))?;
    Ok(Lock::parse(path, &text)?)
}

fn read_if_there(path: &Path) -> Result<Option<Lock>, Failure> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// The last lock for `make`, if there is one.
pub(crate) fn last(path: &Path) -> Result<Option<Lock>, Failure> {
    read_if_there(path)
}

pub(crate) fn write(path: &Path, lock: &Lock) -> Result<(), Failure> {
    write_atomically(path, lock.to_yaml().as_bytes()).map_err(failure::io("write", path))
}

pub(crate) fn show_changes(last: &Lock, lock: &Lock, context: &Context) {
    for change in diff(last, lock) {
        let kind = match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
            ChangeKind::Moved => "moved",
        };
        context.reporter.event(&Event::Change { kind, text: change.to_string() });
    }
}

/// Whether a lock holds what a manifest asks for by name. The network is not asked.
pub(crate) fn check_frozen(manifest: &Manifest, lock: &Lock) -> Result<(), Failure> {
    let mut missing = Vec::new();
    if lock.product != manifest.product || lock.arches != manifest.arches || lock.groups != manifest.groups {
        missing.push("product, arches or groups".to_owned());
    }
    for component in &manifest.components {
        if !lock.components.iter().any(|c| c.name == component.name && c.version == component.version) {
            missing.push(format!("component {} {}", component.name, component.version));
        }
    }
    for image in &manifest.images {
        if !lock
            .images
            .iter()
            .any(|i| i.name == image.reference && i.manifests.iter().map(|m| m.arch).eq(image.arches.iter().copied()))
        {
            missing.push(format!("image {}", image.reference));
        }
    }
    for chart in &manifest.charts {
        if !lock.charts.iter().any(|c| c.name == chart.name && c.version == chart.version) {
            missing.push(format!("chart {} {}", chart.name, chart.version));
        }
    }
    for file in &manifest.files {
        if !lock.files.iter().any(|f| f.name == file.name && f.version == file.version && f.arch == file.arch) {
            missing.push(format!("file {}", file.name));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Drift,
        format!("the lock does not hold what the manifest asks for:\n  {}", missing.join("\n  ")),
    )
    .hint("run `ferry-bundle lock` where there is a network"))
}

/// Refuses a lock in which one name is two things; says where `push` and `serve` will have to tell two apart.
pub(crate) fn check_names(lock: &Lock, context: &Context) -> Result<(), Failure> {
    names::check(lock)?;
    for text in names::notes(lock) {
        context.reporter.event(&Event::Note { text });
    }
    Ok(())
}

fn finish(context: &Context, path: &Path, lock: &Lock, what: &str) {
    let text = format!(
        "{} {what}: serial {}, {} images, {} charts, {} files",
        path.display(),
        lock.serial,
        lock.images.len(),
        lock.charts.len(),
        lock.files.len()
    );
    let data = serde_json::json!({ "lock": path, "digest": lock.digest(), "serial": lock.serial });
    context.reporter.event(&Event::Result { text, data });
}
