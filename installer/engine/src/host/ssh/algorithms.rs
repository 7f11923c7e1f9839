//! Which algorithms are offered to a server: modern ones, old ones only where the site file lists them, and of the host
//! key algorithms first the one that the host is known by.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, kex, mac};

/// Host key algorithms that are offered without being listed: all of [`Preferred::DEFAULT`] but `ssh-rsa` (SHA-1).
fn modern_keys() -> Vec<Algorithm> {
    let curves = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];
    let ecdsa = curves.map(|curve| Algorithm::Ecdsa { curve });
    let rsa = [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) });
    std::iter::once(Algorithm::Ed25519).chain(ecdsa).chain(rsa).collect()
}

/// Whether keys of both algorithms are the same kind of key: RSA is one kind under three names.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    a == b || matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

/// What is offered.
///
/// `known`: the algorithm that the host is known by; it comes first. `seen`: algorithms under which the host has
/// already shown a key that was not the pinned one; they are left out. `legacy`: old algorithms to offer last.
/// `None` if no host key algorithm is left.
pub(super) fn preferred(known: Option<&Algorithm>, seen: &[Algorithm], legacy: &[String]) -> Option<Preferred> {
    let mut offer = Preferred::DEFAULT;
    let mut keys = modern_keys();
    for name in legacy {
        if name == "ssh-rsa" {
            keys.push(Algorithm::Rsa { hash: None });
        } else if let Ok(name) = kex::Name::try_from(name.as_str()) {
            offer.kex.to_mut().push(name);
        } else if let Ok(name) = cipher::Name::try_from(name.as_str()) {
            offer.cipher.to_mut().push(name);
        } else if let Ok(name) = mac::Name::try_from(name.as_str()) {
            offer.mac.to_mut().push(name);
        }
    }
    keys.retain(|key| !seen.iter().any(|one| same_kind(one, key)));
    if let Some(known) = known {
        keys.sort_by_key(|key| !same_kind(key, known));
    }
    offer.key = Cow::Owned(keys);
    (!offer.key.is_empty()).then_some(offer)
}

/// Whether SHA-1 signatures of RSA keys are allowed.
pub(super) fn allows_sha1(legacy: &[String]) -> bool {
    legacy.iter().any(|name| name == "ssh-rsa")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha1_is_offered_only_where_it_is_listed() {
        let sha1 = Algorithm::Rsa { hash: None };
        let names = |offer: &Preferred| {
            let kex = offer.kex.iter().map(|name| name.as_ref().to_owned());
            kex.chain(offer.mac.iter().map(|name| name.as_ref().to_owned())).collect::<Vec<_>>()
        };
        let offer = preferred(None, &[], &[]).unwrap();
        assert!(!offer.key.contains(&sha1));
        assert!(!names(&offer).iter().any(|name| name.ends_with("-sha1")));
        let legacy = ["ssh-rsa", "diffie-hellman-group14-sha1", "hmac-sha1", "unheard-of"].map(str::to_owned);
        let offer = preferred(None, &[], &legacy).unwrap();
        assert_eq!(offer.key.last(), Some(&sha1), "last: whatever is better comes before");
        assert!(names(&offer).contains(&"diffie-hellman-group14-sha1".to_owned()));
        assert_eq!(names(&offer).last().unwrap(), "hmac-sha1");
    }

    #[test]
    fn the_known_algorithm_comes_first_and_those_seen_are_left_out() {
        let rsa = Algorithm::Rsa { hash: None };
        let offer = preferred(Some(&rsa), &[], &[]).unwrap();
        assert_eq!(offer.key[0], Algorithm::Rsa { hash: Some(HashAlg::Sha512) });
        assert_eq!(
            offer.key.len(),
            6,
            "the others follow: a host that shows another is a changed host, not a silent one"
        );
        let offer = preferred(None, &[Algorithm::Ed25519, rsa], &[]).unwrap();
        assert!(offer.key.iter().all(|key| matches!(key, Algorithm::Ecdsa { .. })));
        assert!(preferred(None, &modern_keys(), &[]).is_none());
    }
}
