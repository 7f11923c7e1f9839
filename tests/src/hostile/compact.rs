//! Lies about blobs that are stored compact, each signed by a trusted key: sizes, digests, recipes, frames that grow, and
//! packages that name what nobody needs.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::{Header, Layout, Region};
use ferry_bundle_format::compact::{Limits, make, squeeze_small};
use ferry_bundle_format::fake::Fake;
use ferry_bundle_format::index::Extent;
use serde_json::{Value, json};

use super::Case;
use super::forge::Forge;

/// A valid bundle whose layers are packed, unsigned.
fn valid() -> &'static [u8] {
    static VALID: OnceLock<Vec<u8>> = OnceLock::new();
    VALID.get_or_init(|| {
        let fake = Fake::release(7, 300_000);
        let (mut packs, mut stored) = (BTreeMap::new(), BTreeMap::new());
        for (digest, blob) in &fake.blobs {
            let [from, to] = [0, 1].map(|_| tempfile::tempfile().expect("a file"));
            std::os::unix::fs::FileExt::write_all_at(&from, blob, 0).expect("written");
            let extent = Extent { digest: *digest, size: blob.len() as u64 };
            let source = Region::new(Arc::new(from), 0, extent.size).into();
            let made = make(extent, &source, None, Limits { bytes: 600, percent: 1 }, &to).expect("made");
            let Some(made) = made else { continue };
            let frames = Region::new(Arc::new(to), 0, made.stored.size).read_all().expect("frames");
            packs.insert(*digest, made);
            stored.insert(*digest, frames);
        }
        assert_eq!(packs.len(), 4, "all layers are packed");
        fake.packed_bytes(&[], &fake.packing(&[], packs), &stored).expect("a fake bundle can be written")
    })
}

/// The bundle taken apart, and which of its entries is the first packed one.
fn forge() -> (Forge, usize) {
    let forge = Forge::of_bytes(valid());
    let at = forge.payload.iter().position(|(name, _)| name.starts_with("packs/")).expect("a pack");
    (forge, at)
}

/// The index's word about the first pack changed.
fn how(change: impl Fn(&mut Value)) -> Vec<u8> {
    let (mut forge, at) = forge();
    change(&mut forge.index["entries"][at]["storage"]["rebuilt"]);
    forge.signed()
}

fn add(value: &mut Value, by: i64) {
    *value = json!(value.as_i64().expect("a number") + by);
}

/// Plain size and segment both changed, so that they fit each other.
fn plain(by: i64) -> Vec<u8> {
    how(|how| {
        add(&mut how["plain"]["size"], by);
        add(&mut how["segments"][0]["plain"], by);
    })
}

/// The stored frames of the first pack changed, and the index made to fit them.
fn frames(change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let (mut forge, at) = forge();
    let bytes = change(std::mem::take(&mut forge.payload[at].1));
    let rebuilt = &mut forge.index["entries"][at]["storage"]["rebuilt"];
    rebuilt["segments"][0]["stored"] = json!(bytes.len());
    forge.payload[at].1 = bytes;
    relaid(forge).signed()
}

/// Digests, sizes and places of the entries made anew; what is said about storage stays.
fn relaid(mut forge: Forge) -> Forge {
    let layout = Layout::of(forge.payload.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)));
    let entries = forge.index["entries"].as_array_mut().expect("a list");
    for ((entry, member), (name, bytes)) in entries.iter_mut().zip(&layout.members).zip(&forge.payload) {
        entry["name"] = json!(name);
        entry["digest"] = json!(Digest::of(bytes));
        entry["size"] = json!(bytes.len());
        entry["offset"] = json!(member.data_at());
    }
    forge
}

