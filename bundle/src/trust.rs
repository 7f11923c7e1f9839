//! Whom a site trusts, and what it has seen: the rules by which a bundle is let in.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::{Identity, Index};
use crate::manifest::file::Product;
use crate::receipt::Permit;
use crate::sign::statement::{self, StatementError};
use crate::sign::{KeyId, PublicKey};

/// How far a serial may jump ahead of the last seen one, so that one stolen signature can't use up all numbers
/// (TUF's fast-forward attack).
pub const MAX_SERIAL_JUMP: u64 = 10_000;

/// Which signatures let a bundle in.
#[derive(Debug, Clone, Default)]
pub struct TrustPolicy {
    /// The trusted keys. A key that stands here twice counts once.
    pub keys: Vec<PublicKey>,
    /// How many of them must have signed; 0 means 1.
    pub threshold: usize,
    /// Let in what nobody trusted has signed. Signatures that are there must still be valid.
    pub insecure_unsigned: bool,
    /// No key is given, and the bundle is only looked at: see [`Self::only_looking`].
    pub only_looking: bool,
    /// The newest serial seen of each product and channel.
    pub seen: Vec<Seen>,
    /// Leave to go back, each signed by enough trusted keys: see [`Self::admit_permit`].
    pub permits: Vec<Permit>,
}

/// The newest serial seen of a product's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The product's name.
    pub product: crate::name::Name,
    /// The channel.
    pub channel: crate::name::Name,
    /// The highest serial.
    pub serial: u64,
    /// The digest of that bundle's lock. None where an older version has written it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Digest>,
}

impl Seen {
    /// What is remembered of a bundle that was let in.
    #[must_use]
    pub fn of(index: &Index) -> Self {
        let (product, channel) = (index.product.name.clone(), index.product.channel.clone());
        Self { product, channel, serial: index.serial, lock: Some(index.lock) }
    }

    /// Puts it in the place of what was remembered of its product's channel. Says whether anything is new.
    pub fn remember(self, seen: &mut Vec<Self>) -> bool {
        match seen.iter_mut().find(|one| one.product == self.product && one.channel == self.channel) {
            Some(known) if *known == self => false,
            Some(known) => {
                *known = self;
                true
            }
            None => {
                seen.push(self);
                true
            }
        }
    }
}

/// On what grounds a bundle was let in. Shown in every output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assurance {
    /// Signed by enough trusted keys; these are all that signed and are trusted.
    Trusted(Vec<KeyId>),
    /// Let in although not enough trusted keys signed. These signed, none or too few of them trusted.
    Insecure(Vec<KeyId>),
    /// Only looked at, without any key to compare with. These signed.
    NotVerified(Vec<KeyId>),
}

impl Assurance {
    /// One line for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let list = |keys: &[KeyId]| keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Trusted(keys) => format!("signed by {}", list(keys)),
            Self::Insecure(keys) if keys.is_empty() => "UNSIGNED: let in by --insecure-unsigned".to_owned(),
            Self::Insecure(keys) => format!("NOT TRUSTED: signed by {}, let in by --insecure-unsigned", list(keys)),
            Self::NotVerified(keys) if keys.is_empty() => "UNSIGNED, and no key is trusted".to_owned(),
            Self::NotVerified(keys) => {
                format!("not verified, because no key is trusted; it says that it is signed by {}", list(keys))
            }
        }
    }

    /// Whether enough trusted keys signed.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(self, Self::Trusted(_))
    }
}

/// Why a bundle is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No signature at all.
    #[error("the bundle is not signed")]
    Unsigned,
    /// Too few trusted signatures.
    #[error("{trusted} of the needed {needed} trusted keys signed; the bundle is signed by {}", list(.signers))]
    Threshold {
        /// How many trusted keys signed.
        trusted: usize,
        /// How many must.
        needed: usize,
        /// Who signed.
        signers: Vec<KeyId>,
    },
    /// More signatures asked for than there are keys.
    #[error("a threshold of {needed} can't be met by {keys} different trusted keys")]
    Impossible {
        /// How many must sign.
        needed: usize,
        /// How many keys there are.
        keys: usize,
    },
    /// Older than what the site has.
    #[error("serial {serial} of {product} ({channel}) is older than {seen}, which this site has seen")]
    Rollback {
        /// The product.
        product: String,
        /// The channel.
        channel: String,
        /// The bundle's serial.
        serial: u64,
        /// The newest seen.
        seen: u64,
    },
    /// Another content under a serial that was seen.
    #[error(
        "serial {serial} of {product} ({channel}) was seen with other content: lock {}, and this bundle's is {}",
        seen.short(),
        lock.short()
    )]
    SameSerial {
        /// The product.
        product: String,
        /// The channel.
        channel: String,
        /// The serial of both.
        serial: u64,
        /// The lock that was seen.
        seen: Digest,
        /// The bundle's lock.
        lock: Digest,
    },
    /// Absurdly newer.
    #[error("serial {serial} of {product} is more than {MAX_SERIAL_JUMP} ahead of {seen}, which this site has seen")]
    FastForward {
        /// The product.
        product: String,
        /// The bundle's serial.
        serial: u64,
        /// The newest seen.
        seen: u64,
    },
}

