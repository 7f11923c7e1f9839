//! Receipts and permits, by the real program: a package is made against what a site acknowledged, and a lower serial needs
//! leave that was given for just that step.

use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_bundle_format::store::Store;
use tests::ferry::Ferry;

const SIGNED: [&str; 4] = ["--sign", "release.key", "--age-identity", "identity.txt"];

/// Two releases, packed in full, with the keys of a supplier and of a site.
fn two_releases() -> Ferry {
    let ferry = Ferry::new();
    let (identity, recipient) = generate_identity();
    ferry.write("identity.txt", identity.as_bytes());
    for name in ["release", "plant"] {
        let _ = ferry.run(&["keygen", name, "--age-recipient", &recipient]);
    }
    let store = Store::open(&ferry.path("store")).unwrap();
    for version in [1, 2] {
        let fake = Fake::release(version, 400_000);
        fake.blobs.values().for_each(|blob| assert!(store.put(blob).is_ok()));
        ferry.write(&format!("v{version}.lock.yaml"), fake.lock.to_yaml());
        let (lock, output) = (format!("v{version}.lock.yaml"), format!("v{version}.ferry"));
        let _ = ferry.run(&[&["pack", &lock, "-o", &output, "--store", "store"][..], &SIGNED].concat());
    }
    ferry
}

#[test]
fn a_package_is_made_against_what_a_site_acknowledged() {
    let ferry = two_releases();
    let site = ["--site", "plant-7", "--sign", "plant.key", "--age-identity", "identity.txt"];
    let receipt = ["receipt", "v1.ferry", "--trust", "release.pub", "-o", "plant.receipt"];
    let code = ferry.run(&[&receipt[..], &site, &["--json"]].concat()).data()["code"].clone();
    let text = String::from_utf8(ferry.read("plant.receipt")).unwrap();
    assert!(text.len() < 2_000 && text.contains("\"site\":\"plant-7\"") && text.contains("\"serial\":1"), "{text}");

    let make = |since: &str, output: &str| {
        let all = ["pack", "v2.lock.yaml", "-o", output, "--store", "store", "--since", since];
        ferry.ends(&[&all[..], &SIGNED].concat())
    };
    let _ = make("plant.receipt", "by-receipt.ferry").expect_code(0, "against a receipt");
    let _ = make("v1.ferry", "by-bundle.ferry").expect_code(0, "against the bundle");
    assert!(ferry.read("by-receipt.ferry") == ferry.read("by-bundle.ferry"));
    // The same, heard over a telephone; misheard, it is no file and no code.
    let heard = code.as_str().expect("a code").to_lowercase().replace('-', " ");
    let _ = make(&heard, "by-code.ferry").expect_code(0, "against a code");
    assert!(ferry.read("by-code.ferry") == ferry.read("by-bundle.ferry"));
    let wrong = format!("{}{}", if heard.starts_with('4') { '5' } else { '4' }, &heard[1..]);
    let misheard = make(&wrong, "x.ferry").expect_code(3, "misheard");
    assert!(misheard.stderr.contains("mistyped") && !ferry.path("x.ferry").exists(), "{}", misheard.stderr);

    ferry.write("bent.receipt", text.replace("\"serial\":1", "\"serial\":3"));
    assert!(make("bent.receipt", "x.ferry").expect_code(3, "bent").stderr.contains("is refused"));
    // Elsewhere, without the lock: it says which one.
    ferry.write("away/plant.receipt", &text);
    let lost = make("away/plant.receipt", "x.ferry").expect_code(3, "no lock beside it");
    assert!(lost.stderr.contains("acknowledges lock sha256:") && lost.stderr.contains("hint:"), "{}", lost.stderr);
}

#[test]
fn a_lower_serial_needs_a_permit_for_just_that_step() {
    let ferry = two_releases();
    let verify = |bundle: &str, more: &[&str]| {
        let all = ["verify", bundle, "--trust", "release.pub", "--state", "seen.json"];
        ferry.ends(&[&all[..], more].concat())
    };
    let permit = |from: &str, to: &str, key: &str, output: &str| {
        let all = ["permit", "shop", "stable", "--from", from, "--to", to, "-o", output, "--sign", key];
        let _ = ferry.run(&[&all[..], &["--age-identity", "identity.txt"]].concat());
    };
    let _ = verify("v2.ferry", &[]).expect_code(0, "the newer one");
    let refused = verify("v1.ferry", &[]).expect_code(5, "an older one");
    assert!(refused.stderr.contains("needs a signed permit"), "{}", refused.stderr);

    permit("2", "1", "plant.key", "stranger.permit");
    permit("3", "1", "release.key", "other.permit");
    permit("2", "1", "release.key", "back.permit");
    let _ = verify("v1.ferry", &["--permit", "stranger.permit"]).expect_code(5, "signed by a stranger");
    let _ = verify("v1.ferry", &["--permit", "other.permit"]).expect_code(5, "for another step");
    let _ = verify("v1.ferry", &[]).expect_code(5, "nothing was remembered by those");
    let _ = verify("v1.ferry", &["--permit", "back.permit"]).expect_code(0, "permitted");
    // Now 1 is what was seen: it needs no permit any more, and the way forward is open.
    let _ = verify("v1.ferry", &[]).expect_code(0, "the same again");
    let _ = verify("v2.ferry", &[]).expect_code(0, "forward");
    let _ = verify("v1.ferry", &[]).expect_code(5, "back again needs leave again");
}
