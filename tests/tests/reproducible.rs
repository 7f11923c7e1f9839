//! The same lock gives the same bytes: wherever, by whomever and in whatever order a bundle is made.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use ferry_bundle_format::Digest;
use tests::delivery::Delivery;
use tests::ferry::Ended;

/// What must not matter.
struct Surroundings {
    umask: &'static str,
    time_zone: &'static str,
    locale: &'static str,
    clock: &'static str,
    jobs: &'static str,
}

const HERE: Surroundings = Surroundings { umask: "022", time_zone: "UTC", locale: "C", clock: "1000000000", jobs: "1" };
const THERE: Surroundings = Surroundings {
    umask: "077",
    time_zone: "Pacific/Kiritimati",
    locale: "tr_TR.UTF-8",
    clock: "2000000000",
    jobs: "8",
};

/// Runs `ferry-bundle` in `folder`, in these surroundings. It must succeed.
fn run(delivery: &Delivery, folder: &Path, around: &Surroundings, arguments: &[&str]) {
    let ferry = delivery.ferry.command(arguments);
    let mut shell = Command::new("sh");
    delivery.ferry.at_home(&mut shell);
    shell.args(["-c", &format!("umask {}; exec \"$@\"", around.umask), "sh"]);
    shell.arg(ferry.get_program()).args(ferry.get_args()).current_dir(folder);
    shell.env("TZ", around.time_zone).env("LANG", around.locale).env("LC_ALL", around.locale);
    shell.env("SOURCE_DATE_EPOCH", around.clock);
    let _ = Ended::of(shell.output()).expect_code(0, &format!("{arguments:?}"));
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}

#[test]
fn pack_and_make_give_the_same_bytes_everywhere() {
    let delivery = Delivery::new();
    let home = delivery.ferry.folder();
    let _ = delivery.lock(&[]).expect_code(0, "lock");
    let fetch = ["fetch", "site.lock.yaml", "--store", "store"];
    let _ = delivery.ferry.ends(&[&fetch[..], &delivery.network()].concat()).expect_code(0, "fetch");
    // The same delivery in another place, with another store.
    let away = home.join("some/where/else");
    for name in ["site.yaml", "site.lock.yaml", "notes.txt", "values-site.yaml", "release.key", "identity.txt"] {
        fs::create_dir_all(&away).unwrap();
        fs::copy(home.join(name), away.join(name)).unwrap();
    }
    copy_folder(&home.join("vendor-lists"), &away.join("vendor-lists"));
    copy_folder(&home.join("store"), &away.join("depot"));

    let signed = ["--sign", "release.key", "--age-identity", "identity.txt"];
    let pack = |folder: &Path, around: &Surroundings, store: &str, output: &str| {
        let all = ["pack", "site.lock.yaml", "-o", output, "--store", store, "--jobs", around.jobs];
        run(&delivery, folder, around, &[&all[..], &signed].concat());
    };
    let make = |folder: &Path, around: &Surroundings, more: &[&str], output: &str| {
        let all = ["make", "site.yaml", "-o", output, "--jobs", around.jobs];
        run(&delivery, folder, around, &delivery.resolving(&[&all[..], &signed, more].concat()));
    };
    pack(&home, &HERE, "store", "1.ferry");
    pack(&away, &THERE, "depot", "2.ferry");
    make(&home, &THERE, &["--frozen"], "3.ferry");
    make(&away, &HERE, &["--frozen"], "4.ferry");
    // Resolves again, with a later clock: what has not changed keeps its serial and its date.
    make(&away, &THERE, &[], "5.ferry");
    make(&home, &HERE, &["--store", "third"], "6.ferry");

    let bundles = [&home, &away, &home, &away, &away, &home];
    let bundles: Vec<_> =
        bundles.iter().enumerate().map(|(n, folder)| folder.join(format!("{}.ferry", n + 1))).collect();
    let digests: Vec<_> = bundles.iter().map(|path| Digest::of(&fs::read(path).unwrap())).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:#?}");
    assert_eq!(fs::read(home.join("site.lock.yaml")).unwrap(), fs::read(away.join("site.lock.yaml")).unwrap());
    // The umask decides about the bundle's own file, and about nothing inside it.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&bundles[0]), mode(&bundles[1])), (0o644, 0o600));
    for folder in [&home, &away] {
        let left = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = left.filter(|name| name.contains(".ferry.")).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

#[test]
fn a_lock_is_the_same_whoever_asks() {
    let delivery = Delivery::new();
    let home = delivery.ferry.folder();
    let lock = |around: &Surroundings, output: &str| {
        run(
            &delivery,
            &home,
            around,
            &delivery.resolving(&["lock", "site.yaml", "--lock", output, "--jobs", around.jobs]),
        );
        delivery.ferry.read(output)
    };
    let one = lock(&HERE, "1.lock.yaml");
    let two = lock(&Surroundings { clock: HERE.clock, ..THERE }, "2.lock.yaml");
    assert_eq!(String::from_utf8(one).unwrap(), String::from_utf8(two).unwrap());
    let later = String::from_utf8(lock(&THERE, "3.lock.yaml")).unwrap();
    let earlier = String::from_utf8(delivery.ferry.read("1.lock.yaml")).unwrap();
    let differing: Vec<_> = later.lines().zip(earlier.lines()).filter(|(a, b)| a != b).collect();
    assert!(matches!(differing[..], [(line, _)] if line.starts_with("created: ")), "{differing:?}");
}
