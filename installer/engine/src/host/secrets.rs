//! Where secrets come from: the terminal, the environment, age files. Each is asked for once a run.
//!
//! The terminal is a callback: the engine has none. Every secret that is handed out is taught to the redactor first.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::armor::ArmoredReader;
use ferry_bundle_format::sign::secret::passphrase_identity;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::ssh::Secrets;
use super::{HostError, HostErrorKind, Redactor, Secret};
use crate::site::file::{AgeRef, SecretRef};

/// Asks a person for a secret; the text says which. `None`: there is nobody to ask.
pub type Ask = Arc<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

/// Resolves references, and remembers what it has resolved.
pub struct SecretStore {
    folder: PathBuf,
    ask: Ask,
    redactor: Redactor,
    /// Answers and opened files. The lock is held while a question is open: hosts don't ask the same twice.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    answers: BTreeMap<String, Secret>,
    files: BTreeMap<PathBuf, BTreeMap<String, Secret>>,
}

impl SecretStore {
    /// References to files begin at `folder`, the site file's. `ask` may block; it runs on a thread of its own.
    pub fn new(folder: impl Into<PathBuf>, ask: Ask, redactor: Redactor) -> Self {
        Self { folder: folder.into(), ask, redactor, known: Mutex::default() }
    }

    async fn resolve(&self, reference: &SecretRef) -> Result<Secret, String> {
        let mut known = self.known.lock().await;
        match reference {
            SecretRef::Env(name) => match std::env::var(name) {
                Ok(text) => Ok(Secret::new(text)),
                Err(std::env::VarError::NotPresent) => Err(format!("the environment variable {name} is not set")),
                Err(std::env::VarError::NotUnicode(_)) => Err(format!("the environment variable {name} is not UTF-8")),
            },
            SecretRef::Prompt(text) => self.answer(&mut known, text).await,
            SecretRef::Age(reference) => {
                let path = self.folder.join(&reference.file);
                if !known.files.contains_key(&path) {
                    let values = self.open(&mut known, &path, reference).await?;
                    known.files.insert(path.clone(), values);
                }
                let found = known.files[&path].get(&reference.name).cloned();
                found.ok_or_else(|| format!("{} holds no value of the name {:?}", path.display(), reference.name))
            }
        }
    }

    async fn answer(&self, known: &mut Known, text: &str) -> Result<Secret, String> {
        if let Some(secret) = known.answers.get(text) {
            return Ok(secret.clone());
        }
        let (ask, question) = (self.ask.clone(), text.to_owned());
        let asked = tokio::task::spawn_blocking(move || ask(&question)).await.map_err(|error| error.to_string())?;
        let secret = asked.ok_or_else(|| format!("nobody is there to answer {text:?}: use `env` or `age` instead"))?;
        known.answers.insert(text.to_owned(), secret.clone());
        Ok(secret)
    }

    async fn open(
        &self,
        known: &mut Known,
        path: &Path,
        reference: &AgeRef,
    ) -> Result<BTreeMap<String, Secret>, String> {
        let sealed = fs::read(path).map_err(|error| format!("can't read {}: {error}", path.display()))?;
        let key = match &reference.identity {
            Some(file) => {
                let file = self.folder.join(file);
                let text = fs::read_to_string(&file);
                Key::Identity(Secret::new(text.map_err(|error| format!("can't read {}: {error}", file.display()))?))
            }
            None => Key::Passphrase(self.answer(known, &format!("Passphrase of {}", path.display())).await?),
        };
        self.redactor.learn(key.secret());
        let (place, question) = (path.display().to_string(), format!("Passphrase of {}", path.display()));
        let opened = tokio::task::spawn_blocking(move || decrypt(&sealed, &key).and_then(|text| values(&text)));
        let opened = opened.await.map_err(|error| error.to_string())?;
        if opened.is_err() {
            known.answers.remove(&question);
        }
        opened.map_err(|error| format!("{place}: {error}"))
    }
}

impl Secrets for SecretStore {
    fn get<'a>(&'a self, reference: &'a SecretRef) -> BoxFuture<'a, Result<Secret, HostError>> {
        Box::pin(async move {
            let secret = self.resolve(reference).await.map_err(|why| HostError::new("", HostErrorKind::Secret(why)))?;
            self.redactor.learn(&secret);
            Ok(secret)
        })
    }
}

