//! What stands behind an encoder id never changes: digests of outputs of generated inputs, written down once.
//!
//! When one of these fails, the code is wrong, not the digest. An encoder that shall put out something else gets a new
//! id. The digests were taken when every output was the same as the real encoder's.

use sha2::{Digest, Sha256};

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode};

use crate::inputs::{generated, noise, prose, records};

/// One digest over all generated inputs, each led by its length, for each recipe.
fn digest(encoder: EncoderId, level: i8, writes: Writes, inputs: &[(String, Vec<u8>)]) -> String {
    let mut digest = Sha256::new();
    for (_, plain) in inputs {
        let recipe = Recipe { encoder, level, writes, header: GzipHeader::of_go(level), borders: vec![] };
        let mut out = Vec::new();
        encode(&recipe, &plain[..], &mut out).expect("memory does not fail");
        digest.update((out.len() as u64).to_le_bytes());
        digest.update(&out);
    }
    digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn go_flate_classic_v1_is_frozen() {
    let inputs = generated();
    let encoder = EncoderId::GoFlateClassicV1;
    let all = (-2..=9).filter(|level| encoder.has_level(*level));
    let found: Vec<(i8, String)> = all.map(|level| (level, digest(encoder, level, Writes::Aligned, &inputs))).collect();
    let found: Vec<(i8, &str)> = found.iter().map(|(level, digest)| (*level, digest.as_str())).collect();
    assert_eq!(
        found,
        [
            (-2, "a85c03eb1df65e2df349193dbc227c61"),
            (0, "db79d42df1b0e26c5b2f9be398c5cad7"),
            (1, "af2ae943f1c1b65e4ce9c490bb3bcf87"),
            (2, "827dff363f8d270243b5f56117aec339"),
            (3, "48f5bc22ecbb671528fc3fa15835f8cf"),
            (4, "ce5f43746a18d8b3269f95efc224900e"),
            (5, "8cf91cba249992da5d08eabf080bfb34"),
            (6, "de5f2753d5de02aab9c88d573f4a4123"),
            (7, "44db8c970c612bf6dce5fddfbb169f94"),
            (8, "afb9b416f8d88554354899be4e36378d"),
            (9, "e115eb9d216b972ab54d6eae0230add5")
        ]
    );
}

#[test]
fn klauspost_v1_is_frozen() {
    let mut inputs = generated();
    inputs.push(("pieces".into(), [prose(1_500_000, 1), noise(200_000, 2), records(2_500_000, 3)].concat()));
    let found = [EncoderId::KlauspostPgzipV1, EncoderId::KlauspostGzipV1]
        .map(|encoder| digest(encoder, 5, Writes::Aligned, &inputs));
    assert_eq!(found, ["463860fa0d6228c7341d9f708ad477b7", "f56fb5184f2c034b5ba273345ad1969c"]);
}

/// One digest for all levels of an encoder, over the digests of the levels.
fn of_all_levels(encoder: EncoderId, inputs: &[(String, Vec<u8>)]) -> String {
    let mut all = Sha256::new();
    for level in (-2..=9).filter(|level| encoder.has_level(*level)) {
        all.update(digest(encoder, level, Writes::Aligned, inputs));
    }
    all.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_level_of_the_others_is_frozen() {
    let mut inputs = generated();
    inputs.push(("pieces".into(), [prose(1_500_000, 1), noise(200_000, 2), records(900_000, 3)].concat()));
    let ids = &EncoderId::ALL[1..];
    let found: Vec<_> = ids.iter().map(|id| (id.name(), of_all_levels(*id, &inputs))).collect();
    let found: Vec<_> = found.iter().map(|(name, digest)| (*name, digest.as_str())).collect();
    assert_eq!(
        found,
        [
            ("klauspost-pgzip-v1", ""),
            ("klauspost-gzip-v1", ""),
            ("zlib-v1", ""),
            ("gnu-gzip-v1", ""),
            ("go-flate-1.27-v1", ""),
            ("klauspost-pgzip-v2", ""),
            ("klauspost-gzip-v2", "")
        ]
    );
}
