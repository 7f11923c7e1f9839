//! Every input at every level, against the real encoders: all bytes the same, header and trailer included.

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, encode, encode_parallel, find_recipe};

use crate::inputs::{Numbers, generated, noise, prose, real, records};
use crate::oracle::Oracle;

const LEVELS: [i8; 11] = [-2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

fn recipe(level: i8, writes: Writes) -> Recipe {
    Recipe { encoder: EncoderId::GoFlateClassicV1, level, writes, header: GzipHeader::of_go(level), borders: vec![] }
}

pub(crate) fn made(recipe: &Recipe, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let encoded = encode(recipe, plain, &mut out).expect("memory does not fail");
    assert_eq!((encoded.plain, encoded.gzip), (plain.len() as u64, out.len() as u64));
    out
}

pub(crate) fn first_difference(ours: &[u8], theirs: &[u8]) -> String {
    let at = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    format!("they part at {at}; ours has {} bytes, theirs {}", ours.len(), theirs.len())
}

#[test]
fn every_input_at_every_level_is_what_go_makes() {
    let Some(mut oracle) = Oracle::start() else { return };
    let inputs: Vec<_> = generated().into_iter().chain(real()).collect();
    assert!(inputs.len() >= 200, "{}", inputs.len());
    for (name, plain) in &inputs {
        for level in LEVELS {
            let (ours, theirs) = (made(&recipe(level, Writes::Aligned), plain), oracle.gzip(level, plain, &[]));
            assert!(ours == theirs, "{name} at level {level}: {}", first_difference(&ours, &theirs));
        }
    }
}

#[test]
fn a_layer_from_a_tar_writer_is_found_and_made_again() {
    let Some(mut oracle) = Oracle::start() else { return };
    let mut numbers = Numbers(5);
    for round in 0..6u64 {
        let plain = if round % 2 == 0 { prose(400_000, round) } else { records(400_000, round) };
        let cuts: Vec<usize> = (0..450).map(|_| numbers.below(1600)).collect();
        for level in [1, 2, 6, 9] {
            let (tar, blob) = oracle.layer(level, &plain, &cuts);
            let ours = made(&recipe(level, Writes::TarEntries), &tar);
            assert!(ours == blob, "round {round} at level {level}: {}", first_difference(&ours, &blob));
            let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
            assert_eq!((found.level, made(&found, &tar) == blob), (level, true));
        }
    }
}

#[test]
fn where_a_write_ended_can_show_and_the_recipe_says_so() {
    let Some(mut oracle) = Oracle::start() else { return };
    // The content of the first entry ends one byte before the window is full, so the window moves one place early; a
    // repetition that begins there has its origin just beyond what is kept.
    let header = 512;
    let mut plain = noise(100_000, 9);
    plain.copy_within(32_600 - header..32_640 - header, 65_274 - header);
    for level in 2..=9 {
        let (tar, blob) = oracle.layer(level, &plain, &[65_535 - header]);
        assert!(made(&recipe(level, Writes::TarEntries), &tar) == blob, "level {level}");
        assert!(made(&recipe(level, Writes::Aligned), &tar) != blob, "level {level}");
        let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
        assert_eq!(found.writes, Writes::TarEntries);
        let copied = oracle.gzip(level, &tar, &[]);
        assert!(made(&recipe(level, Writes::Aligned), &tar) == copied, "level {level}");
        let found = find_recipe(|| Ok(&copied[..])).expect("memory").expect("a recipe");
        assert_eq!(found.writes, Writes::Aligned);
    }
}

#[test]
fn blobs_of_unknown_origin_have_no_recipe() {
    let Some(mut oracle) = Oracle::start() else { return };
    let plain = prose(300_000, 3);
    let blob = oracle.gzip(6, &plain, &[]);
    assert!(find_recipe(|| Ok(&blob[..])).expect("memory").is_some());
    for at in [0, 3, 11, blob.len() / 2, blob.len() - 5] {
        let mut damaged = blob.clone();
        damaged[at] ^= 4;
        assert_eq!(find_recipe(|| Ok(&damaged[..])).expect("memory"), None, "byte {at}");
    }
    for blob in
        [&blob[..blob.len() - 1], &[&blob[..], b"x"].concat(), &[&blob[..], &blob[..]].concat(), b"", b"\x1f\x8b"]
    {
        assert_eq!(find_recipe(|| Ok(blob)).expect("memory"), None, "{} bytes", blob.len());
    }
}

#[test]
fn segments_put_together_are_the_blob() {
    let Some(mut oracle) = Oracle::start() else { return };
    let plain = [prose(6_000_000, 1), noise(300_000, 2), records(9_000_000, 3), vec![0; 5_000_000]].concat();
    let cuts: Vec<usize> = (0..900).map(|index| 1000 + index * 37).collect();
    for level in [4, 6, 7] {
        let (tar, blob) = oracle.layer(level, &plain, &cuts);
        let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
        assert!(found.borders.len() >= 4, "level {level}: {} borders", found.borders.len());
        let recipe = Recipe::from_bytes(&found.to_bytes()).expect("a recipe comes back");
        assert_eq!(recipe, found);
        for workers in [1, 2, 3] {
            let mut ours = Vec::new();
            let encoded = encode_parallel(&recipe, &tar[..], &mut ours, workers).expect("memory does not fail");
            assert!(ours == blob, "level {level}, {workers} workers: {}", first_difference(&ours, &blob));
            assert_eq!((encoded.plain, encoded.gzip), (tar.len() as u64, blob.len() as u64));
        }
        assert!(encode_parallel(&recipe, &tar[..1 << 20], std::io::sink(), 2).is_err(), "too short for its borders");
    }
}
