//! `split` and `receive` on the command line: killed at seeded moments, a rerun gives what an uninterrupted run gives, and
//! never anything else; and the way a person goes, with the lists that other tools check.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ferry_bundle_format::Digest;
use ferry_bundle_format::fake::noise;
use ferry_bundle_format::room;
use tests::ferry::Ferry;
use tests::kills::survive;

/// Kills of each verb that hit; with those of `apply` more than 500.
const KILLS: u64 = 170;

const GATE: &str = "apiVersion: ferry.dev/v1\nkind: Gate\nname: test\nvolumeBytes: 200000\nfileName: \"v{number}\"\nsuffixes: [bin]\n\
                    filesPerBatch: 10\nparity: {percent: 20}\n";

/// A place with a file of 3 MB and a gate through which it goes in 20 + 4 volumes.
fn place() -> Ferry {
    let ferry = Ferry::new();
    ferry.write("cargo.bin", noise(21, 3_000_000));
    ferry.write("gate.yaml", GATE);
    ferry
}

const SPLIT: [&str; 9] = ["split", "cargo.bin", "--gate", "gate.yaml", "--data", "20", "-o", "volumes", "--quiet"];

/// Digests of all files below a folder.
fn listing(folder: &Path) -> BTreeMap<String, Digest> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<_> = Some(folder.to_owned()).into_iter().filter(|folder| folder.exists()).collect();
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                found.insert(name, Digest::of(&std::fs::read(&path).expect("a file")));
            }
        }
    }
    found
}

fn clear(ferry: &Ferry, names: &[&str]) {
    for name in names {
        let path = ferry.path(name);
        let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    }
}

#[test]
fn split_killed_at_any_moment_gives_the_same_volumes() {
    let ferry = place();
    let folder = ferry.path("volumes");
    let reference = std::cell::OnceCell::new();
    survive(
        &ferry,
        &SPLIT,
        (0x5eed_0003, KILLS),
        || clear(&ferry, &["volumes", "volumes.custody.jsonl"]),
        |kill| {
            // What has its name and stands in a folder that is called finished is right.
            if folder.join("SHA256SUMS").exists() && !folder.join("UNFINISHED").exists() {
                assert!(sums(&folder), "kill {kill}");
            }
        },
        |kill| {
            let names = listing(&folder);
            assert_eq!(names.len(), 24 + 7, "kill {kill}: {:?}", names.keys());
            assert_eq!(*reference.get_or_init(|| names.clone()), names, "kill {kill}");
            let log = String::from_utf8(ferry.read("volumes.custody.jsonl")).expect("text");
            assert_eq!(log.lines().count(), 1, "kill {kill}: {log}");
        },
    );
}

#[test]
fn receive_killed_at_any_moment_gives_the_same_file() {
    let ferry = place();
    let _ = ferry.run(&SPLIT);
    // Four are lost, one of them data: blocks are repaired all the way.
    for volume in ["batch-01/v003.bin", "batch-02/v011.bin", "batch-02/v019.bin", "batch-03/v024.bin"] {
        std::fs::remove_file(ferry.path("volumes").join(volume)).expect("a volume");
    }
    let cargo = ferry.read("cargo.bin");
    survive(
        &ferry,
        &["receive", "volumes", "-o", "out/cargo.bin", "--quiet"],
        (0x5eed_0004, KILLS),
        || {
            clear(&ferry, &["out"]);
            std::fs::create_dir(ferry.path("out")).expect("a folder");
        },
        |kill| {
            if ferry.path("out/cargo.bin").exists() {
                assert!(ferry.read("out/cargo.bin") == cargo, "kill {kill}: a half file under the final name");
            }
        },
        |kill| {
            assert!(ferry.read("out/cargo.bin") == cargo, "kill {kill}");
            let names: Vec<String> = listing(&ferry.path("out")).into_keys().collect();
            assert_eq!(names, ["cargo.bin", "cargo.bin.custody.jsonl"], "kill {kill}");
        },
    );
}

/// `sha256sum -c` in a folder: GNU's tool, or busybox's.
fn sums(folder: &Path) -> bool {
    let output = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(folder).output();
    output.expect("sha256sum is on every system").status.success()
}

