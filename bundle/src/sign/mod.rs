//! Signatures: one Ed25519 key, three forms of its signature.
//!
//! `signatures.json` holds k-of-n signatures over the exact bytes of `bundle.json`, which ferry checks. For a
//! site without ferry the same keys also sign `SHA256SUMS`, as [`minisign`] and [`sshsig`] files that the
//! programs of those names verify. The three messages can't be mistaken for one another: ferry's begins with
//! its context line, OpenSSH's with `SSHSIG`, minisign's is a 64-byte hash.

pub mod key;
pub mod minisign;
pub mod secret;
pub mod sshsig;
pub mod statement;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

pub use key::{KeyId, PublicKey, SecretKey};

/// What every signed message begins with, followed by a zero byte and the bytes of `bundle.json`.
const CONTEXT: &[u8] = b"ferry-bundle-index-v1\0";

/// The most signatures a bundle can have.
pub const MAX_SIGNATURES: usize = 16;

/// The largest `signatures.json` that is read, in bytes.
pub const MAX_SIGNATURES_FILE: u64 = 64 * 1024;

/// `signatures.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signatures {
    /// The signatures, sorted by key, each key once.
    pub signatures: Vec<Signature>,
}

/// One signature over the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Signature {
    /// The key that made it. Whether it is trusted is another question.
    pub public_key: PublicKey,
    /// 64 bytes in base64.
    pub signature: String,
}

/// Why signatures are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not the file it should be.
    #[error("signatures.json is not what ferry writes: {0}")]
    Malformed(String),
    /// A signature that does not fit key and index.
    #[error("the signature of key {0} does not fit bundle.json: one of them was changed")]
    Invalid(KeyId),
}

fn message(index: &[u8]) -> Vec<u8> {
    [CONTEXT, index].concat()
}

impl Signatures {
    /// Signs the bytes of an index with all keys; a key given twice signs once.
    #[must_use]
    pub fn sign(index: &[u8], keys: &[SecretKey]) -> Self {
        Self::over(&message(index), keys)
    }

    /// Signs a message that begins with its own context.
    fn over(message: &[u8], keys: &[SecretKey]) -> Self {
        let mut signatures: Vec<_> = keys
            .iter()
            .map(|key| Signature { public_key: key.public(), signature: BASE64.encode(key.sign(message)) })
            .collect();
        signatures.sort_by_key(|s| s.public_key);
        signatures.dedup_by_key(|s| s.public_key);
        Self { signatures }
    }

    /// The file's bytes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("signatures hold only strings and lists");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the file, which must be byte for byte what ferry writes, and checks every signature in it against
    /// the key it names. Returns the keys that signed, each once. An empty file is an unsigned bundle.
    pub fn verify(file: &[u8], index: &[u8]) -> Result<Vec<PublicKey>, SignatureError> {
        Self::check(file, &message(index))
    }

    /// As [`Self::verify`], of a message that begins with its own context.
    fn check(file: &[u8], message: &[u8]) -> Result<Vec<PublicKey>, SignatureError> {
        let fail = |why: String| SignatureError::Malformed(why);
        let parsed: Self = serde_json::from_slice(file).map_err(|e| fail(e.to_string()))?;
        if parsed.to_json() != file {
            return Err(fail("it is not in its canonical form".into()));
        }
        if parsed.signatures.len() > MAX_SIGNATURES {
            return Err(fail(format!("it has more than {MAX_SIGNATURES} signatures")));
        }
        if !parsed.signatures.is_sorted_by(|a, b| a.public_key < b.public_key) {
            return Err(fail("its keys are not sorted, or one stands twice".into()));
        }
        for signature in &parsed.signatures {
            let bytes = BASE64.decode(&signature.signature).map_err(|e| fail(e.to_string()))?;
            if !signature.public_key.verifies(message, &bytes) {
                return Err(SignatureError::Invalid(signature.public_key.id()));
            }
        }
        Ok(parsed.signatures.into_iter().map(|s| s.public_key).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signature_is_checked_and_each_key_counts_once() {
        let (a, b) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let signed = Signatures::sign(b"index", &[a.clone(), b.clone(), a.clone()]);
        assert_eq!(Signatures::verify(&signed.to_json(), b"index").unwrap().len(), 2);
        assert!(matches!(Signatures::verify(&signed.to_json(), b"Index"), Err(SignatureError::Invalid(_))));
        let twice = Signatures { signatures: vec![signed.signatures[0].clone(), signed.signatures[0].clone()] };
        assert!(matches!(Signatures::verify(&twice.to_json(), b"index"), Err(SignatureError::Malformed(_))));
        assert!(Signatures::verify(&Signatures::default().to_json(), b"index").unwrap().is_empty());
    }

    #[test]
    fn every_flipped_bit_of_the_file_is_refused() {
        let good = Signatures::sign(b"index", &[SecretKey::from_seed([1; 32])]).to_json();
        for bit in 0..good.len() * 8 {
            let mut file = good.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(Signatures::verify(&file, b"index").is_err(), "bit {bit}");
        }
    }
}
