//! Compact storage: what is packed comes out again to the byte, whoever reads it and from wherever; what was damaged or is
//! a lie does not come out at all.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use ferry_bundle_format::Digest;
use ferry_bundle_format::assemble::Packing;
use ferry_bundle_format::compact::{BlobCursor, Cache, Limits, Made, Older};
use ferry_bundle_format::fake::{Fake, noise};
use ferry_bundle_format::index::Extent;
use ferry_bundle_format::open::{Base as _, OpenError, Silent, TrustedBundle, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::store::Store;
use ferry_bundle_format::trust::TrustPolicy;

const LAYER: usize = 600_000;

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn store_of(fake: &Fake, folder: &Path) -> Store {
    let store = Store::open(folder).unwrap();
    fake.blobs.values().for_each(|bytes| assert_eq!(store.put(bytes).unwrap(), Digest::of(bytes)));
    store
}

/// Every blob made compact that can be, through the cache.
fn packs(fake: &Fake, store: &Store) -> (BTreeMap<Digest, Made>, BTreeMap<Digest, Vec<u8>>) {
    let cache = Cache::open(store.root(), Limits { bytes: 600, percent: 1 }).unwrap();
    let (mut made, mut bytes) = (BTreeMap::new(), BTreeMap::new());
    for (digest, blob) in &fake.blobs {
        let extent = Extent { digest: *digest, size: blob.len() as u64 };
        let source = store.find(&extent).unwrap().unwrap();
        if let Some(kept) = cache.get(extent, &source, None).unwrap() {
            bytes.insert(*digest, std::fs::read(&kept.path).unwrap());
            made.insert(*digest, kept.made);
        }
    }
    (made, bytes)
}

fn bundle(fake: &Fake, store: &Store) -> (Vec<u8>, Packing) {
    let (made, bytes) = packs(fake, store);
    let packing = fake.packing(&[key()], made);
    (fake.packed_bytes(&[key()], &packing, &bytes).unwrap(), packing)
}

fn open(bytes: &[u8], folder: &Path) -> Result<TrustedBundle, OpenError> {
    let path = folder.join("bundle.ferry");
    std::fs::write(&path, bytes).unwrap();
    UnverifiedBundle::open(&path)?.trust(&TrustPolicy::any_of(vec![key().public()]), &Silent)
}

#[test]
fn every_blob_comes_out_to_the_byte_from_wherever_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::release(1, LAYER);
    let store = store_of(&fake, &folder.path().join("store"));
    let (bytes, packing) = bundle(&fake, &store);
    assert_eq!(packing.packs.len(), 4, "all four layers are packed");
    let verbatim = fake.bytes(&[key()]).unwrap().len();
    assert!(bytes.len() < verbatim * 9 / 10, "{} of {verbatim}", bytes.len());

    // Made again elsewhere, without what was kept, it is the same bundle.
    let elsewhere = store_of(&fake, &folder.path().join("elsewhere"));
    assert!(bundle(&fake, &elsewhere).0 == bytes);
    // And with what was kept.
    assert!(bundle(&fake, &store).0 == bytes);

    let opened = open(&bytes, folder.path()).unwrap().verify(2, &Silent).unwrap();
    assert_eq!(opened.index().format, 2);
    for (digest, blob) in &fake.blobs {
        let stored = opened.blob(digest).unwrap();
        assert_eq!(stored.size(), blob.len() as u64);
        assert!(stored.read_all().unwrap() == *blob);
        opened.check_blob(digest).unwrap();
        for offset in [1, 70_000, blob.len() - 1, blob.len()].map(|at| at.min(blob.len())) {
            let mut rest = Vec::new();
            stored.reader_at(offset as u64).unwrap().read_to_end(&mut rest).unwrap();
            assert!(rest == blob[offset..], "{offset}");
        }
        let cursor = BlobCursor::new(stored);
        for offset in [0, 10, 20, 5, blob.len() - 3] {
            let mut buffer = [0; 10];
            let n = cursor.read_at(offset as u64, &mut buffer).unwrap();
            assert!(n > 0 && buffer[..n] == blob[offset..offset + n]);
        }
        assert_eq!(cursor.read_at(blob.len() as u64, &mut [0; 8]).unwrap(), 0);
    }
}