/// The recipe's bytes changed: `version u8 | encoder u16 | level i8 | writes u8 | …`.
fn recipe(change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    how(|how| {
        let text = how["recipe"].as_str().expect("text").to_owned();
        let mut bytes = base64(&text);
        change(&mut bytes);
        how["recipe"] = json!(to_base64(&bytes));
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(text: &str) -> Vec<u8> {
    let value = |letter| ALPHABET.iter().position(|one| *one == letter);
    let bits: Vec<usize> = text.bytes().filter_map(value).collect();
    let (mut bytes, mut held, mut count) = (Vec::new(), 0, 0);
    for six in bits {
        held = held << 6 | six;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(held >> count & 0xff).expect("eight bits"));
        }
    }
    bytes
}

fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for n in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The cases, by name.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table of one case after the other")]
pub(super) fn compact_cases() -> Vec<Case> {
    vec![
        ("compact-in-format-1", || {
            let (mut forge, _) = forge();
            forge.index["format"] = json!(1);
            forge.signed()
        }),
        ("compact-plain-size-alone", || how(|how| add(&mut how["plain"]["size"], 1))),
        ("compact-plain-size-more", || plain(1)),
        ("compact-plain-size-less", || plain(-1000)),
        ("compact-segment-huge", || {
            how(|how| {
                how["plain"]["size"] = json!(1_u64 << 40);
                how["segments"][0]["plain"] = json!(1_u64 << 40);
            })
        }),
        ("compact-segment-none", || how(|how| how["segments"] = json!([]))),
        ("compact-segment-empty", || {
            how(|how| how["segments"].as_array_mut().expect("a list").push(json!({ "stored": 0, "plain": 0 })))
        }),
        ("compact-segment-refers-to-nothing", || {
            how(|how| {
                how["segments"][0]["from"] = json!(0);
                how["segments"][0]["length"] = json!(100);
            })
        }),
        ("compact-plain-digest", || how(|how| how["plain"]["digest"] = json!(Digest::of(b"other")))),
        ("compact-blob-longer", || how(|how| add(&mut how["blob"]["size"], 1))),
        ("compact-blob-shorter", || how(|how| add(&mut how["blob"]["size"], -1))),
        ("compact-blob-other", || {
            let (mut forge, at) = forge();
            let other = Digest::of(b"other");
            forge.index["entries"][at]["storage"]["rebuilt"]["blob"]["digest"] = json!(other);
            forge.payload[at].0 = format!("packs/{}.zst", other.hex());
            relaid(forge).signed()
        }),
        ("compact-name-of-another", || {
            let (mut forge, at) = forge();
            forge.payload[at].0 = format!("packs/{}.zst", Digest::of(b"other").hex());
            relaid(forge).signed()
        }),
        ("compact-name-of-a-document", || {
            let (mut forge, at) = forge();
            forge.payload[at].0 = "packs.zst".into();
            relaid(forge).signed()
        }),
        ("compact-recipe-other-level", || recipe(|bytes| bytes[3] = if bytes[3] == 6 { 4 } else { 6 })),
        ("compact-recipe-unknown-encoder", || recipe(|bytes| bytes[2] = 0x7f)),
        ("compact-recipe-newer", || recipe(|bytes| bytes[0] = 200)),
        ("compact-recipe-cut", || recipe(|bytes| bytes.truncate(9))),
        ("compact-recipe-border", || {
            // A place to take it apart where there is none: window of 32 KiB at 0, one byte of gzip before it.
            recipe(|bytes| {
                let border =
                    [&0_u64.to_le_bytes()[..], &[0xff, 0x7f, 0, 0x40, 3, 0, 0, 0, 0], &1_u64.to_le_bytes(), &[0]];
                bytes.extend(border.concat());
            })
        }),
        ("compact-recipe-not-base64", || how(|how| how["recipe"] = json!("****"))),
        ("compact-recipe-huge", || how(|how| how["recipe"] = json!("A".repeat(2 << 20)))),
        ("compact-storage-missing", || {
            let (mut forge, at) = forge();
            forge.index["entries"][at].as_object_mut().expect("a map").remove("storage");
            forge.signed()
        }),
        ("compact-storage-on-a-document", || {
            let (mut forge, at) = forge();
            forge.index["entries"][0]["storage"] = forge.index["entries"][at]["storage"].clone();
            forge.signed()
        }),
        ("compact-blob-supplied-twice", || {
            let (mut forge, at) = forge();
            let twin = forge.index["entries"][at].clone();
            let mut member = forge.payload[at].clone();
            let digest = Digest::of(&member.1);
            member.0 = format!("blobs/sha256/{}", digest.hex());
            forge.payload.push(member);
            let mut entry = twin;
            entry["storage"]["rebuilt"]["blob"]["digest"] = json!(digest);
            entry.as_object_mut().expect("a map").remove("storage");
            let entries = forge.index["entries"].as_array_mut().expect("a list");
            entries.push(entry);
            let first = &mut entries[at]["storage"]["rebuilt"]["blob"];
            first["digest"] = json!(digest);
            forge.payload[at].0 = format!("packs/{}.zst", digest.hex());
            relaid(forge).signed()
        }),
        ("compact-leans-on-unlisted", || {
            how(|how| {
                let extent = json!({ "digest": Digest::of(b"older"), "size": 5 });
                how["leansOn"] = json!({ "blob": extent, "plain": extent });
            })
        }),
        ("compact-requires-for-nothing", || {
            let (mut forge, _) = forge();
            forge.index["requires"] = json!([{ "digest": Digest::of(b"older"), "size": 5 }]);
            forge.signed()
        }),
        ("compact-requires-in-format-1", || {
            let (mut forge, _) = forge();
            forge.index["format"] = json!(1);
            forge.index["requires"] = json!([{ "digest": Digest::of(b"older"), "size": 5 }]);
            forge.signed()
        }),
        ("compact-left-out-but-not-required", || {
            let (mut forge, at) = forge();
            forge.payload.remove(at);
            forge.index["entries"].as_array_mut().expect("a list").remove(at);
            relaid(forge).signed()
        }),
        ("compact-frame-bomb", || frames(|_| squeeze_small(&vec![0; 40 << 20], &[]).expect("memory"))),
        ("compact-frame-window-huge", || {
            // A window of 2 GiB and one raw block of one byte.
            frames(|_| vec![0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 9, 0, 0, b'a'])
        }),
        ("compact-frame-trailing", || frames(|frame| [&frame[..], b"more"].concat())),
        ("compact-frame-twice", || frames(|frame| frame.repeat(2))),
        ("compact-frame-skippable", || {
            frames(|frame| [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4][..], &frame].concat())
        }),
        ("compact-frame-cut", || frames(|frame| frame[..frame.len() / 2].to_vec())),
        ("compact-frame-none", || frames(|_| b"no frame at all".to_vec())),
        ("compact-frame-swapped-after-signing", || {
            let (mut forge, at) = forge();
            let last = forge.payload[at].1.len() - 1;
            forge.payload[at].1[last] ^= 1;
            forge.signed()
        }),
        ("compact-member-with-the-verbatim-name", || {
            // Both names may not be there: what is packed is not also a blob.
            let (mut forge, at) = forge();
            let bytes = forge.payload[at].1.clone();
            let name = forge.payload[at].0.replace("packs/", "blobs/sha256/").replace(".zst", "");
            forge.payload[at] = (name.clone(), bytes.clone());
            let header = Header { name, size: bytes.len() as u64 };
            assert_eq!(Header::decode(&header.encode()), Ok(header));
            forge.index["entries"][at].as_object_mut().expect("a map").remove("storage");
            relaid(forge).signed()
        }),
    ]
}
