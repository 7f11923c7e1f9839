//! Secret keys at rest: an age file, protected by a passphrase or for an age identity, never plain.

use std::io::{Read, Write};
use std::str::FromStr;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::key::SecretKey;

/// What the decrypted text begins with.
const PREFIX: &str = "ferry-secret-key-v1:";

/// How a secret key is protected.
pub enum Protection {
    /// By a passphrase (scrypt).
    Passphrase(Zeroizing<String>),
    /// For an age recipient, `age1…`.
    Recipient(String),
}

/// What opens a secret key.
pub enum Opening {
    /// A passphrase.
    Passphrase(Zeroizing<String>),
    /// The content of an age identity file.
    Identity(Zeroizing<String>),
}

/// Why a secret key can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not an `age1…` recipient.
    #[error("{0:?} is not an age recipient (age1…)")]
    Recipient(String),
    /// No identity in the file.
    #[error("the identity file holds no AGE-SECRET-KEY")]
    Identity,
    /// The file is not an age file, or the passphrase or identity does not fit.
    #[error("the key can't be opened")]
    Open(#[source] age::DecryptError),
    /// The file can't be sealed.
    #[error("the key can't be sealed")]
    Seal(#[source] std::io::Error),
    /// Opened, but not a ferry key.
    #[error("the file opens, but holds no ferry key")]
    NotAKey,
}

/// A new age identity (`AGE-SECRET-KEY-…`) and its recipient: for the demo and for machines that sign.
#[must_use]
pub fn generate_identity() -> (Zeroizing<String>, String) {
    let identity = age::x25519::Identity::generate();
    (Zeroizing::new(identity.to_string().expose_secret().to_owned()), identity.to_public().to_string())
}

/// Whether a key file asks for a passphrase.
#[must_use]
pub fn wants_passphrase(file: &[u8]) -> bool {
    age::Decryptor::new(ArmoredReader::new(file)).is_ok_and(|decryptor| decryptor.is_scrypt())
}

/// How much work a guess at a passphrase costs: scrypt with N = 2^17, r = 8, p = 1 (the OWASP Password Storage Cheat Sheet's
/// first choice; 128 MiB). Fixed, because age would choose by how fast the machine seems at the moment.
pub const WORK: u8 = 17;
/// The most work that is done to open a file: N = 2^20, 1 GiB. Fixed for the same reason: a busy machine must not refuse what
/// a fast one has sealed.
const MOST_WORK: u8 = 20;

/// Seals by a passphrase.
#[must_use]
pub fn passphrase_recipient(passphrase: &str) -> age::scrypt::Recipient {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase.to_owned()));
    recipient.set_work_factor(WORK);
    recipient
}

/// Opens what was sealed by a passphrase.
#[must_use]
pub fn passphrase_identity(passphrase: &str) -> age::scrypt::Identity {
    let mut identity = age::scrypt::Identity::new(SecretString::from(passphrase.to_owned()));
    identity.set_max_work_factor(MOST_WORK);
    identity
}

/// The content of a `.key` file.
pub fn seal(key: &SecretKey, protection: &Protection) -> Result<String, SecretError> {
    let encryptor = match protection {
        Protection::Passphrase(text) => {
            let recipient = passphrase_recipient(text);
            age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                .map_err(|error| SecretError::Seal(std::io::Error::other(error.to_string())))?
        }
        Protection::Recipient(text) => {
            let recipient = age::x25519::Recipient::from_str(text).map_err(|_| SecretError::Recipient(text.clone()))?;
            age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
                .map_err(|_| SecretError::Recipient(text.clone()))?
        }
    };
    let plain = Zeroizing::new(format!("{PREFIX}{}\n", BASE64.encode(key.seed())));
    let write = || -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(&mut out, Format::AsciiArmor)?)?;
        writer.write_all(plain.as_bytes())?;
        writer.finish()?.finish()?;
        Ok(out)
    };
    write().map(|out| String::from_utf8_lossy(&out).into_owned()).map_err(SecretError::Seal)
}

/// Opens a `.key` file.
pub fn open(file: &[u8], opening: &Opening) -> Result<SecretKey, SecretError> {
    let decryptor = age::Decryptor::new(ArmoredReader::new(file)).map_err(SecretError::Open)?;
    let identity: Box<dyn age::Identity> = match opening {
        Opening::Passphrase(text) => Box::new(passphrase_identity(text)),
        Opening::Identity(text) => {
            let line = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-"));
            let identity = line.and_then(|line| age::x25519::Identity::from_str(line).ok());
            Box::new(identity.ok_or(SecretError::Identity)?)
        }
    };
    let reader = decryptor.decrypt(std::iter::once(&*identity)).map_err(SecretError::Open)?;
    let mut plain = Zeroizing::new(String::new());
    reader.take(1024).read_to_string(&mut plain).map_err(|_| SecretError::NotAKey)?;
    let seed = plain.trim_end().strip_prefix(PREFIX).and_then(|text| BASE64.decode(text).ok());
    let seed: [u8; 32] = seed.and_then(|seed| seed.try_into().ok()).ok_or(SecretError::NotAKey)?;
    Ok(SecretKey::from_seed(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_opens_what_was_sealed_for_it_and_no_other_does() {
        let key = SecretKey::from_seed([9; 32]);
        let (identity, recipient) = generate_identity();
        let file = seal(&key, &Protection::Recipient(recipient)).unwrap();
        assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !wants_passphrase(file.as_bytes()));
        let opened = open(file.as_bytes(), &Opening::Identity(identity)).unwrap();
        assert_eq!(opened.public(), key.public());
        let (other, _) = generate_identity();
        assert!(matches!(open(file.as_bytes(), &Opening::Identity(other)), Err(SecretError::Open(_))));
    }

    #[test]
    fn a_passphrase_opens_and_a_wrong_one_does_not() {
        let key = SecretKey::from_seed([9; 32]);
        let text = |t: &str| Zeroizing::new(t.to_owned());
        let file = seal(&key, &Protection::Passphrase(text("correct horse"))).unwrap();
        assert!(wants_passphrase(file.as_bytes()));
        assert_eq!(open(file.as_bytes(), &Opening::Passphrase(text("correct horse"))).unwrap().public(), key.public());
        assert!(open(file.as_bytes(), &Opening::Passphrase(text("wrong"))).is_err());
        assert!(!format!("{key:?}").contains(&BASE64.encode([9; 32])));
    }
}