#[test]
fn what_gains_too_little_or_has_no_recipe_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::new(1, 300_000);
    let store = store_of(&fake, folder.path());
    let (made, _) = packs(&fake, &store);
    assert!(made.is_empty(), "noise is no gzip");
    let limits = Limits::default();
    assert!(limits.gained(1 << 20, 900 << 10) && !limits.gained(1 << 20, (1 << 20) - (64 << 10)));
    assert!(!limits.gained(100 << 10, 40 << 10), "below 64 KiB");
    assert!(!limits.gained(1 << 30, 980 << 20), "below 10 %");
}

#[test]
fn what_does_not_shrink_by_itself_is_stored_against_an_older_blob_that_is_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let cache = Cache::open(store.root(), Limits::default()).unwrap();
    let old = noise(21, 700_000);
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut new = old.clone();
        change(&mut new);
        new
    };
    let extent = |bytes: &[u8]| Extent { digest: Digest::of(bytes), size: bytes.len() as u64 };
    let find = |bytes: &[u8]| {
        store.put(bytes).unwrap();
        store.find(&extent(bytes)).unwrap().unwrap()
    };
    let older = Older { blob: extent(&old), source: find(&old) };
    for (n, new) in [
        changed(|new| new[300_000..300_003].fill(0)),
        changed(|new| new.splice(10..10, [1, 2, 3]).for_each(drop)),
        changed(|new| drop(new.drain(400_000..400_777))),
        changed(|new| new.extend([7; 2000])),
    ]
    .iter()
    .enumerate()
    {
        let source = find(new);
        assert!(cache.get(extent(new), &source, None).unwrap().is_none(), "{n}: it does not shrink by itself");
        let kept = cache.get(extent(new), &source, Some(&older)).unwrap().expect("a delta");
        assert!(kept.made.stored.size < 20_000, "{n}: {} bytes", kept.made.stored.size);
        assert!(kept.blob(Some(older.source.clone())).unwrap().read_all().unwrap() == *new);
    }
    // Nothing in common: it stays as it is.
    let other = noise(22, 700_000);
    assert!(cache.get(extent(&other), &find(&other), Some(&older)).unwrap().is_none());
}

#[test]
fn a_kept_verdict_that_was_damaged_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::release(1, 100_000);
    let store = store_of(&fake, folder.path());
    let first = bundle(&fake, &store).0;
    let compact = std::fs::read_dir(folder.path().join("compact")).unwrap().next().unwrap().unwrap().path();
    for (n, entry) in std::fs::read_dir(&compact).unwrap().enumerate() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        match path.extension().and_then(|e| e.to_str()) {
            Some("json") => bytes[70 + n] ^= 1,
            _ => bytes.truncate(bytes.len() / 2),
        }
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(bundle(&fake, &store).0 == first);
}

#[test]
fn damage_to_what_is_stored_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let fake = Fake::release(1, 100_000);
    let store = store_of(&fake, &folder.path().join("store"));
    let (bytes, packing) = bundle(&fake, &store);
    let opened = open(&bytes, folder.path()).unwrap();
    for digest in packing.packs.keys() {
        let entry = opened.blob_entry(digest).unwrap();
        let base = bytes.len() as u64
            - opened.index().entries.last().map_or(0, |last| last.offset + last.size.next_multiple_of(512))
            - 1024;
        for at in [0, entry.size / 2, entry.size - 1] {
            let mut bent = bytes.clone();
            bent[usize::try_from(base + entry.offset + at).unwrap()] ^= 4;
            let bent = open(&bent, folder.path()).unwrap();
            // A reader of the blob gets an error and not all of it, whatever it got before.
            let mut got = Vec::new();
            let read = bent.blob(digest).unwrap().reader().unwrap().read_to_end(&mut got);
            assert!(read.is_err() && got.len() < fake.blobs[digest].len(), "{at}: {read:?}");
            let error = bent.verify(2, &Silent).unwrap_err();
            assert!(matches!(&error, OpenError::Damaged(list) if list.len() == 1 && list[0].name == entry.name));
        }
    }
}
