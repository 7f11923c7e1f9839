//! Ed25519 keys: the pair, its public text form, its fingerprint.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::Digest;

/// The word a public key's line begins with.
const KEY_TYPE: &str = "ferry-ed25519";

/// SHA-256 of a public key: how keys are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    /// The first 16 bytes in groups of four digits, to be compared aloud by two people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.0.hex();
        let groups: Vec<_> = (0..8).map(|n| &hex[n * 4..n * 4 + 4]).collect();
        f.write_str(&groups.join("-"))
    }
}

/// A public key that is a valid point and not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Why a text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a ferry public key: {0}")]
pub struct KeyError(&'static str);

impl PublicKey {
    /// From 32 bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        match ed25519_dalek::VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(bytes)),
            _ => Err(KeyError("these 32 bytes are no usable Ed25519 key")),
        }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.0))
    }

    /// Whether `signature` is this key's over `message`, by the strict rules of the library: no malleable
    /// signatures, no keys of small order.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0);
        let signature = ed25519_dalek::Signature::from_slice(signature);
        matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_strict(message, &signature).is_ok())
    }

    /// The content of a `.pub` file: a comment with the fingerprint, and `ferry-ed25519 <base64> <name>`.
    #[must_use]
    pub fn to_file(&self, name: &str) -> String {
        format!("# ferry release key, fingerprint {}\n{KEY_TYPE} {} {name}\n", self.id(), BASE64.encode(self.0))
    }

    /// Reads a `.pub` file: one key a line, `#` begins a comment.
    pub fn read_file(text: &str) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_ascii_whitespace();
            if words.next() != Some(KEY_TYPE) {
                return Err(KeyError("a line does not begin with `ferry-ed25519`"));
            }
            keys.push(Self::from_base64(words.next().unwrap_or_default())?);
        }
        if keys.is_empty() { Err(KeyError("the file holds no key")) } else { Ok(keys) }
    }

    fn from_base64(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64.decode(text).map_err(|_| KeyError("the key is not base64"))?;
        Self::from_bytes(bytes.try_into().map_err(|_| KeyError("the key is not 32 bytes"))?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(serde::de::Error::custom)
    }
}

/// A secret key. Wiped from memory when dropped; never shown.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// A new key from the system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self(seed))
    }

    /// The key of a known seed: tests, and reading a key file.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Zeroizing::new(seed))
    }

    /// The secret itself as a line of text, for a vault: whoever holds it can sign.
    #[must_use]
    pub fn to_vault(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(*self.0))
    }

    /// From the line that [`SecretKey::to_vault`] gave.
    pub fn from_vault(text: &str) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| KeyError("the key is not base64"))?);
        let seed = bytes.as_slice().try_into().map_err(|_| KeyError("the key is not 32 bytes"))?;
        Ok(Self(Zeroizing::new(seed)))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair().verifying_key().to_bytes())
    }

    /// Signs `message`: 64 bytes, the same every time.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair().sign(message).to_bytes()
    }

    pub(super) fn seed(&self) -> &[u8; 32] {
        &self.0
    }

    fn pair(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.0)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_files_round_trip_and_refuse_what_is_no_key() {
        let key = SecretKey::from_seed([7; 32]).public();
        assert_eq!(PublicKey::read_file(&key.to_file("release")).unwrap(), [key]);
        assert!(PublicKey::read_file("# nothing\n").is_err());
        assert!(PublicKey::read_file("ssh-ed25519 AAAA x\n").is_err());
        assert!(PublicKey::read_file("ferry-ed25519 AAAA x\n").is_err());
        // The identity point: every signature of a certain shape would verify.
        let mut weak = [0; 32];
        weak[0] = 1;
        assert!(PublicKey::from_bytes(weak).is_err());
    }

    #[test]
    fn a_secret_key_comes_back_out_of_a_vault() {
        let key = SecretKey::from_seed([9; 32]);
        assert_eq!(SecretKey::from_vault(&key.to_vault()).unwrap().public(), key.public());
        assert!(SecretKey::from_vault("AAAA").is_err() && SecretKey::from_vault("?").is_err());
    }

    #[test]
    fn the_vector_of_rfc_8032_signs_as_published() {
        // RFC 8032 §7.1, test 1: empty message.
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SecretKey::from_seed(seed);
        let signature = key.sign(b"");
        assert_eq!(&signature[..4], [0xe5, 0x56, 0x43, 0x00]);
        assert!(key.public().verifies(b"", &signature) && !key.public().verifies(b"x", &signature));
    }
}
