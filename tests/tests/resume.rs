//! `fetch` and `make`, killed at seeded moments: a rerun completes, goes on inside the blobs, and gives the bytes of an
//! uninterrupted run; no half file stands under the final name, nothing is left beside it. Shape of the test as
//! ostree's destructive one: moments between 0 and 1.1 of a whole run, so that some runs finish.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::{Arch, Digest};
use ferry_bundler::fetch::CHUNK;
use ferry_bundler::origin::{Action, Fault, ImageSpec, MemoryRegistry, OriginConfig};
use rustix::process::{Pid, Signal, kill_process};
use tests::delivery::Delivery;
use tests::kills::Dice;

/// Kills of each verb; 200 in all.
const KILLS: u64 = 100;

/// What else may be on the way to the process when it is killed, but for what the sockets hold: what it has read out of one and
/// has not yet counted.
const ON_THE_WAY: u64 = 256 * 1024;

/// Three images with layers of some megabytes, sent slowly enough to be cut in the middle.
fn slow() -> Delivery {
    let registry = MemoryRegistry::default();
    let mut manifest = String::from(
        "apiVersion: ferry.dev/v1\nkind: Manifest\nproduct: {name: slow, version: v1}\narches: [amd64]\nimages:\n",
    );
    for n in 0..3 {
        let repository = format!("shop/slow-{n}");
        let spec = ImageSpec {
            arches: vec![Arch::Amd64],
            layers: vec![2_600_000, 1_900_000],
            ..ImageSpec::new(&repository, "1.0")
        };
        spec.publish(&registry).expect("an image");
        manifest.push_str(&format!("- name: registry.example/{repository}:1.0\n"));
    }
    let faults = vec![Fault::new("/blobs/", Action::Trickle { bytes_per_second: 6_000_000 }).method("GET")];
    let delivery = Delivery::with(OriginConfig { registry: Arc::new(registry), faults, ..OriginConfig::default() });
    delivery.ferry.write("site.yaml", manifest);
    delivery
}

fn sha256(path: &Path) -> Digest {
    digest_reader(std::fs::File::open(path).expect("a file")).expect("it can be read").0
}

/// The names below a folder, folders not counted.
fn listing(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders: Vec<_> = Some(folder.to_owned()).into_iter().filter(|folder| folder.exists()).collect();
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(folder).expect("below").display().to_string());
            }
        }
    }
    names.sort();
    names
}

fn start(delivery: &Delivery, arguments: &[&str]) -> Child {
    let mut command = delivery.ferry.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ferry-bundle starts")
}

/// What the origin sent of each blob, and where the last request for it began.
type Blobs = BTreeMap<String, (u64, u64)>;

/// Runs `arguments`, kills after `moment`; how it ended, if it had before, what the origin had sent by then, and how many bytes of
/// that the sockets held. On a busy machine that may be megabytes. Stopped first, so that it reads no more while they are asked;
/// the origin goes on sending, so it is asked before the sockets are.
fn killed(delivery: &Delivery, arguments: &[&str], moment: Duration) -> (Option<i32>, Blobs, u64) {
    let mut child = start(delivery, arguments);
    std::thread::sleep(moment);
    if child.try_wait().expect("its state").is_some() {
        return (child.wait().expect("its end").code(), blobs(delivery), 0);
    }
    let signal = |signal| kill_process(Pid::from_child(&child), signal).expect("a signal to a child");
    signal(Signal::STOP);
    let sent = blobs(delivery);
    let held = in_sockets(delivery.origin().address().port());
    signal(Signal::KILL);
    (child.wait().expect("its end").code(), sent, held)
}

/// What all connections to a port of 127.0.0.1 hold: not yet sent or acknowledged at the server's end, not yet read at the
/// client's. See proc_net_tcp of the kernel's documentation.
fn in_sockets(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let end = format!(":{port:04X}");
    let number = |text: &str| u64::from_str_radix(text, 16).expect("a number");
    let of = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote, _, queues) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let (unsent, unread) = queues.split_once(':')?;
        let sending = if local.ends_with(&end) { number(unsent) } else { 0 };
        Some(sending + if remote.ends_with(&end) { number(unread) } else { 0 })
    };
    table.lines().skip(1).filter_map(of).sum()
}

/// As the origin has noted it.
fn blobs(delivery: &Delivery) -> Blobs {
    let mut seen = BTreeMap::new();
    for request in delivery.origin().requests() {
        if request.method == "GET" && request.path.contains("/blobs/") {
            let start = request
                .range
                .as_deref()
                .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
            let entry: &mut (u64, u64) = seen.entry(request.path.clone()).or_default();
            entry.0 = entry.0.max(start.unwrap_or(0) + request.sent);
            entry.1 = start.unwrap_or(0);
        }
    }
    seen
}

