//! A small document that somebody signs by itself: one line of JSON, then its signatures as in `signatures.json`.
//!
//! ```text
//! {"product":"shop","channel":"stable","from":7,"to":5}        the statement, signed with this line's end
//! {                                                            signatures over "ferry-<kind>", a zero byte and that line
//!   "signatures": [ … ]
//! }
//! ```
//! The kind is part of what is signed: a permit can't be taken for a receipt, nor either for a bundle's index. Nothing of
//! the statement is parsed before a signature over it has been checked.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{PublicKey, SecretKey, SignatureError, Signatures};

/// The largest statement that is read, in bytes: a page.
pub const MAX_STATEMENT: u64 = 64 * 1024;

/// Something that is signed by itself.
pub trait Statement: Serialize + DeserializeOwned {
    /// What it is, such as `rollback-permit-v1`.
    const KIND: &'static str;
}

/// Why a statement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not a line of JSON with signatures.
    #[error("it is no statement that ferry writes: {0}")]
    Malformed(String),
    /// Its signatures are refused.
    #[error("its signatures are refused")]
    Signature(#[source] SignatureError),
    /// Nobody signed it.
    #[error("nobody signed it")]
    Unsigned,
}

fn message(kind: &str, line: &[u8]) -> Vec<u8> {
    [b"ferry-", kind.as_bytes(), b"\0", line].concat()
}

/// The file: the statement and the signatures of `keys`.
///
/// # Panics
/// If the statement holds a map without text keys.
#[must_use]
pub fn sign<T: Statement>(statement: &T, keys: &[SecretKey]) -> Vec<u8> {
    let mut file = serde_json::to_vec(statement).expect("a statement holds strings, numbers and lists");
    file.push(b'\n');
    let signatures = Signatures::over(&message(T::KIND, &file), keys).to_json();
    file.extend(signatures);
    file
}

/// The statement and who signed it, each once; whether they are trusted is another question.
pub fn read<T: Statement>(file: &[u8]) -> Result<(T, Vec<PublicKey>), StatementError> {
    let malformed = |why: &str| StatementError::Malformed(why.to_owned());
    if file.len() as u64 > MAX_STATEMENT {
        return Err(malformed("it is larger than a page"));
    }
    let end = file.iter().position(|&byte| byte == b'\n').ok_or_else(|| malformed("it has no signatures"))?;
    let (line, signatures) = file.split_at(end + 1);
    let signers = Signatures::check(signatures, &message(T::KIND, line)).map_err(StatementError::Signature)?;
    if signers.is_empty() {
        return Err(StatementError::Unsigned);
    }
    let statement = serde_json::from_slice(line).map_err(|error| StatementError::Malformed(error.to_string()))?;
    Ok((statement, signers))
}
