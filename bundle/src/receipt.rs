//! What a site says: a receipt for what it has, and what its supplier allows it: a permit to go back.
//!
//! A receipt is a page, small enough to be carried back on paper; the supplier makes the next upgrade package against the
//! lock that it names. A permit names both serials, so that it opens one door and no other.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::Index;
use crate::manifest::file::Product;
use crate::name::Name;
use crate::sign::statement::Statement;
use crate::spelling::{SpellingError, spell, unspell};

/// What a site has acknowledged, signed by the site's own key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Receipt {
    /// The site.
    pub site: Name,
    /// What was delivered.
    pub product: Product,
    /// Its serial.
    pub serial: u64,
    /// The digest of the lock: what the content is.
    pub lock: Digest,
    /// The digest of the bundle's index: which file it came in.
    pub bundle: Digest,
}

/// The short form of a receipt, to be read over a telephone: which lock and serial a site has. Not signed: it says where to
/// begin, and a package made from a wrong one does not apply.
///
/// ```text
/// version 4 bits = 2 ‖ the lock digest's first 60 bits ‖ serial, 1 to 8 bytes    spelled as codes are
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptCode {
    /// The first 60 bits of the lock's digest.
    lock: u64,
    /// The serial.
    pub serial: u64,
}

/// The version of receipt codes; codes that ask for volumes are of version 1.
const CODE_VERSION: u64 = 2;

/// Why a text is no receipt's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptCodeError {
    /// Not a code, or misheard.
    #[error(transparent)]
    Spelling(#[from] SpellingError),
    /// Another kind of code.
    #[error("it is no receipt's code")]
    Kind,
}

fn lock_bits(lock: &Digest) -> u64 {
    let first = lock.as_bytes().first_chunk::<8>().expect("a digest has 32 bytes");
    u64::from_be_bytes(*first) >> 4
}

impl ReceiptCode {
    /// Reads a code.
    pub fn parse(text: &str) -> Result<Self, ReceiptCodeError> {
        let bytes = unspell(text)?;
        let (first, serial) = bytes.split_first_chunk::<8>().ok_or(ReceiptCodeError::Kind)?;
        let first = u64::from_be_bytes(*first);
        if first >> 60 != CODE_VERSION || serial.is_empty() || serial.len() > 8 {
            return Err(ReceiptCodeError::Kind);
        }
        let serial = serial.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        Ok(Self { lock: first & (u64::MAX >> 4), serial })
    }

    /// Whether it means this lock.
    #[must_use]
    pub fn means(&self, lock: &Digest, serial: u64) -> bool {
        self.lock == lock_bits(lock) && self.serial == serial
    }
}

impl fmt::Display for ReceiptCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = self.serial.to_be_bytes();
        let start = serial.iter().position(|&byte| byte != 0).unwrap_or(serial.len() - 1);
        f.write_str(&spell(&[&(CODE_VERSION << 60 | self.lock).to_be_bytes()[..], &serial[start..]].concat()))
    }
}

impl Statement for Receipt {
    const KIND: &'static str = "site-receipt-v1";
}

impl Receipt {
    /// For a bundle with this index and identity.
    #[must_use]
    pub fn of(site: Name, index: &Index, bundle: Digest) -> Self {
        Self { site, product: index.product.clone(), serial: index.serial, lock: index.lock, bundle }
    }

    /// Its short form.
    #[must_use]
    pub fn code(&self) -> ReceiptCode {
        ReceiptCode { lock: lock_bits(&self.lock), serial: self.serial }
    }
}

/// Leave to go back from one serial to a lower one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Permit {
    /// The product's name.
    pub product: Name,
    /// The channel.
    pub channel: Name,
    /// The newest serial that the site has seen: the permit is of no use after another.
    pub from: u64,
    /// The serial that it may go back to.
    pub to: u64,
}

impl Statement for Permit {
    const KIND: &'static str = "rollback-permit-v1";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::statement::{StatementError, read, sign};
    use crate::sign::{SecretKey, Signatures};

    fn permit() -> Permit {
        let name = |text| Name::parse(text).unwrap();
        Permit { product: name("shop"), channel: name("stable"), from: 7, to: 5 }
    }

    #[test]
    fn a_statement_says_who_signed_it_and_nothing_else_passes() {
        let keys = [SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32])];
        let file = sign(&permit(), &keys);
        let (read_back, signers) = read::<Permit>(&file).unwrap();
        assert_eq!((read_back, signers.len()), (permit(), 2));
        for bit in 0..file.len() * 8 {
            let mut bent = file.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<Permit>(&bent).is_err(), "bit {bit}");
        }
        for cut in 0..file.len() {
            assert!(read::<Permit>(&file[..cut]).is_err(), "{cut}");
        }
        assert_eq!(read::<Permit>(&sign(&permit(), &[])), Err(StatementError::Unsigned));
    }

    #[test]
    fn the_short_form_names_lock_and_serial() {
        for serial in [0, 1, 255, 256, u64::MAX] {
            let lock = Digest::of(&serial.to_le_bytes());
            let code = ReceiptCode { lock: lock_bits(&lock), serial };
            let said = code.to_string();
            assert_eq!(ReceiptCode::parse(&said.to_lowercase()), Ok(code), "{said}");
            assert!(
                code.means(&lock, serial) && !code.means(&lock, serial ^ 1) && !code.means(&Digest::of(b""), serial)
            );
        }
        let few = ReceiptCode { lock: 0x0123_4567_89ab_cdef, serial: 7 }.to_string();
        assert_eq!(few.len(), 21 + 5, "{few}");
        assert_eq!(ReceiptCode::parse(&spell(b"\x10\0\0\0\0\0\0\0\x01")), Err(ReceiptCodeError::Kind));
        assert_eq!(ReceiptCode::parse(&spell(b"\x20\0\0\0\0\0\0\0")), Err(ReceiptCodeError::Kind));
        assert!(matches!(ReceiptCode::parse("site.lock.yaml"), Err(ReceiptCodeError::Spelling(_))));
    }

    #[test]
    fn one_kind_is_not_taken_for_another() {
        let keys = [SecretKey::from_seed([1; 32])];
        assert!(matches!(read::<Receipt>(&sign(&permit(), &keys)), Err(StatementError::Signature(_))));
        // Signed as an index, it is no statement.
        let line = b"{\"product\":\"shop\",\"channel\":\"stable\",\"from\":7,\"to\":5}\n";
        let file = [&line[..], &Signatures::sign(line, &keys).to_json()].concat();
        assert!(matches!(read::<Permit>(&file), Err(StatementError::Signature(_))));
    }
}
