//! What an upgrade package is made against: earlier locks or bundles. What all of them have is left out; what has taken the
//! place of an older layer may lean on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::compact::Older;
use ferry_bundle_format::index::Extent;
use ferry_bundle_format::lock::contents::Contents;
use ferry_bundle_format::lock::{Lock, LockedImage, LockedManifest};
use ferry_bundle_format::open::{Base, TrustedBundle};
use ferry_bundle_format::store::Store;

use super::{Against, PackError};

/// Something that a site has.
#[derive(Debug, Clone)]
pub struct Since {
    /// What it was made from.
    pub lock: Lock,
    /// Its blobs.
    pub contents: Contents,
    /// The bundle, if that is at hand: older layers are read from it.
    pub bundle: Option<Arc<TrustedBundle>>,
}

/// What has taken the place of what: newer blob, older blobs, in the order in which they are tried.
pub type Replaced = BTreeMap<Digest, Vec<Extent>>;

/// Blobs that all of `bases` have, by digest.
fn there(bases: &[Since]) -> BTreeMap<Digest, u64> {
    let Some((first, rest)) = bases.split_first() else { return BTreeMap::new() };
    let in_all = |digest: &Digest, size: u64| {
        rest.iter().all(|base| base.contents.blobs.get(digest).is_some_and(|blob| blob.size == size))
    };
    first
        .contents
        .blobs
        .iter()
        .filter(|(digest, blob)| in_all(digest, blob.size))
        .map(|(digest, blob)| (*digest, blob.size))
        .collect()
}

/// For each new layer, chart and file of `lock`: what it replaces and all bases have. Layers of an image are paired in
/// their order, those that stay left out on both sides: a layer that was put in between moves nothing else.
#[must_use]
pub fn replaced(lock: &Lock, bases: &[Since]) -> Replaced {
    let there = there(bases);
    let mut pairs = Replaced::new();
    let mut pair = |new: Digest, old: Digest| {
        if let (Some(size), None) = (there.get(&old), there.get(&new)) {
            let extent = Extent { digest: old, size: *size };
            let list = pairs.entry(new).or_default();
            if !list.contains(&extent) && list.len() < MOST_TRIED {
                list.push(extent);
            }
        }
    };
    for base in bases {
        for (new, old) in manifests(lock, &base.lock) {
            let digests = |one: &LockedManifest| one.layers.iter().map(|layer| layer.digest).collect::<Vec<_>>();
            let (new, old) = (digests(new), digests(old));
            let (stay, gone): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
            let changed = new.iter().filter(|digest| !stay.contains(digest));
            let left = old.iter().filter(|digest| !gone.contains(digest));
            changed.zip(left).for_each(|(new, old)| pair(*new, *old));
        }
        for chart in &lock.charts {
            let same = base.lock.charts.iter().filter(|old| old.name == chart.name);
            for old in same {
                chart.layers.iter().zip(&old.layers).for_each(|(new, old)| pair(new.digest, old.digest));
            }
        }
        for file in &lock.files {
            // `kubeadm` stays `kubeadm`; names that carry a version differ in nothing but digits.
            let same = |old: &&ferry_bundle_format::lock::LockedFile| {
                old.arch == file.arch && without_digits(old.name.as_str()) == without_digits(file.name.as_str())
            };
            base.lock.files.iter().filter(same).for_each(|old| pair(file.digest, old.digest));
        }
    }
    pairs
}

/// How many older blobs are tried for one: with each the blob is packed anew.
const MOST_TRIED: usize = 3;

fn without_digits(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The manifests of the same image and architecture on both sides.
fn manifests<'a>(new: &'a Lock, old: &'a Lock) -> Vec<(&'a LockedManifest, &'a LockedManifest)> {
    let same = |a: &LockedImage, b: &LockedImage| a.name.name() == b.name.name();
    let mut pairs = Vec::new();
    for image in &new.images {
        for before in old.images.iter().filter(|before| same(before, image)) {
            for manifest in &image.manifests {
                let twin = before.manifests.iter().filter(|one| one.arch == manifest.arch);
                pairs.extend(twin.map(|one| (manifest, one)));
            }
        }
    }
    pairs
}

/// Which older blobs are neither in a base that is at hand nor in the store: to be brought, or gone without.
#[must_use]
pub fn wanting(replaced: &Replaced, bases: &[Since], store: &Store) -> BTreeSet<Digest> {
    let older: BTreeSet<Extent> = replaced.values().flatten().copied().collect();
    older.into_iter().filter(|extent| source(extent, bases, store).is_none()).map(|extent| extent.digest).collect()
}

