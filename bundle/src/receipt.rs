//! What a site says: a receipt for what it has, and what its supplier allows it: a permit to go back.
//!
//! A receipt is a page, small enough to be carried back on paper; the supplier makes the next upgrade package against the
//! lock that it names. A permit names both serials, so that it opens one door and no other.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::Index;
use crate::manifest::file::Product;
use crate::name::Name;
use crate::sign::statement::Statement;

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

impl Statement for Receipt {
    const KIND: &'static str = "site-receipt-v1";
}

impl Receipt {
    /// For a bundle with this index and identity.
    #[must_use]
    pub fn of(site: Name, index: &Index, bundle: Digest) -> Self {
        Self { site, product: index.product.clone(), serial: index.serial, lock: index.lock, bundle }
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
    fn one_kind_is_not_taken_for_another() {
        let keys = [SecretKey::from_seed([1; 32])];
        assert!(matches!(read::<Receipt>(&sign(&permit(), &keys)), Err(StatementError::Signature(_))));
        // Signed as an index, it is no statement.
        let line = b"{\"product\":\"shop\",\"channel\":\"stable\",\"from\":7,\"to\":5}\n";
        let file = [&line[..], &Signatures::sign(line, &keys).to_json()].concat();
        assert!(matches!(read::<Permit>(&file), Err(StatementError::Signature(_))));
    }
}