enum Key {
    Passphrase(Secret),
    Identity(Secret),
}

impl Key {
    fn secret(&self) -> &Secret {
        match self {
            Self::Passphrase(secret) | Self::Identity(secret) => secret,
        }
    }
}

fn decrypt(sealed: &[u8], key: &Key) -> Result<Secret, String> {
    let decryptor = age::Decryptor::new(ArmoredReader::new(sealed)).map_err(|error| error.to_string())?;
    let reader = match key {
        Key::Passphrase(secret) => {
            let identity = passphrase_identity(secret.expose());
            decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))
        }
        Key::Identity(secret) => {
            let lines = secret.expose().lines().map(str::trim).filter(|line| line.starts_with("AGE-SECRET-KEY-"));
            let identities: Vec<age::x25519::Identity> = lines.filter_map(|line| line.parse().ok()).collect();
            if identities.is_empty() {
                return Err("the identity file holds no AGE-SECRET-KEY".to_owned());
            }
            decryptor.decrypt(identities.iter().map(|identity| identity as &dyn age::Identity))
        }
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    reader.map_err(|error| error.to_string())?.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(Secret::new(text.as_str()))
}

/// Lines of `name: value`; empty ones and those that begin with `#` are skipped. Errors never show a line.
fn values(text: &Secret) -> Result<BTreeMap<String, Secret>, String> {
    let mut values = BTreeMap::new();
    for (number, line) in text.expose().lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| format!("line {} is not `name: value`", number + 1))?;
        if values.insert(name.trim().to_owned(), Secret::new(value.trim())).is_some() {
            return Err(format!("line {} gives a name for the second time", number + 1));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn sealed(encryptor: age::Encryptor, text: &str, armored: bool) -> Vec<u8> {
        use age::armor::{ArmoredWriter, Format};
        let mut out = Vec::new();
        let format = if armored { Format::AsciiArmor } else { Format::Binary };
        let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(&mut out, format).unwrap()).unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap().finish().unwrap();
        out
    }

    fn age_ref(file: &str, name: &str, identity: Option<&str>) -> SecretRef {
        SecretRef::Age(AgeRef { file: file.into(), name: name.into(), identity: identity.map(str::to_owned) })
    }

    #[tokio::test]
    async fn every_reference_is_resolved_once_and_taught() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let text = "# passwords\nops: first: value\n\nroot:second\n";
        let mut scrypt = age::scrypt::Recipient::new("the passphrase".to_owned().into());
        scrypt.set_work_factor(2);
        let locked = age::Encryptor::with_recipients(std::iter::once(&scrypt as &dyn age::Recipient)).unwrap();
        write("locked.age", &sealed(locked, text, true));
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let keyed = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
        write("keyed.age", &sealed(keyed, text, false));
        write("identity", age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).as_bytes());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let ask: Ask = Arc::new(move |question| {
            count.fetch_add(1, Ordering::Relaxed);
            question
                .contains("locked.age")
                .then(|| Secret::new("the passphrase"))
                .or_else(|| Some(Secret::new("typed")))
        });
        let redactor = Redactor::default();
        let store = SecretStore::new(folder.path(), ask, redactor.clone());
        let path = SecretRef::Env("PATH".into());
        for _ in 0..2 {
            for (reference, expected) in [
                (&SecretRef::Prompt("Password?".into()), "typed"),
                (&age_ref("locked.age", "ops", None), "first: value"),
                (&age_ref("locked.age", "root", None), "second"),
                (&age_ref("keyed.age", "root", Some("identity")), "second"),
                (&path, std::env::var("PATH").unwrap().as_str()),
            ] {
                assert_eq!(store.get(reference).await.unwrap().expose(), expected);
            }
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2, "one question each");
        assert_eq!(redactor.redact("typed second the passphrase"), "«secret» «secret» «secret»");
        for (reference, expected) in [
            (age_ref("locked.age", "nobody", None), "holds no value of the name"),
            (age_ref("absent.age", "ops", None), "can't read"),
            (age_ref("keyed.age", "ops", None), "keyed.age"),
            (age_ref("identity", "ops", None), "identity"),
            (SecretRef::Env("FERRY_TEST_UNSET".into()), "is not set"),
        ] {
            let store = SecretStore::new(folder.path(), store.ask.clone(), redactor.clone());
            let error = store.get(&reference).await.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("second"), "{error}");
        }
    }
}