fn source(extent: &Extent, bases: &[Since], store: &Store) -> Option<Older> {
    let found = |base: &dyn Base| base.find(extent).ok().flatten();
    let at_hand = bases.iter().filter_map(|base| base.bundle.as_deref());
    let source = found(store).or_else(|| at_hand.into_iter().find_map(|bundle| found(bundle)))?;
    Some(Older { blob: *extent, source })
}

/// Everything a package against `bases` needs to know. Older blobs that can't be had, or are damaged where they are kept, are
/// not leaned on.
#[must_use]
pub fn against(replaced: &Replaced, bases: &[Since], store: &Store) -> Against {
    let serials: BTreeSet<u64> = bases.iter().map(|base| base.lock.serial).collect();
    let mut checked: BTreeMap<Digest, Option<Older>> = BTreeMap::new();
    let mut older: BTreeMap<Digest, Vec<Older>> = BTreeMap::new();
    for (new, list) in replaced {
        for extent in list {
            let known = checked.entry(extent.digest).or_insert_with(|| {
                let found = source(extent, bases, store)?;
                found.source.digest().is_ok_and(|digest| digest == extent.digest).then_some(found)
            });
            older.entry(*new).or_default().extend(known.clone());
        }
    }
    Against { there: there(bases), older, applies_to: serials.into_iter().collect(), verbatim: false }
}

/// Whether a package of `lock` may be made against these: the same product and channel, and none newer.
pub fn check(lock: &Lock, bases: &[Since]) -> Result<(), PackError> {
    for base in bases {
        let (new, old) = (&lock.product, &base.lock.product);
        if (&new.name, &new.channel) != (&old.name, &old.channel) {
            let (base, this) = (format!("{} ({})", old.name, old.channel), format!("{} ({})", new.name, new.channel));
            return Err(PackError::OtherProduct { base, this });
        }
        if lock.serial <= base.lock.serial && lock.digest() != base.lock.digest() {
            return Err(PackError::Serial { base: base.lock.serial, this: lock.serial });
        }
    }
    Ok(())
}

/// `lock` as the release after `bases`: its serial and time follow those of the newest of the same product, unless
/// it is that one.
#[must_use]
pub fn following(mut lock: Lock, bases: &[Since]) -> Lock {
    let same =
        |base: &&Lock| (&base.product.name, &base.product.channel) == (&lock.product.name, &lock.product.channel);
    let newest = bases.iter().map(|base| &base.lock).filter(same).max_by_key(|base| base.serial);
    let Some(newest) = newest.filter(|newest| newest.serial >= lock.serial) else { return lock };
    if lock.same_content(newest) {
        return newest.clone();
    }
    lock.serial = newest.serial + 1;
    lock.created = lock.created.max(newest.created);
    lock
}

#[cfg(test)]
mod tests {
    use ferry_bundle_format::fake::Fake;
    use ferry_bundle_format::lock::Timestamp;

    use super::*;

    fn since(lock: &Lock) -> Since {
        Since { lock: lock.clone(), contents: Contents::of(lock).unwrap(), bundle: None }
    }

    #[test]
    fn the_serial_counts_on_from_the_base() {
        let with_serial = |version, serial| Lock { serial, ..Fake::release(version, 1000).lock };
        let (old, newer) = (with_serial(1, 4), with_serial(2, 7));
        let bases = [since(&newer), since(&old)];
        for (serial, expected) in [(1, 8), (4, 8), (7, 8), (8, 8), (20, 20)] {
            let next = following(with_serial(3, serial), &bases);
            assert_eq!((next.serial, check(&next, &bases).is_ok()), (expected, true), "{serial}");
        }
        // The same content is the same release.
        let again = Lock { serial: 1, created: Timestamp::from_unix(5), ..newer.clone() };
        assert_eq!(following(again, &bases).digest(), newer.digest());
        let mut other = with_serial(3, 1);
        other.product.channel = ferry_bundle_format::name::Name::parse("beta").unwrap();
        assert_eq!(following(other, &bases).serial, 1);
        for serial in [3, 4] {
            let refused = check(&with_serial(3, serial), &[since(&old)]);
            assert!(matches!(refused, Err(PackError::Serial { base: 4, .. })), "{serial}: {refused:?}");
        }
        assert!(check(&old, &[since(&old)]).is_ok());
    }
}
