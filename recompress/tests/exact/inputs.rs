//! Inputs that try every border of the encoders, made the same way each time, and pieces of real programs.

use std::path::Path;

/// A small generator of numbers: the same ones each time (xorshift).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}

/// Bytes without any pattern.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    (0..length).map(|_| numbers.next().to_le_bytes()[3]).collect()
}

/// Words drawn unevenly from a small list, in lines.
pub(crate) fn prose(length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let words: Vec<Vec<u8>> = (0..600)
        .map(|_| {
            let length = 1 + numbers.below(11);
            (0..length).map(|_| b"etaoinshrdlucmfwypvbgkqjxz"[numbers.below(26).min(numbers.below(26))]).collect()
        })
        .collect();
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend_from_slice(&words[numbers.below(600).min(numbers.below(600))]);
        text.push(if numbers.below(12) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(length);
    text
}

/// Something like machine code: records of a few shapes with numbers that grow, between runs of zeros.
pub(crate) fn records(length: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = Vec::with_capacity(length + 512);
    let mut address = 0x0040_0000u32;
    while bytes.len() < length {
        match numbers.below(40) {
            0 => bytes.resize(bytes.len() + numbers.below(400), 0),
            1..9 => bytes.extend_from_slice(&noise(numbers.below(12), numbers.next())),
            9..20 => {
                bytes.extend_from_slice(&[0x48, 0x8b, 0x05]);
                bytes.extend_from_slice(&address.to_le_bytes());
            }
            _ => {
                bytes.extend_from_slice(&[0xe8, numbers.next().to_le_bytes()[0] & 0x3f, 0, 0, 0, 0x90]);
                address += 16;
            }
        }
    }
    bytes.truncate(length);
    bytes
}

/// Pieces that repeat from about one window back, where the far end of the window decides.
pub(crate) fn far_repeats(length: usize, distance: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut bytes = noise(distance.min(length), seed);
    while bytes.len() < length {
        let back = distance - numbers.below(300).min(distance - 1);
        let piece = 4 + numbers.below(40);
        for _ in 0..piece {
            let byte = bytes[bytes.len() - back];
            bytes.push(byte);
        }
        if numbers.below(3) == 0 {
            bytes.push(numbers.next().to_le_bytes()[0]);
        }
    }
    bytes.truncate(length);
    bytes
}

/// A tar of these contents, written by hand: names, sizes and padding are all that matters here.
pub(crate) fn tar_of(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let mut header = [0u8; 512];
        let name = format!("usr/lib/part-{index}.so");
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000755\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        tar.extend_from_slice(&header);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Generated inputs, each with a name: they are the same on every machine.
pub(crate) fn generated() -> Vec<(String, Vec<u8>)> {
    let mut inputs: Vec<(String, Vec<u8>)> = vec![("empty".into(), vec![]), ("one byte".into(), vec![42])];
    // Every internal size, and its neighbours: the shortest matches and waits, stored blocks, halves of the window, the
    // place where the window moves, tokens in a block, blocks of level 1, and the margins at the end.
    let sizes = [
        2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 64, 127, 128, 129, 255, 258, 259, 261, 262, 263, 4096, 16383, 16384, 16385,
        32505, 32506, 32507, 32767, 32768, 32769, 65273, 65274, 65275, 65519, 65520, 65534, 65535, 65536, 65537, 65551,
        65663, 65664, 98303, 98304, 98305, 131_070, 131_071, 131_072, 196_605, 196_606,
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        let seed = index as u64 + 1;
        inputs.push((format!("zeros {size}"), vec![0; size]));
        inputs.push((format!("noise {size}"), noise(size, seed)));
        inputs.push((format!("prose {size}"), prose(size, seed)));
        inputs.push((format!("records {size}"), records(size, seed)));
    }
    for (index, distance) in [4096, 4097, 32500, 32600, 32766, 32767, 32768, 32769].into_iter().enumerate() {
        inputs.push((format!("repeats {distance}"), far_repeats(300_000, distance, index as u64 + 1)));
    }
    let mut numbers = Numbers(77);
    let contents: Vec<Vec<u8>> = (0..40)
        .map(|index| {
            let size = numbers.below(30_000);
            if index % 2 == 0 { prose(size, index + 100) } else { records(size, index + 100) }
        })
        .collect();
    inputs.push(("tar".into(), tar_of(&contents)));
    // Two symbols, all symbols once, and frequencies that force the longest codes.
    inputs.push(("two symbols".into(), (0..70_000).map(|_| b'a' + u8::from(numbers.below(9) == 0)).collect()));
    inputs.push(("every byte".into(), (0..=255).collect()));
    let steep = (0..22u32).flat_map(|symbol| std::iter::repeat_n(symbol, 1 << (symbol / 2 + symbol % 2 * 4).min(15)));
    let mut steep: Vec<u8> = steep.map(|symbol| symbol.to_le_bytes()[0]).collect();
    for at in (1..steep.len()).rev() {
        steep.swap(at, numbers.below(at + 1));
    }
    inputs.push(("steep".into(), steep));
    inputs
}

/// Pieces of programs and texts of this machine: the test program itself and its sources.
pub(crate) fn real() -> Vec<(String, Vec<u8>)> {
    let program = std::fs::read(std::env::current_exe().expect("a program")).expect("its bytes");
    let mut sources = Vec::new();
    for folder in ["src", "src/go", "src/deflate", "tests/exact"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in std::fs::read_dir(folder).expect("sources") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                sources.push(std::fs::read(path).expect("a source"));
            }
        }
    }
    let part =
        |from: usize, length: usize| program[from.min(program.len())..(from + length).min(program.len())].to_vec();
    let mut both = sources.clone();
    both.extend((0..8).map(|index| part(index * 131_071, 90_001)));
    vec![
        ("sources".into(), sources.concat()),
        ("program".into(), part(0, 1 << 20)),
        ("middle of the program".into(), part(program.len() / 2, 700_001)),
        ("tar of sources".into(), tar_of(&sources)),
        ("tar of both".into(), tar_of(&both)),
    ]
}