/// Why a permit does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PermitError {
    /// It is no signed permit.
    #[error("the permit is refused")]
    Statement(#[from] StatementError),
    /// Not enough trusted keys signed it.
    #[error("the permit is not trusted")]
    Untrusted(#[from] TrustError),
}

fn list(keys: &[KeyId]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl TrustPolicy {
    /// Trusts any one of `keys`.
    #[must_use]
    pub fn any_of(keys: Vec<PublicKey>) -> Self {
        Self { keys, threshold: 1, ..Self::default() }
    }

    /// Trusts nobody and refuses nobody: for commands that only list what a bundle says of itself. What they show says that
    /// nothing was verified.
    #[must_use]
    pub fn only_looking() -> Self {
        Self { only_looking: true, ..Self::default() }
    }

    /// Whether the keys that signed are enough. `signers` are keys whose signatures have been checked.
    pub fn admit(&self, signers: &[PublicKey]) -> Result<Assurance, TrustError> {
        let unique = |keys: &mut Vec<PublicKey>| {
            keys.sort();
            keys.dedup();
        };
        let (mut trusted, mut signers) = (self.keys.clone(), signers.to_vec());
        unique(&mut trusted);
        unique(&mut signers);
        let needed = self.threshold.max(1);
        let ids = |keys: &[PublicKey]| keys.iter().map(PublicKey::id).collect::<Vec<_>>();
        let good: Vec<_> = signers.iter().copied().filter(|key| trusted.contains(key)).collect();
        if good.len() >= needed {
            return Ok(Assurance::Trusted(ids(&good)));
        }
        if self.only_looking {
            return Ok(Assurance::NotVerified(ids(&signers)));
        }
        if self.insecure_unsigned {
            return Ok(Assurance::Insecure(ids(&signers)));
        }
        if !trusted.is_empty() && trusted.len() < needed {
            return Err(TrustError::Impossible { needed, keys: trusted.len() });
        }
        if signers.is_empty() {
            return Err(TrustError::Unsigned);
        }
        Err(TrustError::Threshold { trusted: good.len(), needed, signers: ids(&signers) })
    }

    /// Takes a permit's file into account, if enough trusted keys signed it. Insecurity does not help here.
    pub fn admit_permit(&mut self, file: &[u8]) -> Result<(), PermitError> {
        let (permit, signers) = statement::read::<Permit>(file)?;
        let strict = Self { insecure_unsigned: false, only_looking: false, ..self.clone() };
        strict.admit(&signers)?;
        self.permits.push(permit);
        Ok(())
    }

    /// Whether a permit leads from the newest serial that was seen to this one.
    fn permits(&self, identity: &Identity, seen: &Seen) -> bool {
        self.permits.iter().any(|permit| {
            (&permit.product, &permit.channel, permit.from, permit.to)
                == (&seen.product, &seen.channel, seen.serial, identity.serial)
        })
    }

    /// Whether the content is the one that was seen, where the serial is. One serial means one content: a second one would
    /// replace the first without anybody being told, and nobody could say later which of them a site has.
    pub fn check_content(&self, index: &Index) -> Result<(), TrustError> {
        let Product { name, channel, .. } = &index.product;
        let same = |seen: &&Seen| (&seen.product, &seen.channel, seen.serial) == (name, channel, index.serial);
        match self.seen.iter().find(same).and_then(|seen| seen.lock) {
            Some(seen) if seen != index.lock => Err(TrustError::SameSerial {
                product: name.to_string(),
                channel: channel.to_string(),
                serial: index.serial,
                seen,
                lock: index.lock,
            }),
            _ => Ok(()),
        }
    }

    /// Whether a serial may follow what the site has seen. The same serial may come again.
    pub fn check_serial(&self, identity: &Identity) -> Result<(), TrustError> {
        let Product { name, channel, .. } = &identity.product;
        let serial = identity.serial;
        for seen in self.seen.iter().filter(|seen| seen.product == *name && seen.channel == *channel) {
            if serial < seen.serial && !self.permits(identity, seen) {
                let (product, channel) = (name.to_string(), channel.to_string());
                return Err(TrustError::Rollback { product, channel, serial, seen: seen.serial });
            }
            if serial.saturating_sub(seen.serial) > MAX_SERIAL_JUMP {
                return Err(TrustError::FastForward { product: name.to_string(), serial, seen: seen.serial });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SecretKey;

    fn key(n: u8) -> PublicKey {
        SecretKey::from_seed([n; 32]).public()
    }

    #[test]
    fn k_of_n_counts_keys_not_signatures() {
        let policy = TrustPolicy { threshold: 2, ..TrustPolicy::any_of(vec![key(1), key(2), key(3)]) };
        assert!(matches!(policy.admit(&[key(1), key(3)]), Ok(Assurance::Trusted(ids)) if ids.len() == 2));
        assert!(matches!(policy.admit(&[key(1), key(1)]), Err(TrustError::Threshold { trusted: 1, .. })));
        assert!(matches!(policy.admit(&[key(1), key(9)]), Err(TrustError::Threshold { trusted: 1, .. })));
        assert!(matches!(policy.admit(&[]), Err(TrustError::Unsigned)));
        let twice = TrustPolicy { threshold: 2, ..TrustPolicy::any_of(vec![key(1), key(1)]) };
        assert!(matches!(twice.admit(&[key(1)]), Err(TrustError::Impossible { .. })));
    }

    #[test]
    fn no_keys_means_no_trust_and_insecurity_has_to_be_asked_for() {
        let nobody = TrustPolicy::default();
        assert!(matches!(nobody.admit(&[key(1)]), Err(TrustError::Threshold { .. })));
        let insecure = TrustPolicy { insecure_unsigned: true, ..TrustPolicy::default() };
        assert!(!insecure.admit(&[]).unwrap().is_trusted());
        assert!(insecure.admit(&[]).unwrap().describe().contains("UNSIGNED"));
        let both = TrustPolicy { insecure_unsigned: true, ..TrustPolicy::any_of(vec![key(1)]) };
        assert!(both.admit(&[key(1)]).unwrap().is_trusted());
    }

    #[test]
    fn who_only_looks_is_told_that_nothing_was_verified() {
        for signers in [&[][..], &[key(1)], &[key(1), key(2)]] {
            let assurance = TrustPolicy::only_looking().admit(signers).unwrap();
            let text = assurance.describe();
            assert!(!assurance.is_trusted() && text.contains("no key is trusted"), "{text}");
            assert!(!text.contains("--insecure-unsigned"), "nobody gave that flag: {text}");
        }
    }

    #[test]
    fn serials_neither_fall_nor_leap() {
        let name = |t: &str| crate::name::Name::parse(t).unwrap();
        let product =
            Product { name: name("shop"), version: crate::name::Version::parse("1").unwrap(), channel: name("stable") };
        let identity = |serial| Identity { format: 1, product: product.clone(), serial };
        let seen = vec![Seen { product: name("shop"), channel: name("stable"), serial: 5, lock: None }];
        let policy = TrustPolicy { seen, ..TrustPolicy::default() };
        assert!(matches!(policy.check_serial(&identity(4)), Err(TrustError::Rollback { seen: 5, .. })));
        assert!(policy.check_serial(&identity(5)).is_ok() && policy.check_serial(&identity(6)).is_ok());
        assert!(matches!(policy.check_serial(&identity(10_006)), Err(TrustError::FastForward { .. })));
    }

    #[test]
    fn one_serial_means_one_content() {
        let fakes = [1, 2].map(|seed| crate::fake::Fake::new(seed, 10));
        let [first, mut second] = fakes.each_ref().map(|fake| fake.bundle(&[]).index().clone());
        (second.product, second.serial) = (first.product.clone(), first.serial);
        assert_ne!(first.lock, second.lock);
        let policy = |seen: Seen| TrustPolicy { insecure_unsigned: true, seen: vec![seen], ..TrustPolicy::default() };
        let after = policy(Seen::of(&first));
        assert_eq!(after.check_content(&first), Ok(()));
        let refused = after.check_content(&second).unwrap_err();
        assert!(matches!(&refused, TrustError::SameSerial { seen, .. } if *seen == first.lock), "{refused}");
        // Another serial, another channel, or nothing known of the content.
        let (next, other) =
            (Seen { serial: first.serial + 1, ..Seen::of(&first) }, crate::name::Name::parse("x").unwrap());
        for seen in [next, Seen { channel: other, ..Seen::of(&first) }, Seen { lock: None, ..Seen::of(&first) }] {
            assert_eq!(policy(seen).check_content(&second), Ok(()));
        }
        // Whoever opens a bundle is told so, before anything of it is used.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.ferry");
        std::fs::write(&path, fakes[0].bytes(&[]).unwrap()).unwrap();
        let open = |policy: &TrustPolicy| {
            let bundle = crate::open::UnverifiedBundle::open(&path).unwrap();
            bundle.trust(policy, &crate::open::Silent).map(|_| ())
        };
        open(&after).unwrap();
        let error = open(&policy(Seen { lock: Some(second.lock), ..Seen::of(&first) })).unwrap_err();
        assert_eq!(error.code(), "same-serial");
        assert!(error.hint().unwrap().contains("higher serial"));
    }

    #[test]
    fn what_was_remembered_is_replaced_whole_and_old_memories_are_read() {
        let old = r#"[{"product": "shop", "channel": "stable", "serial": 5}]"#;
        let mut seen: Vec<Seen> = serde_json::from_str(old).unwrap();
        assert_eq!(seen[0].lock, None);
        let one = |serial, text: &[u8]| Seen { serial, lock: Some(Digest::of(text)), ..seen[0].clone() };
        let (a, b) = (one(5, b"a"), one(6, b"b"));
        assert!(a.clone().remember(&mut seen) && seen == [a.clone()]);
        assert!(!a.clone().remember(&mut seen));
        assert!(b.clone().remember(&mut seen) && seen == [b]);
        assert_eq!(serde_json::from_str::<Vec<Seen>>(&serde_json::to_string(&seen).unwrap()).unwrap(), seen);
    }

    #[test]
    fn a_permit_leads_from_one_serial_to_one_other() {
        let name = |text: &str| crate::name::Name::parse(text).unwrap();
        let (product, channel) = (name("shop"), name("stable"));
        let seen = |serial| vec![Seen { product: product.clone(), channel: channel.clone(), serial, lock: None }];
        let identity = |serial| {
            let version = crate::name::Version::parse("1").unwrap();
            let product = Product { name: product.clone(), version, channel: channel.clone() };
            Identity { format: 1, product, serial }
        };
        let permit = |channel: &str, from, to| Permit { product: product.clone(), channel: name(channel), from, to };
        let key = SecretKey::from_seed([1; 32]);
        let with = |permit: &Permit, seen_serial| {
            let mut policy = TrustPolicy { seen: seen(seen_serial), ..TrustPolicy::any_of(vec![key.public()]) };
            policy.admit_permit(&statement::sign(permit, std::slice::from_ref(&key))).unwrap();
            policy
        };
        assert!(with(&permit("stable", 7, 5), 7).check_serial(&identity(5)).is_ok());
        for (permit, seen, serial) in [
            (permit("stable", 7, 5), 7, 4),
            (permit("stable", 7, 5), 7, 6),
            (permit("stable", 7, 5), 8, 5),
            (permit("beta", 7, 5), 7, 5),
            (permit("stable", 5, 7), 7, 5),
        ] {
            let refused = with(&permit, seen).check_serial(&identity(serial));
            assert!(matches!(refused, Err(TrustError::Rollback { .. })), "{permit:?}");
        }
        // By a stranger, by nobody, or by one where two are needed: not even where insecurity was asked for.
        let stranger = statement::sign(&permit("stable", 7, 5), &[SecretKey::from_seed([2; 32])]);
        let nobody = statement::sign(&permit("stable", 7, 5), &[]);
        let ours = statement::sign(&permit("stable", 7, 5), std::slice::from_ref(&key));
        for (file, threshold) in [(&stranger, 1), (&nobody, 1), (&ours, 2)] {
            let keys = vec![key.public(), SecretKey::from_seed([3; 32]).public()];
            let mut policy = TrustPolicy { insecure_unsigned: true, threshold, ..TrustPolicy::any_of(keys) };
            assert!(policy.admit_permit(file).is_err() && policy.permits.is_empty());
        }
    }
}
