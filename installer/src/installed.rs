//! What the site has: written down when all steps of a bundle are done, signed on demand by the site's own key, and carried
//! back to whoever makes the next upgrade package.
//!
//! ```text
//! STATE/installed.json    the receipt's content, not signed; replaced by each bundle that was applied
//! STATE/images.json       the images of every serial that was installed: which pods run an earlier one is told by it
//! vault: receipt/site.key the key, made when it is first asked for; it signs receipts and nothing else
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::name::Name;
use ferry_bundle_format::receipt::Receipt;
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::store::write_atomically;
use ferry_engine::accept::digests;
use ferry_engine::supply::Supply;
use ferry_engine::vault::Vault;
use serde::{Deserialize, Serialize};

use crate::failure::{self, ExitCode, Failure};
use crate::session::Session;

/// The file in the state folder.
const FILE: &str = "installed.json";

/// The file with the images of earlier serials.
const IMAGES: &str = "images.json";

/// How many serials are remembered.
const KEPT: usize = 20;

/// The key's name in the vault.
const KEY: &str = "receipt/site.key";

/// Notes that the site has this bundle now.
pub(crate) fn record(session: &Session, supply: &Supply) -> Result<(), Failure> {
    let bundle = supply.bundle();
    remember(&session.state.join(IMAGES), supply.lock())?;
    let site = Name::parse(&session.site.cluster).map_err(|error| Failure::of(ExitCode::Input, &error))?;
    let receipt = Receipt::of(site, bundle.index(), bundle.id());
    let text = serde_json::to_vec_pretty(&receipt).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
    let path = session.state.join(FILE);
    write_atomically(&path, &text).map_err(failure::file("write", &path))
}

/// The images of a serial, by the digests under which a container runtime knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Installed {
    product: Name,
    channel: Name,
    serial: u64,
    images: BTreeMap<Digest, String>,
}

impl Installed {
    fn of(lock: &Lock) -> Self {
        let mut images = BTreeMap::new();
        for image in &lock.images {
            images.extend(digests(image).into_iter().map(|digest| (digest, image.name.to_string())));
        }
        Self { product: lock.product.name.clone(), channel: lock.product.channel.clone(), serial: lock.serial, images }
    }
}

/// Adds a lock's images to those that are known. The newest of them stands last.
fn remember(path: &Path, lock: &Lock) -> Result<(), Failure> {
    let new = Installed::of(lock);
    let mut serials = serials(path);
    serials.retain(|one| (&one.product, &one.channel, one.serial) != (&new.product, &new.channel, new.serial));
    serials.push(new);
    let first = serials.len().saturating_sub(KEPT);
    let text = serde_json::to_vec(&serials[first..]).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
    write_atomically(path, &text).map_err(failure::file("write", path))
}

/// What is known of serials that were installed. A note that is lost costs words, not correctness: images that nobody knows
/// are a fault.
fn serials(path: &Path) -> Vec<Installed> {
    std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// The images of all serials that were installed from this state folder, with their names.
pub(crate) fn images(state: &Path) -> BTreeMap<Digest, String> {
    serials(&state.join(IMAGES)).into_iter().flat_map(|one| one.images).collect()
}

/// The note of what the site has, where there is one that can be read.
pub(crate) fn noted(state: &Path) -> Option<Receipt> {
    serde_json::from_slice(&std::fs::read(state.join(FILE)).ok()?).ok()
}

/// What the site has.
pub(crate) fn read(session: &Session) -> Result<Receipt, Failure> {
    let path = session.state.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("nothing has been installed from {} yet", session.state.display());
            return Err(Failure::new(ExitCode::Input, text).hint(
                "a receipt is for what stands: ferry-install install; or give --state, if the site's is elsewhere",
            ));
        }
        Err(error) => return Err(failure::file("read", &path)(error)),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let mut failure = Failure::of(ExitCode::Input, &error);
        failure.causes.insert(0, format!("can't use {}", path.display()));
        failure.hint("run install again with the bundle that the site has: it changes nothing and writes the file anew")
    })
}

/// The site's own key: from the vault, or made and put there.
pub(crate) fn key(vault: &mut Vault) -> Result<SecretKey, Failure> {
    if let Some(text) = vault.get(KEY) {
        return SecretKey::from_vault(text.expose()).map_err(|error| {
            let mut failure = Failure::of(ExitCode::Secret, &error);
            failure.causes.insert(0, format!("the vault's {KEY} is no key"));
            failure
        });
    }
    let key = SecretKey::generate().map_err(|error| Failure::of(ExitCode::Machine, &error))?;
    vault.put(KEY, key.to_vault().as_str());
    vault.save()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_engine::host::Secret;
    use ferry_engine::vault::VaultKey;

    #[test]
    fn the_images_of_earlier_serials_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IMAGES);
        assert!(images(folder.path()).is_empty());
        let mut lock = ferry_bundle_format::fake::Fake::new(1, 10).lock;
        let first = Installed::of(&lock).images;
        assert!(!first.is_empty());
        remember(&path, &lock).unwrap();
        remember(&path, &lock).unwrap();
        assert_eq!(serials(&path).len(), 1);
        lock.serial += 1;
        lock.images = ferry_bundle_format::fake::Fake::new(2, 10).lock.images;
        remember(&path, &lock).unwrap();
        let known = images(folder.path());
        assert!(first.keys().all(|digest| known.contains_key(digest)) && known.len() > first.len());
        for serial in 10..40 {
            lock.serial = serial;
            remember(&path, &lock).unwrap();
        }
        assert_eq!(serials(&path).len(), KEPT);
        std::fs::write(&path, "no list").unwrap();
        assert!(images(folder.path()).is_empty());
    }

    #[test]
    fn the_sites_key_stays_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let identity = ferry_bundle_format::sign::secret::generate_identity().0;
        let open = || {
            let key = VaultKey::Identity(Secret::new(identity.as_str()));
            Vault::open(&folder.path().join("vault.age"), key).unwrap()
        };
        let first = key(&mut open()).unwrap().public();
        assert_eq!(key(&mut open()).unwrap().public(), first);
        let mut vault = open();
        vault.put(KEY, "not a key");
        assert_eq!(key(&mut vault).unwrap_err().code, ExitCode::Secret);
    }
}
