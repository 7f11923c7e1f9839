//! Hostile bundles, made on the spot: each a small change to a valid one, signed again by a trusted key where the
//! attack is inside what is signed. The folders of `tests/data/hostile/` name them and say how each is refused.

mod compact;
mod forge;
mod signed;
mod tar;

pub use forge::SIGNER;

/// A named attack: gives the bytes of the bundle.
pub type Case = (&'static str, fn() -> Vec<u8>);

/// All bundles, by the names of their folders.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut all = tar::tar_cases();
    all.extend(signed::bundle_cases());
    all.extend(compact::compact_cases());
    all
}
