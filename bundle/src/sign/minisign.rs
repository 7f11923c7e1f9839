//! The minisign form: what `minisign -V` reads. Format: jedisct1.github.io/minisign, "signature format".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use blake2::{Blake2b512, Digest as _};

use super::key::{PublicKey, SecretKey};
use crate::digest::Digest;

/// Pre-hashed Ed25519, the default since minisign 0.10.
const ALGORITHM: &[u8; 2] = b"ED";
const UNTRUSTED: &str = "untrusted comment: ferry release signature";

/// minisign's eight-byte key number; ferry takes it from the key's digest, so that it never has to be stored.
fn key_number(key: &PublicKey) -> [u8; 8] {
    let mut number = [0; 8];
    number.copy_from_slice(&Digest::of(key.as_bytes()).as_bytes()[..8]);
    number
}

/// The content of a minisign public key file.
#[must_use]
pub fn public_file(key: &PublicKey) -> String {
    let body = [b"Ed", &key_number(key)[..], key.as_bytes()].concat();
    format!("untrusted comment: ferry release key {}\n{}\n", key.id(), BASE64.encode(body))
}

/// The content of a `.minisig` file over `message`. `comment` is covered by the signature.
#[must_use]
pub fn sign(key: &SecretKey, message: &[u8], comment: &str) -> String {
    let signature = key.sign(&Blake2b512::digest(message));
    let body = [ALGORITHM, &key_number(&key.public())[..], &signature[..]].concat();
    let global = key.sign(&[&signature[..], comment.as_bytes()].concat());
    format!("{UNTRUSTED}\n{}\ntrusted comment: {comment}\n{}\n", BASE64.encode(body), BASE64.encode(global))
}

/// Whether `file` is exactly a signature by `key` over `message` with this trusted comment.
#[must_use]
pub fn verifies(key: &PublicKey, message: &[u8], comment: &str, file: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(file) else { return false };
    let lines: Vec<_> = text.split('\n').collect();
    let [UNTRUSTED, body, trusted, global, ""] = lines[..] else { return false };
    let (Ok(body), Ok(global)) = (BASE64.decode(body), BASE64.decode(global)) else { return false };
    let head = [&ALGORITHM[..], &key_number(key)].concat();
    let Some(signature) = body.strip_prefix(&head[..]) else { return false };
    trusted.strip_prefix("trusted comment: ") == Some(comment)
        && key.verifies(&Blake2b512::digest(message), signature)
        && key.verifies(&[signature, comment.as_bytes()].concat(), &global)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = SecretKey::from_seed([3; 32]);
        let good = sign(&key, b"sums", "a comment").into_bytes();
        assert!(verifies(&key.public(), b"sums", "a comment", &good));
        assert!(!verifies(&key.public(), b"Sums", "a comment", &good));
        assert!(!verifies(&SecretKey::from_seed([4; 32]).public(), b"sums", "a comment", &good));
        for bit in 0..good.len() * 8 {
            let mut file = good.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&key.public(), b"sums", "a comment", &file), "bit {bit}");
        }
    }
}
