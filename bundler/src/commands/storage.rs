//! How blobs are stored in the bundle that `pack` and `make` write: as they are, or compact; all of them, or what is new
//! since something earlier.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferry_bundle_format::assemble::{SignedBundle, UnsignedBundle};
use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::lock::contents::Contents;
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::receipt::{Receipt, ReceiptCode};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::sign::statement::{self, StatementError};
use ferry_bundle_format::store::Store;
use ferry_bundle_format::trust::TrustPolicy;

use super::lock::read;
use crate::cli::{Context, processors, resign};
use crate::event::Event;
use crate::failure::{self, ExitCode, Failure};
use crate::fetch::{Fetcher, StoreTarget};
use crate::pack::{self, Against, Since, Stock};

/// How blobs are stored, and which.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// verbatim: every blob as it is, as fast as the disk. compact: layers smaller by a quarter or more, and slower to
    /// make and to bring in; their digests stay. Full bundles are verbatim and upgrade packages compact if nothing is said.
    #[arg(long, value_name = "HOW")]
    pub storage: Option<Storage>,
    /// Make an upgrade package: leave out what this earlier lock or bundle, or the site that signed this receipt (or read its
    /// code out), has. Repeatable; then it fits each of them.
    #[arg(long, value_name = "LOCK|BUNDLE|RECEIPT|CODE")]
    pub since: Vec<PathBuf>,
    /// A full bundle in spite of --since: it needs nothing that was there before.
    #[arg(long)]
    pub self_contained: bool,
}

/// Verbatim or compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Storage {
    /// Every blob as it is.
    Verbatim,
    /// Layers as plain bytes under zstd, made again on site.
    Compact,
}

impl StorageArgs {
    /// Whether anything is packed or left out: such a bundle is made from a store.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.storage == Some(Storage::Compact) || self.is_upgrade()
    }

    fn is_upgrade(&self) -> bool {
        !self.since.is_empty() && !self.self_contained
    }

    fn bases(&self, lock: &Lock) -> Result<Vec<Since>, Failure> {
        let given = if self.is_upgrade() { &self.since[..] } else { &[] };
        let bases: Vec<Since> = given.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        pack::check_bases(lock, &bases)?;
        Ok(bases)
    }

    /// `lock` as the release after what `--since` names, whatever its manifest is called.
    pub fn following(&self, lock: Lock) -> Result<Lock, Failure> {
        let bases: Vec<Since> = self.since.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        Ok(pack::following(lock, &bases))
    }

    /// Brings the older layers that new ones may lean on and that are not at hand, each by its digest, from where it came
    /// from then. Not having them makes the package larger, not wrong.
    pub async fn bring_older(&self, lock: &Lock, store: &Store, fetcher: &Fetcher) -> Result<(), Failure> {
        if self.storage == Some(Storage::Verbatim) {
            return Ok(());
        }
        let bases = self.bases(lock)?;
        let wanting = pack::wanting(&pack::replaced(lock, &bases), &bases, store);
        let mut contents = Contents::default();
        for base in &bases {
            let wanted = base.contents.blobs.iter().filter(|(digest, _)| wanting.contains(*digest));
            contents.blobs.extend(wanted.map(|(digest, blob)| (*digest, blob.clone())));
        }
        if contents.blobs.is_empty() {
            return Ok(());
        }
        if let Err(error) = fetcher.fetch(&contents, Arc::new(StoreTarget(store.clone()))).await {
            let text = format!("older layers can't be had ({error}); what would lean on them is carried in full");
            fetcher.reporter.event(&Event::Warning { text });
        }
        Ok(())
    }

    /// What is left out and what can be leaned on.
    pub fn against(&self, lock: &Lock, store: &Store, context: &Context) -> Result<Against, Failure> {
        let bases = self.bases(lock)?;
        let verbatim = self.storage == Some(Storage::Verbatim);
        let replaced = if verbatim { pack::Replaced::new() } else { pack::replaced(lock, &bases) };
        let wanting = pack::wanting(&replaced, &bases, store).len();
        if wanting > 0 {
            let text = format!("{wanting} older layers are not at hand; what would lean on them is carried in full");
            context.reporter.event(&Event::Note { text });
        }
        Ok(Against { verbatim, ..pack::against(&replaced, &bases, store) })
    }
}

