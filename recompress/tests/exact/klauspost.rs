//! klauspost/compress, pgzip around it, and the encoder of Go 1.27: every input at every level, against the real ones.

use std::collections::BTreeMap;

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode_parallel, find_recipe};

use crate::differential::{first_difference, made};
use crate::inputs::{Numbers, far_repeats, generated, noise, prose, real, records};
use crate::oracle::Oracle;

const LEVELS: [i8; 11] = [-2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// Lengths around the pieces of pgzip.
fn long_inputs() -> Vec<(String, Vec<u8>)> {
    let pieces = [prose(1_500_000, 1), noise(200_000, 2), records(2_500_000, 3)].concat();
    let mut inputs = vec![("pieces".to_owned(), pieces)];
    let piece = 1 << 20;
    let lengths = [
        piece - 16_385,
        piece - 16_384,
        piece - 16_383,
        piece - 16,
        piece - 1,
        piece,
        piece + 1,
        piece + 12,
        piece + 13,
        piece + 32,
        piece + 33,
        piece + 127,
        piece + 128,
        2 * piece - 1,
        2 * piece,
        3 * piece + 70_000,
    ];
    for (index, length) in lengths.into_iter().enumerate() {
        let seed = index as u64;
        let mixed = [prose(length / 3, seed), noise(length / 3, seed + 1), records(length - 2 * (length / 3), seed)];
        inputs.push((format!("mixed {length}"), mixed.concat()));
        inputs.push((format!("records {length}"), records(length, seed)));
    }
    inputs
}

/// Longer than the history of levels 1 to 6, and where the windows of levels 7 to 9 have moved.
fn longer_inputs() -> Vec<(String, Vec<u8>)> {
    let mixed = [prose(400_000, 9), records(500_000, 8), noise(100_000, 7), prose(300_000, 6), vec![0; 300_000]];
    let mut inputs = vec![("mixed".to_owned(), mixed.concat())];
    for distance in [32_700, 32_760, 32_763, 32_764, 32_765] {
        inputs.push((format!("repeats at {distance}"), far_repeats(500_000, distance, 5)));
    }
    // Few matches among many literals: places are passed over.
    let mut sparse = noise(400_000, 3);
    for at in (1000..399_000).step_by(1777) {
        sparse.copy_within(at - 900..at - 870, at);
    }
    inputs.push(("sparse".to_owned(), sparse));
    inputs
}

/// Collects the inputs that differ, by level.
fn compare(oracle: &mut Oracle, kind: u8, encoder: EncoderId, inputs: &[(String, Vec<u8>)], levels: &[i8]) {
    let mut numbers = Numbers(11);
    let mut differences: BTreeMap<i8, Vec<String>> = BTreeMap::new();
    for (name, plain) in inputs {
        let cuts: Vec<usize> = (0..20).map(|_| numbers.below(100_000)).collect();
        for &level in levels.iter().filter(|level| encoder.has_level(**level)) {
            let theirs = oracle.made(kind, level, plain, &cuts);
            let header = GzipHeader::read(&theirs[..]).expect("memory").expect("a header");
            let recipe = Recipe { encoder, level, writes: Writes::Aligned, header, borders: vec![] };
            let ours = made(&recipe, plain);
            if ours != theirs {
                let difference = format!("{name}: {}", first_difference(&ours, &theirs));
                differences.entry(level).or_default().push(difference);
            }
        }
    }
    assert!(differences.is_empty(), "{}: {differences:#?}", encoder.name());
}

#[test]
fn every_input_at_every_level_is_what_go_1_27_makes() {
    let Some(mut oracle) = Oracle::start_127() else { return };
    let inputs: Vec<_> = generated().into_iter().chain(real()).chain(longer_inputs()).collect();
    assert!(inputs.len() >= 200, "{}", inputs.len());
    compare(&mut oracle, b'g', EncoderId::GoFlate127V1, &inputs, &LEVELS);
}

fn compare_klauspost(oracle: Option<Oracle>, gzip: EncoderId, pgzip: EncoderId) {
    let Some(mut oracle) = oracle.filter(|oracle| oracle.others) else { return };
    let inputs: Vec<_> = generated().into_iter().chain(real()).chain(longer_inputs()).collect();
    compare(&mut oracle, b'k', gzip, &inputs, &LEVELS);
    compare(&mut oracle, b'p', pgzip, &inputs, &LEVELS);
    // What is longer than a piece is in pieces; each of them is what the shorter inputs are.
    let long = long_inputs();
    compare(&mut oracle, b'p', pgzip, &long, &[5]);
    for (index, input) in long.chunks(1).enumerate() {
        compare(&mut oracle, b'p', pgzip, input, &[LEVELS[index % LEVELS.len()]]);
    }
}

#[test]
fn every_input_is_what_klauspost_and_pgzip_make() {
    compare_klauspost(Oracle::start(), EncoderId::KlauspostGzipV1, EncoderId::KlauspostPgzipV1);
}

#[test]
fn every_input_is_what_later_klauspost_and_pgzip_make() {
    compare_klauspost(Oracle::start_late(), EncoderId::KlauspostGzipV2, EncoderId::KlauspostPgzipV2);
}

/// Whether a blob of this encoder may be taken for one of the other, because both write the same.
fn may_be_taken_for(encoder: EncoderId, level: i8, other: EncoderId) -> bool {
    use EncoderId::{GoFlate127V1, KlauspostGzipV1, KlauspostGzipV2, KlauspostPgzipV1, KlauspostPgzipV2};
    match (encoder, other) {
        // Go 1.27 took the encoder over and changed level 9 only, where that seldom shows.
        (GoFlate127V1, KlauspostGzipV2) | (KlauspostGzipV2, GoFlate127V1) => true,
        // Without matches no version differs.
        (KlauspostGzipV1, GoFlate127V1) | (KlauspostPgzipV2, KlauspostPgzipV1) => level <= 0,
        _ => encoder == other,
    }
}

#[test]
fn blobs_of_pgzip_and_klauspost_are_found_and_made_in_pieces() {
    let ids = [
        (Oracle::start(), EncoderId::KlauspostGzipV1, EncoderId::KlauspostPgzipV1),
        (Oracle::start_late(), EncoderId::KlauspostGzipV2, EncoderId::KlauspostPgzipV2),
    ];
    let plain = [prose(1_500_000, 4), records(1_500_000, 4)].concat();
    for (oracle, gzip, pgzip) in ids {
        let Some(mut oracle) = oracle.filter(|oracle| oracle.others) else { continue };
        for (kind, encoder) in [(b'k', gzip), (b'p', pgzip)] {
            for level in LEVELS.into_iter().filter(|level| encoder.has_level(*level)) {
                let blob = oracle.made(kind, level, &plain, &[]);
                let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
                assert_eq!(found.level, level);
                assert!(may_be_taken_for(encoder, level, found.encoder), "{encoder:?} {level}: {found:?}");
                for workers in [1, 3] {
                    let mut ours = Vec::new();
                    let encoded = encode_parallel(&found, &plain[..], &mut ours, workers).expect("memory");
                    assert!(ours == blob, "level {level}, {workers} workers");
                    assert_eq!((encoded.plain, encoded.gzip), (plain.len() as u64, blob.len() as u64));
                }
            }
        }
    }
}

#[test]
fn pieces_that_end_with_the_input_leave_an_empty_one() {
    for length in [0, 1, 1 << 20, (1 << 20) + 1, 2 << 20] {
        let plain = prose(length, 2);
        let encoder = EncoderId::KlauspostPgzipV1;
        for level in [-2, 0, 4, 5, 8].into_iter().filter(|level| encoder.has_level(*level)) {
            let header = GzipHeader::of_pgzip();
            let recipe = Recipe { encoder, level, writes: Writes::Aligned, header, borders: vec![] };
            let mut ours = Vec::new();
            encode_parallel(&recipe, &plain[..], &mut ours, 3).expect("memory");
            assert!(ours == made(&recipe, &plain), "{length} at level {level}");
        }
    }
}

#[test]
fn blobs_of_go_1_27_are_found() {
    let Some(mut oracle) = Oracle::start_127() else { return };
    let plain = [prose(500_000, 4), records(500_000, 4)].concat();
    for level in LEVELS.into_iter().filter(|level| EncoderId::GoFlate127V1.has_level(*level)) {
        let blob = oracle.gzip(level, &plain, &[]);
        let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
        assert_eq!(found.level, level);
        assert!(may_be_taken_for(EncoderId::GoFlate127V1, level, found.encoder), "{level}: {found:?}");
        assert!(made(&Recipe::from_bytes(&found.to_bytes()).expect("a recipe"), &plain) == blob, "level {level}");
    }
}
