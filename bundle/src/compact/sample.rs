//! Layers as builders write them, for fakes, the embedded origin and benchmarks: text that compresses as programs do, in a
//! tar, under the gzip of Go.

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode};

use crate::fake::noise;

/// The gzip bytes that Go's encoder makes of `plain` at `level` (1 to 9), as BuildKit and docker (6) or ko (1) write layers.
///
/// # Panics
/// If there is no such level.
#[must_use]
pub fn gzip_as_go(plain: &[u8], level: i8) -> Vec<u8> {
    let recipe = Recipe {
        encoder: EncoderId::GoFlateClassicV1,
        level,
        writes: Writes::Aligned,
        header: GzipHeader::of_go(level),
        borders: Vec::new(),
    };
    let mut gzip = Vec::new();
    encode(&recipe, plain, &mut gzip).expect("a level of Go, from memory to memory");
    gzip
}

/// About `length` bytes that compress to a third, as programs do: words of a vocabulary that `seed` decides. Another
/// `version` differs in one word of `every`.
#[must_use]
pub fn prose(seed: u64, version: u64, length: usize, every: u64) -> Vec<u8> {
    const WORDS: usize = 4096;
    let letters = noise(seed, WORDS * 9);
    let choices = noise(seed ^ 0x5eed, length / 2 + 2);
    let mut text = Vec::with_capacity(length + 16);
    let mut n = 0_usize;
    while text.len() < length {
        let pair = n * 2 % (choices.len() - 1);
        let choice = usize::from(choices[pair]) << 8 | usize::from(choices[pair + 1]);
        // Some words are much more frequent than others.
        let word = ((choice * choice) >> 20) % WORDS;
        let word = &letters[word * 9..][..3 + word % 6];
        text.extend(word.iter().map(|letter| b'a' + letter % 26));
        text.push(b' ');
        if version > 0 && (n as u64).wrapping_mul(0x9e37_79b9).is_multiple_of(every) {
            text.extend_from_slice(format!("v{version}-{n} ").as_bytes());
        }
        n += 1;
    }
    text.truncate(length);
    text
}

/// A tar with one file of [`prose`], as a layer's plain bytes.
#[must_use]
pub fn plain_layer(seed: u64, version: u64, length: usize) -> Vec<u8> {
    let content = prose(seed, version, length, 500);
    let header = crate::archive::Header { name: format!("usr/lib/part-{seed}.bin"), size: content.len() as u64 };
    let mut tar = header.encode().to_vec();
    tar.extend_from_slice(&content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}
