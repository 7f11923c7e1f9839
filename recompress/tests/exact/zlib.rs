//! zlib and GNU gzip: every input at every level, against the real ones.

use ferry_recompress::{EncoderId, GzipHeader, Recipe, Writes, find_recipe};

use crate::differential::{first_difference, made};
use crate::inputs::{Numbers, far_repeats, generated, noise, prose, real, records};
use crate::oracle::Oracle;

fn ours(encoder: EncoderId, level: i8, plain: &[u8], theirs: &[u8]) -> Vec<u8> {
    let header = GzipHeader::read(theirs).expect("memory").expect("a header");
    made(&Recipe { encoder, level, writes: Writes::Aligned, header, borders: vec![] }, plain)
}

/// Lengths around the places at which zlib moves its window and ends its blocks.
fn more_inputs() -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    for (index, size) in
        [32_506, 32_512, 65_012, 65_274, 65_275, 65_535, 65_536, 65_798, 98_042, 98_043].into_iter().enumerate()
    {
        let seed = index as u64;
        inputs.push((format!("repeats {size}"), far_repeats(size, 32_506, seed)));
        inputs.push((format!("mixed {size}"), [noise(size / 2, seed), records(size - size / 2, seed)].concat()));
    }
    for distance in [4096, 4097, 32_505, 32_506, 32_507] {
        inputs.push((format!("repeats at {distance}"), far_repeats(200_000, distance, 3)));
    }
    // Literals only, so that blocks end by their tokens: 16383 (zlib) and 32767 (gzip), and gzip's looks.
    for size in [4095_u64, 4096, 4097, 16_382, 16_383, 16_384, 32_766, 32_767, 32_768] {
        let mut numbers = Numbers(size);
        let bytes = (0..size).map(|_| b"abcdefghijklmnop"[numbers.below(16)]).collect();
        inputs.push((format!("nibbles {size}"), bytes));
    }
    // Numbers in columns: few matches, yet well compressed, which is where gzip ends a block early.
    let mut numbers = Numbers(8);
    let columns: Vec<u8> = (0..200_000).map(|_| b"00000000000000000000011234"[numbers.below(26)]).collect();
    inputs.push(("columns".to_owned(), columns));
    let long = [prose(900_000, 1), noise(100_000, 2), records(1_500_000, 3), vec![0; 700_000]].concat();
    inputs.push(("long".to_owned(), long));
    inputs
}

/// Each input at each level, or at every `every`th.
fn compare(kind: u8, encoder: EncoderId, every: usize) {
    let Some(mut oracle) = Oracle::python() else { return };
    let inputs: Vec<_> = generated().into_iter().chain(real()).chain(more_inputs()).collect();
    assert!(inputs.len() >= 200, "{}", inputs.len());
    for (index, (name, plain)) in inputs.iter().enumerate() {
        let every = if plain.len() > 1 << 20 { 1 } else { every };
        for level in (1..=9).skip(index % every).step_by(every) {
            let theirs = oracle.made(kind, level, plain, &[]);
            let ours = ours(encoder, level, plain, &theirs);
            assert!(ours == theirs, "{name} at level {level}: {}", first_difference(&ours, &theirs));
        }
    }
}

#[test]
fn every_input_at_every_level_is_what_zlib_makes() {
    compare(b'z', EncoderId::ZlibV1, 1);
}

#[test]
fn every_input_is_what_gnu_gzip_makes() {
    let version = std::process::Command::new("gzip").arg("--version").output();
    if !version.is_ok_and(|output| output.stdout.starts_with(b"gzip ")) {
        return;
    }
    // It runs anew for each, which takes longer than what it does.
    compare(b'n', EncoderId::GnuGzipV1, 3);
}

#[test]
fn how_the_writes_into_zlib_were_cut_does_not_show() {
    let Some(mut oracle) = Oracle::python() else { return };
    let mut numbers = Numbers(3);
    let plain = [prose(300_000, 5), records(300_000, 6), far_repeats(200_000, 32_506, 7)].concat();
    for round in 0..20 {
        let cuts: Vec<usize> = (0..60).map(|_| 512 * (1 + numbers.below(20 * (1 + round)))).collect();
        for level in [1, 6, 9] {
            let theirs = oracle.made(b'w', level, &plain, &cuts);
            let ours = ours(EncoderId::ZlibV1, level, &plain, &theirs);
            assert!(ours == theirs, "round {round} at level {level}: {}", first_difference(&ours, &theirs));
        }
    }
}

#[test]
fn blobs_of_zlib_and_gnu_gzip_are_found() {
    let Some(mut oracle) = Oracle::python() else { return };
    let plain = [prose(400_000, 5), records(300_000, 6)].concat();
    for (kind, encoder) in [(b'z', EncoderId::ZlibV1), (b'h', EncoderId::ZlibV1), (b'n', EncoderId::GnuGzipV1)] {
        for level in 1..=9 {
            let blob = oracle.made(kind, level, &plain, &[]);
            let found = find_recipe(|| Ok(&blob[..])).expect("memory").expect("a recipe");
            assert_eq!((found.encoder, found.level), (encoder, level));
            assert!(made(&Recipe::from_bytes(&found.to_bytes()).expect("a recipe"), &plain) == blob);
        }
    }
}