#[test]
fn a_person_splits_loses_asks_and_receives() {
    let ferry = place();
    let said = ferry.run(&["split", "cargo.bin", "--gate", "gate.yaml", "--data", "20", "-o", "volumes"]);
    assert!(said.stdout.contains("20 + 4 volumes") && said.stdout.contains("any 20 of the 24"), "{}", said.stdout);
    let folder = ferry.path("volumes");
    assert!(sums(&folder));
    for (name, words) in [
        ("transfer-list.en.txt", ["Any 20 of the 24", "Approved by"]),
        ("transfer-list.zh.txt", ["24 个分卷中任意 20 个", "审批人"]),
        ("transfer-list.en.html", ["<td>batch-03/v021.bin</td>", "sha256sum -c"]),
        ("transfer-list.zh.html", ["lang=\"zh-CN\"", "校验卷"]),
        ("transfer-list.en.csv", ["data,1,batch-01/v001.bin,", "parity,24,batch-03/v024.bin,"]),
        ("transfer-list.zh.csv", ["\u{feff}类别,序号", "数据卷,1,"]),
    ] {
        let text = String::from_utf8(ferry.read(&format!("volumes/{name}"))).expect("text");
        for word in words {
            assert!(text.contains(word), "{name} lacks {word}:\n{text}");
        }
    }
    // Again: it is there. Into a folder with something else: refused.
    let again = ferry.run(&["split", "cargo.bin", "--gate", "gate.yaml", "--data", "20", "-o", "volumes"]);
    assert!(again.stderr.contains("it is there already"), "{}", again.stderr);
    let other = ferry.ends(&["split", "cargo.bin", "--gate", "gate.yaml", "--data", "19", "-o", "volumes"]);
    let _ = other.expect_code(3, "another shape");

    // The first round brings eighteen volumes, one of them with a bad spot, and read-only.
    let first = ferry.path("disc-1");
    std::fs::create_dir(&first).expect("a folder");
    for n in 1..=18 {
        let from = folder.join(format!("batch-0{}/v{n:03}.bin", (n - 1) / 10 + 1));
        std::fs::copy(from, first.join(format!("FILE{n}"))).expect("a copy");
    }
    let mut hurt = std::fs::read(first.join("FILE7")).expect("a volume");
    let middle = hurt.len() / 2;
    hurt[middle] ^= 1;
    std::fs::write(first.join("FILE7"), hurt).expect("a volume");
    let round = ferry.ends(&["receive", "disc-1", "-o", "cargo.out"]);
    let round = round.expect_code(15, "an incomplete round");
    assert!(
        round.stdout.contains("NOT enough") && round.stdout.contains("in part (7; 1 blocks bad)"),
        "{}",
        round.stdout
    );
    assert!(!ferry.path("cargo.out").exists());
    let code = round.stdout.lines().find_map(|line| line.strip_prefix("code: ")).expect("a code").to_owned();

    // The code is heard with small letters and an o; a wrong character is noticed.
    let heard = code.to_lowercase().replace('0', "o").replace('-', " ");
    let wrong = format!("{}{}", if code.starts_with('2') { '3' } else { '2' }, &code[1..]);
    let _ = ferry
        .ends(&["resend", &wrong, "--from", "volumes", "-o", "again", "--gate", "gate.yaml"])
        .expect_code(3, "mistyped");
    assert!(!ferry.path("again").exists());
    let _ = ferry.run(&["resend", &heard, "--from", "volumes", "-o", "again", "--gate", "gate.yaml"]);
    let from_file = ["resend", &code, "--from", "cargo.bin", "-o", "anew", "--gate", "gate.yaml", "--data", "20"];
    let _ = ferry.run(&from_file);
    assert_eq!(listing(&ferry.path("again")), listing(&ferry.path("anew")), "from the file as from the volumes");
    let sent: u64 = listing(&ferry.path("again")).keys().map(|name| size(&ferry, &format!("again/{name}"))).sum();
    assert!(sent < 3 * size(&ferry, "volumes/batch-01/v001.bin"), "{sent} bytes are sent again");

    // Disc 1 is out of the drive: what was good on it has been kept.
    std::fs::remove_dir_all(&first).expect("a folder");
    let last = ferry.run(&["receive", "again", "-o", "cargo.out"]);
    assert!(last.stdout.contains("cargo.out: "), "{}", last.stdout);
    assert!(ferry.read("cargo.out") == ferry.read("cargo.bin"));
    assert!(!ferry.path("cargo.out.receiving").exists());
    let log = String::from_utf8(ferry.read("cargo.out.custody.jsonl")).expect("text");
    assert!(log.lines().count() == 2 && log.contains("\"incomplete\"") && log.contains("\"received\""), "{log}");
}

fn size(ferry: &Ferry, name: &str) -> u64 {
    std::fs::metadata(ferry.path(name)).expect("a file").len()
}

#[test]
fn a_full_disk_is_noticed_before_the_first_byte() {
    let ferry = place();
    // The largest that can be split, nearly; the file itself is a hole.
    let huge = 3 << 40;
    if room::free_in(&ferry.folder()).is_none_or(|free| free > huge) {
        return;
    }
    ferry.write("large.yaml", GATE.replace("200000", "64000000000"));
    std::fs::File::create(ferry.path("huge.bin")).expect("a file").set_len(huge).expect("a hole");
    let refused = ferry.ends(&["split", "huge.bin", "--gate", "large.yaml", "-o", "volumes"]).expect_code(9, "no room");
    assert!(
        refused.stderr.contains("bytes) are missing") && refused.stderr.contains("make room"),
        "{}",
        refused.stderr
    );
    let left: Vec<String> = listing(&ferry.path("volumes")).into_keys().collect();
    assert!(left.is_empty(), "another gate may be tried there: {left:?}");
}

#[test]
fn watching_a_drop_folder_ends_when_enough_has_come() {
    let ferry = place();
    let _ = ferry.run(&SPLIT);
    std::fs::create_dir(ferry.path("drop")).expect("a folder");
    let arguments = ["receive", "drop", "--watch", "--every", "1", "-o", "cargo.out"];
    let child = ferry.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    for n in 4..=24 {
        let from = ferry.path(&format!("volumes/batch-0{}/v{n:03}.bin", (n - 1) / 10 + 1));
        // As a gate delivers: under its name from the first byte on, growing.
        let bytes = std::fs::read(from).expect("a volume");
        let to = ferry.path(&format!("drop/{n}"));
        std::fs::write(&to, &bytes[..bytes.len() / 3]).expect("a volume");
        std::thread::sleep(Duration::from_millis(60));
        std::fs::write(&to, &bytes).expect("a volume");
    }
    let ended = tests::ferry::Ended::of(child.wait_with_output()).expect_code(0, "watch");
    assert!(
        ended.stderr.contains("waiting: no volume was found") || ended.stderr.contains("NOT enough"),
        "{}",
        ended.stderr
    );
    assert!(ferry.read("cargo.out") == ferry.read("cargo.bin"));
}
