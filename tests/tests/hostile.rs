//! The hostile corpus: one folder each under `data/hostile/`, refused with its own code and text, and nothing written.
//!
//! ```text
//! data/hostile/NAME/expect.txt     line 1: the code; line 2: a text that the message must contain
//! data/hostile/NAME/…              the input: manifest.yaml, lock.yaml, vendor-list.yaml, document.json, config.json,
//!                                  reference.txt, digest.txt; or none: the bundle is made by tests::hostile
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry_bundle_format::lock::Lock;
use ferry_bundle_format::manifest::Manifest;
use ferry_bundle_format::oci::{Document, ImageConfig};
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::trust::TrustPolicy;
use ferry_bundle_format::{Digest, Reference};
use ferry_bundler::vendor::VendorLists;
use tests::hostile::{SIGNER, cases};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/hostile")
}

fn folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(corpus()).expect("the corpus");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// The whole chain of an error in one text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Opens a bundle as a site does; its refusal as code and text.
fn refuse_bundle(bytes: &[u8]) -> Option<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bundle.ferry");
    std::fs::write(&path, bytes).expect("the bundle");
    let policy = TrustPolicy::any_of(vec![SIGNER().public()]);
    let result = UnverifiedBundle::open(&path).and_then(|bundle| bundle.trust(&policy, &Silent)?.verify(2, &Silent));
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
    assert_eq!(left.len(), 1, "opening a bundle writes nothing");
    assert_eq!(std::fs::read(&path).expect("the bundle"), bytes, "nor does it change the bundle");
    result.err().map(|error| (error.code().to_owned(), chain(&error)))
}

/// Reads the text input of a folder; its refusal as code and text.
fn refuse_text(folder: &Path) -> Option<(String, String)> {
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let yaml = |error: ferry_bundle_format::yaml::Problems| ("yaml".to_owned(), error.to_string());
    if let Some(bytes) = read("manifest.yaml") {
        return Manifest::parse(Path::new("manifest.yaml"), &text(bytes)).err().map(yaml);
    }
    if let Some(bytes) = read("lock.yaml") {
        return Lock::parse(Path::new("lock.yaml"), &text(bytes)).err().map(yaml);
    }
    if folder.join("vendor-list.yaml").exists() {
        return VendorLists::load(&[folder.to_owned()]).err().map(|error| ("vendor-list".to_owned(), chain(&error)));
    }
    if let Some(bytes) = read("document.json") {
        return Document::parse(&bytes, None).err().map(|error| (error.code().to_owned(), error.to_string()));
    }
    if let Some(bytes) = read("config.json") {
        return ImageConfig::parse(&bytes).err().map(|error| (error.code().to_owned(), error.to_string()));
    }
    if let Some(bytes) = read("reference.txt") {
        return Reference::parse(&text(bytes)).err().map(|error| ("reference".to_owned(), error.to_string()));
    }
    if let Some(bytes) = read("digest.txt") {
        return Digest::parse(&text(bytes)).err().map(|error| ("digest".to_owned(), error.to_string()));
    }
    panic!("{} holds no input, and no generator is named like it", folder.display());
}

#[test]
fn every_case_is_refused_with_its_own_code() {
    let made: Vec<_> = cases();
    let mut wrong = Vec::new();
    for name in folders() {
        let folder = corpus().join(&name);
        let start = Instant::now();
        let refusal = match made.iter().find(|(case, _)| *case == name) {
            Some((_, make)) => refuse_bundle(&make()),
            None => refuse_text(&folder),
        };
        assert!(start.elapsed() < Duration::from_secs(60), "{name} does not come to an end");
        let expect = std::fs::read_to_string(folder.join("expect.txt")).unwrap_or_default();
        let (code, part) = expect.trim_end().split_once('\n').unwrap_or((expect.trim_end(), ""));
        match refusal {
            None => wrong.push(format!("{name}: ACCEPTED")),
            Some((actual, message)) if actual != code || !message.contains(part) || part.is_empty() => {
                wrong.push(format!("{name}: expected {code} | {part}\n    got {actual} | {message}"));
            }
            Some((_, message)) => {
                let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
                assert!(!message.chars().any(bad), "{name}: the message would write to the terminal: {message:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_generated_bundle_has_its_folder_and_there_are_enough() {
    let folders = folders();
    for (name, _) in cases() {
        assert!(folders.contains(name), "{name} has no folder");
    }
    assert!(folders.len() >= 150, "{} cases", folders.len());
}