/// Kills `arguments` again and again; `clean` prepares, `check` looks at what a kill and then a rerun left.
fn survive(
    delivery: &Delivery,
    arguments: &[&str],
    seed: u64,
    clean: impl Fn(),
    half: impl Fn(u64),
    whole: impl Fn(u64),
) {
    clean();
    let start = Instant::now();
    let _ = delivery.ferry.run(arguments);
    let full = start.elapsed();
    whole(0);
    let mut dice = Dice::new(seed);
    let mut resumed = 0;
    for kill in 1..=KILLS {
        clean();
        delivery.origin().forget_requests();
        let moment = Duration::from_micros(dice.below(u64::try_from(full.as_micros()).expect("short") * 11 / 10));
        let (ended, before, held) = killed(delivery, arguments, moment);
        half(kill);
        delivery.origin().forget_requests();
        let _ = delivery.ferry.run(arguments);
        whole(kill);
        for (path, (_, start)) in blobs(delivery) {
            let sent = before.get(&path).map_or(0, |(sent, _)| *sent);
            let again = sent.saturating_sub(start);
            assert!(
                again <= CHUNK as u64 + ON_THE_WAY + held,
                "kill {kill} (seed {seed}) at {moment:?}, ended {ended:?}: {path}: {sent} sent, {held} in sockets, rerun from {start}"
            );
            resumed += usize::from(start > 0);
        }
    }
    assert!(resumed > 20, "only {resumed} transfers went on inside a blob: the moments prove nothing");
}

#[test]
fn make_killed_at_any_moment_goes_on_and_gives_the_same_bytes() {
    let delivery = slow();
    let _ = delivery.lock(&[]).expect_code(0, "lock");
    let sign = [
        "make",
        "site.yaml",
        "-o",
        "out/site.ferry",
        "--frozen",
        "--sign",
        "release.key",
        "--age-identity",
        "identity.txt",
    ];
    let arguments = delivery.resolving(&sign);
    let out = delivery.ferry.path("out");
    let reference = std::cell::OnceCell::new();
    survive(
        &delivery,
        &arguments,
        0x5eed_0001,
        || {
            let _ = std::fs::remove_dir_all(&out);
            std::fs::create_dir(&out).expect("a folder");
        },
        |kill| {
            if out.join("site.ferry").exists() {
                let verify = ["verify", "out/site.ferry", "--trust", "release.pub"];
                let _ = delivery
                    .ferry
                    .ends(&verify)
                    .expect_code(0, &format!("kill {kill}: what stands under the final name is whole"));
            }
        },
        |kill| {
            assert_eq!(listing(&out), ["site.ferry"], "kill {kill}");
            let digest = sha256(&out.join("site.ferry"));
            assert_eq!(*reference.get_or_init(|| digest), digest, "kill {kill}");
        },
    );
}

#[test]
fn fetch_killed_at_any_moment_goes_on_and_fills_the_store() {
    let delivery = slow();
    let _ = delivery.lock(&[]).expect_code(0, "lock");
    let mut arguments = vec!["fetch", "site.lock.yaml", "--store", "store"];
    arguments.extend(delivery.network());
    let store = delivery.ferry.path("store");
    let reference = std::cell::OnceCell::new();
    survive(
        &delivery,
        &arguments,
        0x5eed_0002,
        || {
            let _ = std::fs::remove_dir_all(&store);
        },
        |kill| {
            for name in listing(&store.join("blobs/sha256")) {
                assert_eq!(
                    sha256(&store.join("blobs/sha256").join(&name)).hex(),
                    name,
                    "kill {kill}: a blob under its name is whole"
                );
            }
        },
        |kill| {
            let names = listing(&store);
            assert!(names.iter().all(|name| name == "lock" || name.starts_with("blobs/")), "kill {kill}: {names:?}");
            assert_eq!(*reference.get_or_init(|| names.clone()), names, "kill {kill}");
            let blobs = names.iter().filter_map(|name| name.strip_prefix("blobs/sha256/"));
            blobs.for_each(|hex| assert_eq!(sha256(&store.join("blobs/sha256").join(hex)).hex(), hex, "kill {kill}"));
        },
    );
}

#[test]
fn ctrl_c_ends_cleanly_and_a_rerun_goes_on() {
    let delivery = slow();
    let _ = delivery.lock(&[]).expect_code(0, "lock");
    let mut arguments = vec!["fetch", "site.lock.yaml", "--store", "store"];
    arguments.extend(delivery.network());
    let mut child = start(&delivery, &arguments);
    // Until something is there to go on from, however slow the machine is.
    while blobs(&delivery).values().all(|(sent, _)| *sent < 1_000_000) {
        assert!(child.try_wait().expect("its state").is_none(), "it has ended before");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal to a child");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    let partial = std::fs::read_dir(delivery.ferry.path("store/partial")).expect("a folder").count();
    delivery.origin().forget_requests();
    let _ = delivery.ferry.run(&arguments);
    let went_on = blobs(&delivery).values().filter(|(_, start)| *start > 0).count();
    assert!(partial > 0 && went_on > 0, "{partial} partial files, {went_on} transfers went on");
}
