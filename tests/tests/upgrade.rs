//! Compact bundles and upgrade packages, by the real program: over every pair of versions the bytes of the full bundle come
//! out, from whatever the base is; what is missing is said before anything is changed; kills leave nothing wrong.

use std::sync::{Arc, LazyLock};

use ferry_bundle_format::Digest;
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::sign::secret::generate_identity;
use ferry_bundle_format::store::Store;
use ferry_bundler::distribution::Content as _;
use ferry_bundler::origin::{MemoryRegistry, Origin, OriginConfig};
use tests::ferry::{Ended, Ferry};
use tests::http;
use tests::kills::survive;

/// Plain bytes of a layer: enough for each to gain by being packed.
const LAYER: usize = 1_000_000;

/// The versions.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=4;

/// Kills of `apply` that hit; with those of `split` and `receive` more than 500.
const KILLS: u64 = 170;

/// Locks, one store with everything, full bundles and the upgrades between all of them.
struct Product {
    ferry: Ferry,
    releases: Vec<Fake>,
}

const SIGNED: [&str; 4] = ["--sign", "release.key", "--age-identity", "identity.txt"];
const TRUST: [&str; 2] = ["--trust", "release.pub"];

static PRODUCT: LazyLock<Product> = LazyLock::new(|| {
    let ferry = Ferry::new();
    let (identity, recipient) = generate_identity();
    ferry.write("identity.txt", identity.as_bytes());
    let _ = ferry.run(&["keygen", "release", "--age-recipient", &recipient]);
    let store = Store::open(&ferry.path("store")).unwrap();
    let releases: Vec<Fake> = VERSIONS.map(|version| Fake::release(version, LAYER)).collect();
    for (fake, version) in releases.iter().zip(VERSIONS) {
        fake.blobs.values().for_each(|blob| assert_eq!(store.put(blob).unwrap(), Digest::of(blob)));
        ferry.write(&format!("v{version}.lock.yaml"), fake.lock.to_yaml());
        pack(&ferry, version, &format!("v{version}.ferry"), &[]);
        pack(&ferry, version, &format!("compact-{version}.ferry"), &["--storage", "compact"]);
    }
    for newer in VERSIONS {
        for older in 1..newer {
            let base = format!("v{older}.ferry");
            pack(&ferry, newer, &format!("up-{older}-{newer}.ferry"), &["--since", &base]);
        }
    }
    Product { ferry, releases }
});

fn pack(ferry: &Ferry, version: u64, output: &str, more: &[&str]) {
    let lock = format!("v{version}.lock.yaml");
    let all = ["pack", &lock, "-o", output, "--store", "store"];
    let _ = ferry.run(&[&all[..], &SIGNED, more].concat());
}

fn apply(ferry: &Ferry, package: &str, bases: &[&str], output: &str) -> Ended {
    let bases: Vec<&str> = bases.iter().flat_map(|base| ["--base", base]).collect();
    ferry.ends(&[&["apply", package, "-o", output, "--force"][..], &TRUST, &bases].concat())
}

#[test]
fn every_pair_of_versions_gives_the_full_bundle() {
    let ferry = &PRODUCT.ferry;
    for newer in VERSIONS {
        let full = ferry.read(&format!("v{newer}.ferry"));
        let compact = format!("compact-{newer}.ferry");
        let _ = apply(ferry, &compact, &[], "pair.ferry").expect_code(0, &compact);
        assert!(ferry.read("pair.ferry") == full, "{compact}");
        assert!(ferry.read(&compact).len() < full.len());
        for older in 1..newer {
            let package = format!("up-{older}-{newer}.ferry");
            // The full bundle, the compact one, and the store of whoever keeps blobs.
            for base in [format!("v{older}.ferry"), format!("compact-{older}.ferry"), "store".into()] {
                let _ = apply(ferry, &package, &[&base], "pair.ferry").expect_code(0, &format!("{package} on {base}"));
                assert!(ferry.read("pair.ferry") == full, "{package} on {base}");
            }
            // An upgrade stays far below what changed, and below leaving out alone.
            let base = format!("v{older}.ferry");
            pack(ferry, newer, "by-digest.ferry", &["--since", &base, "--storage", "verbatim", "--force"]);
            let _ = apply(ferry, "by-digest.ferry", &[&base], "pair.ferry").expect_code(0, "by digest");
            assert!(ferry.read("pair.ferry") == full);
            let (small, by_digest) = (ferry.read(&package).len(), ferry.read("by-digest.ferry").len());
            assert!(small < by_digest && by_digest < full.len(), "{small}, {by_digest}, {}", full.len());
        }
    }
}

