//! The forger's tools: a bundle taken apart, bent, and signed again by a trusted key.

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::{Header, Layout, padding};
use ferry_bundle_format::assemble::{minisign_comment, signature_names};
use ferry_bundle_format::documents;
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::index::Index;
use ferry_bundle_format::lock::{Pin, derived};
use ferry_bundle_format::sign::{SecretKey, Signatures, minisign, sshsig};
use serde_json::{Value, json};

/// The key that the test trusts.
pub const SIGNER: fn() -> SecretKey = || SecretKey::from_seed([1; 32]);

/// A key that nobody trusts.
pub(super) fn stranger() -> SecretKey {
    SecretKey::from_seed([2; 32])
}

/// A bundle taken apart: its index as JSON, its documents and blobs by name, in order.
pub(super) struct Forge {
    pub(super) readme: Vec<u8>,
    pub(super) index: Value,
    pub(super) payload: Vec<(String, Vec<u8>)>,
}

impl Forge {
    pub(super) fn of(fake: &Fake) -> Self {
        Self::of_bytes(&fake.bytes(&[]).expect("a fake bundle can be written"))
    }

    /// An unsigned bundle taken apart.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        let mut members = Vec::new();
        let mut at = 0;
        while bytes[at] != 0 {
            let header = Header::decode(bytes[at..at + 512].try_into().expect("a block")).expect("our own header");
            let size = usize::try_from(header.size).expect("small");
            members.push((header.name, bytes[at + 512..at + 512 + size].to_vec()));
            at += 512 + size + usize::try_from(padding(size as u64)).expect("small");
        }
        let payload = members.split_off(4);
        let index = serde_json::from_slice(&members[1].1).expect("our own index");
        Self { readme: members.swap_remove(0).1, index, payload }
    }

    pub(super) fn new() -> Self {
        Self::of(&Fake::new(7, 60))
    }

    /// Makes the entries of the index anew from the payload, in its order.
    pub(super) fn reindex(mut self) -> Self {
        let layout = Layout::of(self.payload.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)));
        let entries = self.payload.iter().zip(&layout.members).map(|((name, bytes), member)| {
            json!({ "name": name, "digest": Digest::of(bytes), "size": bytes.len(), "offset": member.data_at() })
        });
        self.index["entries"] = entries.collect();
        self
    }

    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.payload.iter_mut().find(|(n, _)| n == name).expect("a member").1
    }

    /// Signs what the index now says and writes it all.
    pub(super) fn signed(self) -> Vec<u8> {
        let index = [serde_json::to_vec(&self.index).expect("JSON"), b"\n".to_vec()].concat();
        self.signed_as(index)
    }

    pub(super) fn signed_as(self, index: Vec<u8>) -> Vec<u8> {
        self.written(index, &[SIGNER()], |_| {})
    }

    pub(super) fn written(
        self,
        index: Vec<u8>,
        keys: &[SecretKey],
        bend: impl Fn(&mut Vec<(String, Vec<u8>)>),
    ) -> Vec<u8> {
        let signatures = Signatures::sign(&index, keys);
        let parsed = Index::parse(&index).ok();
        let sums = parsed.as_ref().map(|parsed| documents::sums(parsed, &index)).unwrap_or_default();
        let comment = parsed.as_ref().map(minisign_comment).unwrap_or_default();
        let mut members = vec![
            ("README.txt".to_owned(), self.readme),
            ("bundle.json".to_owned(), index),
            ("signatures.json".to_owned(), signatures.to_json()),
            ("SHA256SUMS".to_owned(), sums.clone()),
        ];
        for (n, key) in keys.iter().enumerate() {
            let pair = [minisign::sign(key, &sums, &comment), sshsig::sign(key, &sums)];
            members.extend(signature_names(n).into_iter().zip(pair.map(String::into_bytes)));
        }
        bend(&mut members);
        members.extend(self.payload);
        let mut bytes = Vec::new();
        for (name, content) in members {
            let size = content.len() as u64;
            bytes.extend(Header { name, size }.encode());
            bytes.extend(content);
            bytes.resize(bytes.len() + usize::try_from(padding(size)).expect("small"), 0);
        }
        bytes.extend([0; 1024]);
        bytes
    }

    /// Signed, then an envelope member changed behind the signer's back.
    pub(super) fn bent(self, name: &'static str, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let index = [serde_json::to_vec(&self.index).expect("JSON"), b"\n".to_vec()].concat();
        self.written(index, &[SIGNER()], |members| {
            change(&mut members.iter_mut().find(|(n, _)| n == name).expect("a member").1);
        })
    }
}

pub(super) fn index(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut forge = Forge::new();
    change(&mut forge.index);
    forge.signed()
}

/// The index's text changed, then signed.
pub(super) fn text(from: &str, to: &str) -> Vec<u8> {
    let forge = Forge::new();
    let index = format!("{}\n", forge.index);
    assert!(index.contains(from), "{from}");
    let index = index.replacen(from, to, 1);
    forge.signed_as(index.into_bytes())
}

/// The lock that travels changed, with index and checksums made to fit.
pub(super) fn lock_text(change: impl Fn(String) -> String) -> Vec<u8> {
    let mut forge = Forge::new();
    let lock = forge.member("lock.yaml");
    *lock = change(String::from_utf8(lock.clone()).expect("text")).into_bytes();
    let digest = Digest::of(lock);
    forge.index["lock"] = json!(digest);
    forge.reindex().signed()
}

pub(super) fn fake(change: impl Fn(&mut Fake)) -> Vec<u8> {
    let mut fake = Fake::new(7, 60);
    change(&mut fake);
    fake.bytes(&[SIGNER()]).expect("the bundle can be written")
}

/// Replaces the amd64 manifest of the first image by another document, and makes lock and index fit.
pub(super) fn manifest_as(change: impl Fn(&Fake, String) -> String) -> Vec<u8> {
    fake(|fake| {
        let one = fake.lock.images[0].manifests[0].clone();
        let text = String::from_utf8(fake.blobs[&one.manifest.digest].clone()).expect("text");
        let bytes = change(fake, text).into_bytes();
        let pin = Pin { digest: Digest::of(&bytes), size: bytes.len() as u64, ..one.manifest };
        fake.blobs.insert(pin.digest, bytes);
        fake.lock.images[0].manifests[0].manifest = pin;
        reindex_image(fake);
    })
}

/// Makes the first image's index anew from its manifests.
pub(super) fn reindex_image(fake: &mut Fake) {
    let image = &mut fake.lock.images[0];
    let bytes = derived::narrowed_index(&image.manifests);
    image.target =
        Pin { digest: Digest::of(&bytes), size: bytes.len() as u64, media_type: image.target.media_type.clone() };
    fake.blobs.insert(image.target.digest, bytes);
}

pub(super) fn config_as(change: impl Fn(String) -> String) -> Vec<u8> {
    fake(|fake| {
        let one = &mut fake.lock.images[0].manifests[0];
        let text = String::from_utf8(fake.blobs[&one.config.digest].clone()).expect("text");
        let bytes = change(text).into_bytes();
        one.config =
            Pin { digest: Digest::of(&bytes), size: bytes.len() as u64, media_type: one.config.media_type.clone() };
        fake.blobs.insert(one.config.digest, bytes);
        let manifest = derived::image_manifest(&one.config, &one.layers);
        one.manifest = Pin {
            digest: Digest::of(&manifest),
            size: manifest.len() as u64,
            media_type: one.manifest.media_type.clone(),
        };
        fake.blobs.insert(one.manifest.digest, manifest);
        reindex_image(fake);
    })
}
