//! The drawing in `docs/architecture.md`, held by a test: which crate may see which, and one home for each library.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// The arrows: a crate, and the crates of ours that it may depend on.
const ARROWS: [(&str, &[&str]); 8] = [
    ("ferry-bundle-format", &["ferry-recompress"]),
    ("ferry-bundler", &["ferry-bundle-format"]),
    ("ferry-engine", &["ferry-bundle-format"]),
    ("ferry-installer", &["ferry-bundle-format", "ferry-engine"]),
    ("ferry-probe", &[]),
    ("ferry-recompress", &[]),
    ("tests", &["ferry-bundle-format", "ferry-bundler", "ferry-engine"]),
    ("vm-tests", &["ferry-bundle-format", "ferry-bundler", "ferry-engine", "ferry-installer"]),
];

/// What a crate must never pull in, by any way: what it does not do.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    ("ferry-bundle-format", &["reqwest", "hyper", "tokio", "russh", "clap", "indicatif", "axum"]),
    ("ferry-bundler", &["russh", "ratatui", "openssl-sys", "native-tls", "ring"]),
    ("ferry-engine", &["reqwest", "clap", "ratatui", "indicatif", "openssl-sys", "native-tls", "ring"]),
    ("ferry-installer", &["reqwest", "ferry-bundler", "openssl-sys", "native-tls", "ring"]),
    // The probe runs in every pod and on every host: nothing but the standard library.
    ("ferry-probe", &["libc", "serde", "serde_json", "tokio"]),
    // Frozen encoders: no library may change what they put out. Inflating and checksums come from outside.
    ("ferry-recompress", &["libc", "serde", "tokio", "libz-sys", "miniz_oxide", "rayon", "clap"]),
];

/// One home for each library: the files (or folders, ending in `/`) in which it may be named.
const HOMES: [(&str, &[&str]); 30] = [
    ("sha2", &["bundle/src/digest.rs"]),
    ("serde_saphyr", &["bundle/src/yaml.rs", "bundle/src/yaml/tree.rs"]),
    ("ed25519_dalek", &["bundle/src/sign/key.rs"]),
    ("blake2", &["bundle/src/sign/minisign.rs"]),
    ("age", &["bundle/src/sign/secret.rs", "installer/engine/src/vault.rs", "installer/engine/src/host/secrets.rs"]),
    ("jiff", &["bundle/src/lock/mod.rs", "bundler/src/source/"]),
    (
        "getrandom",
        &[
            "bundle/src/sign/key.rs",
            "bundle/src/store.rs",
            "bundler/src/source/retry.rs",
            "installer/engine/src/pki/mod.rs",
            "installer/engine/src/host/ssh/wrap.rs",
            "installer/engine/src/run/owner.rs",
        ],
    ),
    ("reqwest", &["bundler/src/source/"]),
    (
        "rustls",
        &[
            "bundler/src/source/",
            "bundler/src/distribution/",
            "installer/engine/src/registry/client.rs",
            "installer/engine/src/accept/tls.rs",
            "installer/src/cli/mod.rs",
        ],
    ),
    ("rustls_native_certs", &["bundler/src/source/"]),
    ("docker_credential", &["bundler/src/source/"]),
    (
        "tokio_rustls",
        &["bundler/src/distribution/", "installer/engine/src/registry/client.rs", "installer/engine/src/accept/tls.rs"],
    ),
    ("axum", &["bundler/src/distribution/", "bundler/src/origin/"]),
    ("indicatif", &["bundler/src/ui/"]),
    (
        "clap",
        &[
            "bundler/src/cli/",
            "bundler/src/commands/",
            "installer/src/cli/",
            "installer/src/commands/",
            "vm-tests/src/cli.rs",
        ],
    ),
    ("clap_complete", &["bundler/src/commands/completions.rs"]),
    ("rpassword", &["bundler/src/cli/", "bundler/src/commands/keygen.rs", "installer/src/console.rs"]),
    (
        "tar",
        &[
            "bundle/src/archive/header.rs",
            "bundler/src/local/",
            "bundler/src/resolve/chart/",
            "installer/engine/src/supply.rs",
            "installer/engine/src/registry/image.rs",
        ],
    ),
    (
        "flate2",
        &[
            "bundle/src/compact/plain.rs",
            "bundler/src/resolve/chart/",
            "bundler/src/origin/",
            "installer/engine/src/supply.rs",
            "recompress/src/find.rs",
            "recompress/src/gzip.rs",
            "vm-tests/src/origin/archive.rs",
        ],
    ),
    ("zstd", &["bundle/src/compact/frames.rs"]),
    ("ferry_recompress", &["bundle/src/compact/"]),
    ("russh", &["installer/engine/src/host/ssh/", "installer/engine/src/host/fake/"]),
    ("rcgen", &["installer/engine/src/pki/authority.rs"]),
    ("x509_parser", &["installer/engine/src/pki/authority.rs", "installer/engine/src/accept/tls.rs"]),
    ("reed_solomon_simd", &["bundle/src/volume/parity.rs"]),
    ("bcrypt", &["installer/engine/src/pki/mod.rs"]),
    ("similar", &["installer/engine/src/plan/diff.rs"]),
    ("hyper", &["installer/engine/src/registry/client.rs"]),
    ("hyper_util", &["installer/engine/src/registry/client.rs"]),
    ("http_body_util", &["installer/engine/src/registry/client.rs"]),
];