#[test]
fn a_package_is_the_same_bytes_whatever_it_was_made_from() {
    let ferry = &PRODUCT.ferry;
    let package = ferry.read("up-1-2.ferry");
    // From the lock alone, with the older layers in the store; from the compact bundle; with nothing kept from before.
    for (since, more) in
        [("v1.lock.yaml", &[][..]), ("compact-1.ferry", &[]), ("v1.ferry", &["--since", "v1.lock.yaml"])]
    {
        pack(ferry, 2, "again.ferry", &[&["--since", since, "--force"][..], more].concat());
        assert!(ferry.read("again.ferry") == package, "{since}");
    }
    pack(ferry, 2, "again.ferry", &["--since", "v1.ferry", "--self-contained", "--force"]);
    assert!(ferry.read("again.ferry") == ferry.read("v2.ferry"));
}

#[test]
fn one_package_fits_several_bases() {
    let ferry = &PRODUCT.ferry;
    pack(ferry, 4, "several.ferry", &["--since", "v1.ferry", "--since", "v3.lock.yaml"]);
    for base in ["v1.ferry", "v3.ferry", "compact-3.ferry"] {
        let _ = apply(ferry, "several.ferry", &[base], "fits.ferry").expect_code(0, base);
        assert!(ferry.read("fits.ferry") == ferry.read("v4.ferry"), "{base}");
    }
    let refused = apply(ferry, "several.ferry", &["v2.ferry"], "unfit.ferry").expect_code(4, "another serial");
    assert!(
        refused.stderr.contains("serial 2, but the package applies to") && refused.stderr.contains("serial 1 or 3")
    );
    assert!(!ferry.path("unfit.ferry").exists());
}

#[test]
fn what_is_missing_is_said_exactly_and_nothing_is_written() {
    let ferry = &PRODUCT.ferry;
    let store = Store::open(&ferry.path("half")).unwrap();
    let needed: Vec<Digest> = {
        let shown = ferry.run(&[&["show", "up-2-3.ferry", "--json"][..], &TRUST].concat());
        let index = shown.data()["index"].clone();
        let required = index["requires"].as_array().unwrap().iter();
        required.map(|one| Digest::parse(one["digest"].as_str().unwrap()).unwrap()).collect()
    };
    let blobs = &PRODUCT.releases[1].blobs;
    let absent = needed.iter().find(|digest| blobs.get(*digest).is_some_and(|blob| blob.len() > 100_000)).unwrap();
    for digest in needed.iter().filter(|digest| *digest != absent) {
        // What ferry derives itself is not among the fake's blobs; the bundle has it.
        if let Some(blob) = blobs.get(digest) {
            store.put(blob).unwrap();
        }
    }
    let none = apply(ferry, "up-2-3.ferry", &[], "missing.ferry").expect_code(3, "no base");
    assert!(none.stderr.contains("it applies to serial 2") && none.stderr.contains("--base"), "{}", none.stderr);
    let half = apply(ferry, "up-2-3.ferry", &["half"], "missing.ferry").expect_code(3, "half a base");
    assert!(half.stderr.contains(&absent.to_string()), "{}", half.stderr);
    assert!(!ferry.path("missing.ferry").exists() && !ferry.path("missing.ferry.partial").exists());
    // Verified alone, it says what could not be looked at; with its base, all of it is.
    let alone = ferry.run(&[&["verify", "up-2-3.ferry", "--plain"][..], &TRUST].concat());
    assert!(alone.all().contains("they need a base"), "{}", alone.all());
    let whole = ferry.run(&[&["verify", "up-2-3.ferry", "--plain", "--base", "v2.ferry"][..], &TRUST].concat());
    assert!(!whole.all().contains("they need a base"));
}

#[test]
fn a_damaged_base_is_found_before_the_bundle_has_its_name() {
    let ferry = &PRODUCT.ferry;
    let mut bytes = ferry.read("v1.ferry");
    // In the layer that never changes: it is left out of the package.
    let layer = &PRODUCT.releases[0].blobs[&PRODUCT.releases[0].lock.images[0].manifests[0].layers[0].digest];
    let at = bytes.windows(64).position(|window| window == &layer[100..164]).expect("the layer is in the bundle");
    bytes[at] ^= 1;
    ferry.write("bent.ferry", &bytes);
    let refused = apply(ferry, "up-1-2.ferry", &["bent.ferry"], "bent-full.ferry");
    assert!([4, 9].contains(&refused.code), "{}", refused.all());
    assert!(!ferry.path("bent-full.ferry").exists());
}

