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

/// Each level that the encoder offers, but for those that stand in another test.
fn of_each_level(encoder: EncoderId, inputs: &[(String, Vec<u8>)], but: &[i8]) -> Vec<(i8, String)> {
    let levels = (-2..=9).filter(|level| encoder.has_level(*level) && !but.contains(level));
    levels.map(|level| (level, digest(encoder, level, Writes::Aligned, inputs))).collect()
}

fn as_text(found: &[(i8, String)]) -> Vec<(i8, &str)> {
    found.iter().map(|(level, digest)| (*level, digest.as_str())).collect()
}

/// Longer than a piece of pgzip and than the history of levels 1 to 6.
fn pieces() -> (String, Vec<u8>) {
    ("pieces".into(), [prose(1_500_000, 1), noise(200_000, 2), records(2_500_000, 3)].concat())
}

#[test]
fn klauspost_v1_at_its_own_level_is_frozen() {
    let mut inputs = generated();
    inputs.push(pieces());
    let found = [EncoderId::KlauspostPgzipV1, EncoderId::KlauspostGzipV1]
        .map(|encoder| digest(encoder, 5, Writes::Aligned, &inputs));
    assert_eq!(found, ["463860fa0d6228c7341d9f708ad477b7", "f56fb5184f2c034b5ba273345ad1969c"]);
}

#[test]
fn klauspost_gzip_v1_is_frozen() {
    let found = of_each_level(EncoderId::KlauspostGzipV1, &generated(), &[5]);
    assert_eq!(
        as_text(&found),
        [
            (-2, "b37e54da77baa9bda39e3b5497f1c3f9"),
            (0, "5fb87763d968227f653bdda98ddd95f2"),
            (1, "e66cd5f22b685267ee6ebf509733a5d9"),
            (2, "2858c18b855923f30d08323d23aaf92c"),
            (3, "ca786adf6b34c7b8c818753ddcb62a89"),
            (4, "c307587e71f14a9a3c2c7b1193cb60b8"),
            (6, "b7970e60940a097cb5d29c1987f52148"),
            (7, "4246472c8a211353b0490fa415639b63"),
            (8, "083d8424889c8d1d83316df2b39be70f"),
            (9, "c0e5c0c8aaafd17f6a436944371b4945")
        ]
    );
}

/// Go 1.27 took the encoder of the later klauspost over: of the generated inputs both make the same.
const LATER: [(i8, &str); 11] = [
    (-2, "b37e54da77baa9bda39e3b5497f1c3f9"),
    (0, "5fb87763d968227f653bdda98ddd95f2"),
    (1, "f6996cc9ccc222f258d270871218937f"),
    (2, "6c0e326cb8d7338cf7eb09e9c99f7d61"),
    (3, "424a2003b56df500e50485035b569415"),
    (4, "4e21d9f00f2ceb2934391b9d73542e38"),
    (5, "56d8e7b9f732ccb2b56c728ca9b3b545"),
    (6, "9d2c65f8865436b24670b70014ffcbc6"),
    (7, "3cb2471b714e0c1172c137ff4c719764"),
    (8, "35a5fe45812219787a0e2d9b01144aba"),
    (9, "f15ad2f62bfcc51d7189a9208f2843fa"),
];

#[test]
fn klauspost_gzip_v2_is_frozen() {
    assert_eq!(as_text(&of_each_level(EncoderId::KlauspostGzipV2, &generated(), &[])), LATER);
}

#[test]
fn go_flate_1_27_v1_is_frozen() {
    assert_eq!(as_text(&of_each_level(EncoderId::GoFlate127V1, &generated(), &[])), LATER);
}

#[test]
fn klauspost_pgzip_v1_is_frozen() {
    // A piece alone is what `gzip` of the same makes, so only what has several is of interest.
    let found = of_each_level(EncoderId::KlauspostPgzipV1, &[pieces()], &[5]);
    assert_eq!(
        as_text(&found),
        [
            (-2, "f8eea899f377dde532cccb6b4c161290"),
            (0, "1328b79e3a582ee1b7f4b1723e4aef11"),
            (1, "13639852029d3cfbb60f35c4f15f9fba"),
            (2, "5e9e88543db4f94128fd400d99af8197"),
            (3, "20a7329bbc9502f6ebf4a490cf76935b"),
            (4, "bbcb5a471601a7cdce3e599a91c74209"),
            (6, "e04aa6f92d389b38fb0ad5d7d152cdf3"),
            (7, "9b919f9f6e1e25627426d203587a83de"),
            (8, "d94221b6be11276d907a61e56341155d"),
            (9, "4c6d6739a1077e2e8f26e806a8efc92a")
        ]
    );
}

#[test]
fn klauspost_pgzip_v2_is_frozen() {
    let found = of_each_level(EncoderId::KlauspostPgzipV2, &[pieces()], &[]);
    assert_eq!(
        as_text(&found),
        [
            (-2, "f8eea899f377dde532cccb6b4c161290"),
            (0, "1328b79e3a582ee1b7f4b1723e4aef11"),
            (1, "7f4f54700925b0f9c9ae4d93da0743ac"),
            (2, "c5af9fc0d02c6963b48dee843c98a9e1"),
            (3, "30f3e546abac7d9e903d3dab14496a05"),
            (4, "0fd6a1bdbca7c9429774421813fcd877"),
            (5, "7706b43df37f4fef06171081b151a74a"),
            (6, "64d0b77b4e8c33fcb81ead257b4377e5"),
            (7, "43db08839417cd4aebc163c3ecb7f1b6"),
            (8, "13bcd46fadf6b20a27b572fb0c4d913c"),
            (9, "1dc701824dcb2f7e7e57ad1cf440a73a")
        ]
    );
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
fn zlib_v1_and_gnu_gzip_v1_are_frozen() {
    let mut inputs = generated();
    inputs.push(("pieces".into(), [prose(1_500_000, 1), noise(200_000, 2), records(900_000, 3)].concat()));
    let found = [EncoderId::ZlibV1, EncoderId::GnuGzipV1].map(|encoder| of_all_levels(encoder, &inputs));
    assert_eq!(found, ["5bf6a285a32c3f61b638176eaf59ee5a", "58a00f2ff558c8be19da6ff32c0544db"]);
}