#[test]
fn crates_see_only_what_the_arrows_allow() {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().expect("cargo metadata");
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(ours, ARROWS.iter().map(|(name, _)| *name).collect(), "every crate has its arrows");
    for package in &metadata.packages {
        let allowed = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).expect("listed").1;
        for dependency in package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development) {
            let name = dependency.name.as_str();
            assert!(!ours.contains(name) || allowed.contains(&name), "{} must not see {name}", package.name);
        }
    }
}

#[test]
fn crates_pull_in_nothing_that_they_do_not_do() {
    for (name, forbidden) in FORBIDDEN {
        // `cargo tree` knows which optional dependencies are really on; the metadata lists more.
        let mut command = std::process::Command::new(env!("CARGO"));
        command.args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--package",
            name,
        ]);
        let output = command.current_dir(root()).output().expect("cargo tree");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        let pulled: BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(
            pulled.contains(name) && (pulled.len() > 10 || ["ferry-probe", "ferry-recompress"].contains(&name)),
            "cargo tree lists the dependencies"
        );
        for forbidden in forbidden {
            assert!(!pulled.contains(forbidden), "{name} pulls in {forbidden}");
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether `text` names the crate: `use name` or `name::` at the beginning of a path.
fn names_crate(text: &str, name: &str) -> bool {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        line.match_indices(&format!("{name}::")).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
        })
    })
}

#[test]
fn every_library_has_one_home() {
    let root = root();
    let mut files = Vec::new();
    for folder in [
        "bundle/src",
        "bundler/src",
        "installer/src",
        "installer/engine/src",
        "probe/src",
        "recompress/src",
        "vm-tests/src",
    ] {
        sources(&root.join(folder), &mut files);
    }
    for path in &files {
        let text = std::fs::read_to_string(path).expect("a source");
        let relative = path.strip_prefix(&root).expect("below the root").display().to_string();
        for (name, homes) in HOMES {
            let at_home = homes
                .iter()
                .any(|home| if home.ends_with('/') { relative.starts_with(home) } else { relative == *home });
            assert!(at_home || !names_crate(&text, name), "{relative} names {name}, whose home is {homes:?}");
        }
    }
}

#[test]
fn files_stay_small_enough_to_read() {
    let root = root();
    let mut files = Vec::new();
    for folder in [
        "bundle/src",
        "bundler/src",
        "installer/src",
        "installer/engine/src",
        "probe/src",
        "recompress/src",
        "tests/src",
        "vm-tests/src",
    ] {
        sources(&root.join(folder), &mut files);
    }
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a source");
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(lines <= 400, "{} has {lines} lines before its tests; 400 is the limit, 200 the aim", path.display());
        assert!(text.starts_with("//!"), "{} does not say what it owns", path.display());
    }
}