#[test]
fn a_compact_bundle_is_served_and_pushed_as_any_other() {
    let ferry = &PRODUCT.ferry;
    let serving = ferry.serve(&["compact-3.ferry", "--trust", "release.pub"]);
    let address: std::net::SocketAddr = serving.host().parse().unwrap();
    let release = &PRODUCT.releases[2];
    let layers = release.lock.images[0].manifests[0].layers.clone();
    for layer in &layers {
        let target = format!("/v2/shop/api/blobs/{}", layer.digest);
        let answer = http::get(address, &target);
        assert!(answer.status == 200 && answer.body == release.blobs[&layer.digest], "{}", answer.status);
        let part = http::request(address, "GET", &target, &[("Range", "bytes=70000-70099")], &[]);
        assert!(part.status == 206 && part.body[..] == release.blobs[&layer.digest][70_000..70_100]);
    }
    drop(serving.terminate());
    let _ = ferry.run(&[&["export", "compact-3.ferry", "--oci", "layout"][..], &TRUST].concat());
    for layer in &layers {
        let path = ferry.path("layout/blobs/sha256").join(layer.digest.hex());
        assert!(std::fs::read(path).unwrap() == release.blobs[&layer.digest]);
    }
}

#[test]
fn an_upgrade_is_pushed_onto_a_registry_that_holds_the_base() {
    let ferry = &PRODUCT.ferry;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = MemoryRegistry::default();
    let config = OriginConfig { registry: Arc::new(registry), ..OriginConfig::default() };
    let registry = config.registry.clone();
    let origin = runtime.block_on(Origin::start(config)).unwrap();
    let host = origin.registry_host();
    let push = |bundle: &str| {
        let all = ["push", bundle, &host, "--plain-http", &host, "--json"];
        ferry.ends(&[&all[..], &TRUST].concat())
    };
    let refused = push("up-1-2.ferry").expect_code(3, "an empty registry");
    assert!(refused.all().contains("it applies to serial 1"), "{}", refused.all());
    assert!(registry.repositories().is_empty(), "nothing was sent");
    let _ = push("v1.ferry").expect_code(0, "the base");
    let data = push("up-1-2.ferry").expect_code(0, "the upgrade").data();
    assert!(data["sent"].as_u64().unwrap() > 0);
    let _ = push("up-2-4.ferry").expect_code(0, "two further");
    let release = &PRODUCT.releases[3];
    for layer in &release.lock.images[0].manifests[0].layers {
        let held = registry.blob("shop/api", &layer.digest).unwrap().unwrap();
        assert_eq!(held.digest().unwrap(), layer.digest);
    }
    // And from the package with a base at hand, to a registry that has nothing.
    let other = runtime.block_on(Origin::start(OriginConfig::default())).unwrap();
    let host = other.registry_host();
    let all = ["push", "up-1-2.ferry", &host, "--plain-http", &host, "--base", "v1.ferry"];
    let _ = ferry.run(&[&all[..], &TRUST].concat());
}

#[test]
fn killed_at_any_moment_apply_leaves_the_right_bundle_or_none() {
    let ferry = &PRODUCT.ferry;
    let full = Digest::of(&ferry.read("v3.ferry"));
    let folder = ferry.path("applied");
    survive(
        ferry,
        &["apply", "up-2-3.ferry", "--base", "v2.ferry", "-o", "applied/full.ferry", TRUST[0], TRUST[1]],
        (0x5eed_0006, KILLS),
        || {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir(&folder).unwrap();
        },
        |kill| {
            if let Ok(bytes) = std::fs::read(folder.join("full.ferry")) {
                assert_eq!(Digest::of(&bytes), full, "kill {kill}: what has the name is whole");
                std::fs::remove_file(folder.join("full.ferry")).unwrap();
            }
        },
        |kill| {
            assert_eq!(Digest::of(&ferry.read("applied/full.ferry")), full, "kill {kill}: a rerun completes");
            let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(left, ["full.ferry"], "kill {kill}");
        },
    );
}