/// Something earlier: a bundle or a lock.
fn open(path: &Path) -> Result<Since, Failure> {
    if !path.exists() {
        return open_code(path);
    }
    let mut magic = [0; 10];
    let read_magic = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read_magic.map_err(failure::io("read", path))?;
    if magic[0] == b'{' {
        return open_receipt(path);
    }
    if &magic != b"README.txt" {
        let lock = read(path)?;
        return Ok(Since { contents: Contents::of(&lock)?, lock, bundle: None });
    }
    // It is read here to leave things out and to lean on: every byte that is used has its digest compared.
    let policy = TrustPolicy { insecure_unsigned: true, ..TrustPolicy::default() };
    let bundle = UnverifiedBundle::open(path)?.trust(&policy, &Silent)?;
    let lock = bundle.lock()?;
    Ok(Since { contents: Contents::of(&lock)?, lock, bundle: Some(Arc::new(bundle)) })
}

/// Where there is no such file, it may be what was read over a telephone: the code of a receipt.
fn open_code(path: &Path) -> Result<Since, Failure> {
    let code = ReceiptCode::parse(&path.to_string_lossy()).map_err(|error| {
        let text = format!("there is no file {}, and as a receipt's code it can't be read: {error}", path.display());
        Failure::new(ExitCode::Input, text)
    })?;
    look(Path::new("."), |lock| code.means(&lock.digest(), lock.serial))?.ok_or_else(|| {
        let text =
            format!("the code {} means serial {}, and its lock is not in this folder", path.display(), code.serial);
        Failure::new(ExitCode::Input, text).hint("run the command where the lock or the bundle of that serial is")
    })
}

/// What a receipt acknowledges: the lock or bundle of that digest, in the receipt's folder. Who signed it is not asked: a
/// package against something else does not apply, and no more than that can happen.
fn open_receipt(path: &Path) -> Result<Since, Failure> {
    let refuse = |error: &StatementError| {
        Failure::of(ExitCode::Input, error).while_doing(format!("{} is refused", path.display()))
    };
    let file = std::fs::read(path).map_err(failure::io("read", path))?;
    let (receipt, _) = statement::read::<Receipt>(&file).map_err(|error| refuse(&error))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    look(folder, |lock| lock.digest() == receipt.lock)?.ok_or_else(|| {
        let text =
            format!("{} acknowledges lock {}, which is not in {}", path.display(), receipt.lock, folder.display());
        let hint = format!("put the lock or the bundle of serial {} beside the receipt", receipt.serial);
        Failure::new(ExitCode::Input, text).hint(hint)
    })
}

/// The lock in a folder that is meant, in a bundle if there is one: older layers can be read from that. A bundle with all of
/// them is preferred to an upgrade package.
fn look(folder: &Path, is_meant: impl Fn(&Lock) -> bool) -> Result<Option<Since>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(failure::io("read", folder))?;
    let mut candidates: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "ferry" || end == "yaml"))
        .collect();
    candidates.sort();
    let found = candidates.iter().filter_map(|path| open(path).ok()).filter(|since| is_meant(&since.lock));
    Ok(found.max_by_key(|since| since.bundle.as_ref().map_or(0, |bundle| if bundle.needs_base() { 1 } else { 2 })))
}

/// The bundle of `lock` with blobs packed or left out, signed as `full` was, and where its bytes are. The store must be
/// held.
pub(super) fn packed<'a>(
    lock: &Lock,
    full: &SignedBundle,
    keys: &[SecretKey],
    store: &'a Store,
    against: &Against,
    context: &Context,
) -> Result<(SignedBundle, Stock<'a>), Failure> {
    let (stock, packing) = Stock::compact(store, full, against, processors(), context.reporter.as_ref())?;
    Ok((resign(UnsignedBundle::packed(lock, &packing)?, keys), stock))
}
