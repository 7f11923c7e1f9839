//! What the site has: written down when all steps of a bundle are done, signed on demand by the site's own key, and carried
//! back to whoever makes the next upgrade package.
//!
//! ```text
//! STATE/installed.json    the receipt's content, not signed; replaced by each bundle that was applied
//! vault: receipt/site.key the key, made when it is first asked for; it signs receipts and nothing else
//! ```

use ferry_bundle_format::name::Name;
use ferry_bundle_format::open::VerifiedBundle;
use ferry_bundle_format::receipt::Receipt;
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::store::write_atomically;
use ferry_engine::vault::Vault;

use crate::failure::{self, ExitCode, Failure};
use crate::session::Session;

/// The file in the state folder.
const FILE: &str = "installed.json";

/// The key's name in the vault.
const KEY: &str = "receipt/site.key";

/// Notes that the site has this bundle now.
pub(crate) fn record(session: &Session, bundle: &VerifiedBundle) -> Result<(), Failure> {
    let site = Name::parse(&session.site.cluster).map_err(|error| Failure::of(ExitCode::Input, &error))?;
    let receipt = Receipt::of(site, bundle.index(), bundle.id());
    let text = serde_json::to_vec_pretty(&receipt).map_err(|error| Failure::of(ExitCode::Bug, &error))?;
    let path = session.state.join(FILE);
    write_atomically(&path, &text).map_err(failure::file("write", &path))
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
