//! The OpenSSH form: what `ssh-keygen -Y verify` reads. Format: PROTOCOL.sshsig of OpenSSH.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{PublicKey, SecretKey};
use crate::digest::sha512;

/// The namespace of ferry's signatures: one for another purpose does not verify here.
pub const NAMESPACE: &str = "ferry";

const MAGIC: &[u8; 6] = b"SSHSIG";
const KEY_TYPE: &[u8] = b"ssh-ed25519";
const HASH: &[u8] = b"sha512";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----\n";

/// An SSH `string`: four bytes of length, big endian, and the bytes.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("only short fields are written");
    [&length.to_be_bytes(), bytes].concat()
}

fn key_blob(key: &PublicKey) -> Vec<u8> {
    [string(KEY_TYPE), string(key.as_bytes())].concat()
}

fn signed_data(message: &[u8]) -> Vec<u8> {
    [MAGIC.to_vec(), string(NAMESPACE.as_bytes()), string(b""), string(HASH), string(&sha512(message))].concat()
}

/// The line of an `allowed_signers` file that trusts this key for ferry's namespace under the name `ferry`.
#[must_use]
pub fn allowed_signers(key: &PublicKey) -> String {
    format!("ferry namespaces=\"{NAMESPACE}\" ssh-ed25519 {}\n", BASE64.encode(key_blob(key)))
}

fn armored(key: &PublicKey, signature: &[u8]) -> String {
    let signature_blob = [string(KEY_TYPE), string(signature)].concat();
    let blob = [
        MAGIC.to_vec(),
        1u32.to_be_bytes().to_vec(),
        string(&key_blob(key)),
        string(NAMESPACE.as_bytes()),
        string(b""),
        string(HASH),
        string(&signature_blob),
    ]
    .concat();
    let text = BASE64.encode(blob);
    let mut out = String::from(BEGIN);
    for line in text.as_bytes().chunks(70) {
        out.extend(line.iter().map(|&b| char::from(b)));
        out.push('\n');
    }
    out + END
}

/// The content of a `.sig` file over `message`.
#[must_use]
pub fn sign(key: &SecretKey, message: &[u8]) -> String {
    armored(&key.public(), &key.sign(&signed_data(message)))
}

/// Whether `file` is exactly a signature by `key` over `message`.
#[must_use]
pub fn verifies(key: &PublicKey, message: &[u8], file: &[u8]) -> bool {
    let body: Option<String> = std::str::from_utf8(file)
        .ok()
        .and_then(|text| text.strip_prefix(BEGIN)?.strip_suffix(END))
        .map(|text| text.split('\n').collect());
    let Some(blob) = body.and_then(|body| BASE64.decode(body).ok()) else { return false };
    // Everything before the last 64 bytes follows from the key: take those, write the file anew, compare.
    let Some((_, signature)) = blob.split_at_checked(blob.len().saturating_sub(64)) else { return false };
    armored(key, signature).as_bytes() == file && key.verifies(&signed_data(message), signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_refused() {
        let key = SecretKey::from_seed([3; 32]);
        let good = sign(&key, b"sums").into_bytes();
        assert!(verifies(&key.public(), b"sums", &good));
        assert!(!verifies(&key.public(), b"Sums", &good));
        assert!(!verifies(&SecretKey::from_seed([4; 32]).public(), b"sums", &good));
        for bit in 0..good.len() * 8 {
            let mut file = good.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&key.public(), b"sums", &file), "bit {bit}");
        }
    }
}
