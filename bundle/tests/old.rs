//! Files of every format that has been written stay readable. Each is kept as it was made; none is ever made anew.

use std::path::Path;

use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::TrustPolicy;

fn kept(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/old").join(name)
}

#[test]
fn a_bundle_of_format_1_verifies() {
    let policy = TrustPolicy::any_of(vec![SecretKey::from_seed([1; 32]).public()]);
    let bundle = UnverifiedBundle::open(&kept("format-1.ferry")).unwrap().trust(&policy, &Silent).unwrap();
    let bundle = bundle.verify(2, &Silent).unwrap();
    assert_eq!((bundle.index().format, bundle.index().serial), (1, 1));
    assert_eq!(bundle.lock().unwrap().images.len(), 2);
}

#[test]
fn format_1_is_still_written_to_the_byte() {
    // While this is the format that is written: the same lock and key, the same bytes as on the day it was fixed.
    let now = Fake::new(7, 60).bytes(&[SecretKey::from_seed([1; 32])]).unwrap();
    assert!(std::fs::read(kept("format-1.ferry")).unwrap() == now, "the bytes differ: a new format needs a new number");
}
