//! Attacks on the archive itself: headers, names, order, ends. Nobody has to be able to sign for these.

use ferry_bundle_format::archive::padding;
use ferry_bundle_format::fake::Fake;

use super::Case;
use super::forge::SIGNER;

fn valid() -> Vec<u8> {
    Fake::new(7, 60).bytes(&[SIGNER()]).expect("a fake bundle can be written")
}

/// A member: its header and its content with padding.
struct Part {
    header: [u8; 512],
    content: Vec<u8>,
}

fn parts() -> Vec<Part> {
    let bytes = valid();
    let (mut parts, mut at) = (Vec::new(), 0);
    while bytes[at] != 0 {
        let header: [u8; 512] = bytes[at..at + 512].try_into().expect("a block");
        let octal = std::str::from_utf8(&header[124..135]).expect("octal digits");
        let size = u64::from_str_radix(octal, 8).expect("octal digits");
        let end = at + 512 + usize::try_from(size + padding(size)).expect("small");
        parts.push(Part { header, content: bytes[at + 512..end].to_vec() });
        at = end;
    }
    parts
}

fn joined(parts: &[Part]) -> Vec<u8> {
    let mut bytes: Vec<u8> = parts.iter().flat_map(|part| [&part.header[..], &part.content].concat()).collect();
    bytes.extend([0; 1024]);
    bytes
}

/// Gives a header its checksum, as a forger would.
fn summed(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// The valid archive with the first member's header changed.
fn first(change: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    at(0, change)
}

/// The valid archive with a header behind the envelope changed.
fn inner(change: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    at(7, change)
}

fn at(n: usize, change: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    let mut parts = parts();
    change(&mut parts[n].header);
    parts[n].header = summed(parts[n].header);
    joined(&parts)
}

fn name(header: &mut [u8; 512], name: &[u8]) {
    header[..100].fill(0);
    header[..name.len()].copy_from_slice(name);
}

fn kind(header: &mut [u8; 512], flag: u8, link: &[u8]) {
    header[156] = flag;
    header[157..157 + link.len()].copy_from_slice(link);
}

/// The valid archive with another member put in at `n`.
fn insert(n: usize, from: usize, change: impl Fn(&mut Part)) -> Vec<u8> {
    let mut all = parts();
    let mut part = Part { header: all[from].header, content: all[from].content.clone() };
    change(&mut part);
    part.header = summed(part.header);
    all.insert(n, part);
    joined(&all)
}

#[expect(clippy::too_many_lines, reason = "a table of one case after the other")]
pub(super) fn tar_cases() -> Vec<Case> {
    vec![
        ("tar-absolute-name", || first(|h| name(h, b"/etc/cron.d/ferry"))),
        ("tar-dotdot-first", || first(|h| name(h, b"../README.txt"))),
        ("tar-dotdot-middle", || first(|h| name(h, b"a/../../README.txt"))),
        ("tar-dotdot-last", || first(|h| name(h, b"a/.."))),
        ("tar-dot-component", || first(|h| name(h, b"./README.txt"))),
        ("tar-empty-component", || first(|h| name(h, b"a//README.txt"))),
        ("tar-backslash", || first(|h| name(h, b"..\\README.txt"))),
        ("tar-drive-letter", || first(|h| name(h, b"C:README.txt"))),
        ("tar-unc", || first(|h| name(h, b"\\\\host\\share\\x"))),
        ("tar-name-newline", || first(|h| name(h, b"README.txt\nroot"))),
        ("tar-name-carriage-return", || first(|h| name(h, b"README.txt\r"))),
        ("tar-name-escape", || first(|h| name(h, b"README\x1b[2J.txt"))),
        ("tar-name-bidi", || first(|h| name(h, "README\u{202e}txt".as_bytes()))),
        ("tar-name-blank", || first(|h| name(h, b"README .txt"))),
        ("tar-name-empty", || first(|h| name(h, b""))),
        ("tar-name-hidden-after-nul", || first(|h| h[50] = b'x')),
        ("tar-name-other-case", || first(|h| name(h, b"readme.txt"))),
        ("tar-symlink", || first(|h| kind(h, b'2', b"/etc/passwd"))),
        ("tar-hardlink", || first(|h| kind(h, b'1', b"/etc/shadow"))),
        ("tar-hardlink-relative", || first(|h| kind(h, b'1', b"../../etc/shadow"))),
        ("tar-character-device", || first(|h| kind(h, b'3', b""))),
        ("tar-block-device", || first(|h| kind(h, b'4', b""))),
        ("tar-directory", || first(|h| kind(h, b'5', b""))),
        ("tar-fifo", || first(|h| kind(h, b'6', b""))),
        ("tar-contiguous", || first(|h| kind(h, b'7', b""))),
        ("tar-old-regular", || first(|h| kind(h, 0, b""))),
        ("tar-pax", || first(|h| kind(h, b'x', b""))),
        ("tar-pax-global", || first(|h| kind(h, b'g', b""))),
        ("tar-gnu-long-name", || first(|h| kind(h, b'L', b""))),
        ("tar-gnu-long-link", || first(|h| kind(h, b'K', b""))),
        ("tar-gnu-sparse", || first(|h| kind(h, b'S', b""))),
        ("tar-unknown-type", || first(|h| kind(h, b'Z', b""))),
        ("tar-setuid", || first(|h| h[100..108].copy_from_slice(b"0004755\0"))),
        ("tar-owner", || first(|h| h[108..116].copy_from_slice(b"0001750\0"))),
        ("tar-time", || first(|h| h[136..148].copy_from_slice(b"17777777777\0"))),
        ("tar-prefix", || first(|h| h[345..350].copy_from_slice(b"../.."))),
        ("tar-size-base256", || {
            first(|h| {
                h[124..136].fill(0);
                h[124] = 0x80;
                h[135] = 1;
            })
        }),
        ("tar-size-negative", || first(|h| h[124..136].copy_from_slice(b"-0000000001\0"))),
        ("tar-size-all-ones", || first(|h| h[124..136].fill(0xff))),
        ("tar-size-huge", || first(|h| h[124..136].copy_from_slice(b"77777777777\0"))),
        ("tar-checksum", || {
            let mut bytes = valid();
            bytes[148] = b'7';
            bytes
        }),
        ("tar-inner-symlink", || inner(|h| kind(h, b'2', b"/etc/passwd"))),
        ("tar-inner-hardlink", || inner(|h| kind(h, b'1', b"lock.yaml"))),
        ("tar-inner-device", || inner(|h| kind(h, b'3', b""))),
        ("tar-inner-name-escape", || inner(|h| name(h, b"../../etc/cron.d/x"))),
        ("tar-inner-size", || inner(|h| h[124..136].copy_from_slice(b"00000000000\0"))),
        ("tar-inner-setuid", || inner(|h| h[100..108].copy_from_slice(b"0004755\0"))),
        ("tar-twice-the-same", || insert(8, 7, |_| {})),
        ("tar-twice-dot-slash", || insert(8, 6, |p| name(&mut p.header, b"./lock.yaml"))),
        ("tar-twice-other-case", || insert(8, 6, |p| name(&mut p.header, b"LOCK.yaml"))),
        ("tar-extra-member-first", || insert(0, 0, |p| name(&mut p.header, b"run-me-first.sh"))),
        ("tar-extra-member-in-envelope", || insert(3, 0, |p| name(&mut p.header, b"extra.txt"))),
        ("tar-extra-symlink-then-file", || {
            insert(6, 0, |p| {
                name(&mut p.header, b"blobs");
                kind(&mut p.header, b'2', b"/etc");
            })
        }),
        ("tar-member-after-end", || {
            let all = parts();
            [valid(), all[0].header.to_vec(), all[0].content.clone(), vec![0; 1024]].concat()
        }),
        ("tar-two-archives", || [valid(), valid()].concat()),
        ("tar-trailing-garbage", || [valid(), b"garbage".to_vec()].concat()),
        ("tar-trailing-zeros", || [valid(), vec![0; 10_240]].concat()),
        ("tar-no-end", || {
            let bytes = valid();
            bytes[..bytes.len() - 1024].to_vec()
        }),
        ("tar-one-end-block", || {
            let bytes = valid();
            bytes[..bytes.len() - 512].to_vec()
        }),
        ("tar-end-not-zero", || {
            let mut bytes = valid();
            let last = bytes.len() - 1;
            bytes[last] = 1;
            bytes
        }),
        ("tar-end-first", || [vec![0; 1024], valid()].concat()),
        ("tar-empty-file", Vec::new),
        ("tar-only-zeros", || vec![0; 10_240]),
        ("tar-padding-used", || {
            let mut parts = parts();
            let last = parts[6].content.len() - 1;
            parts[6].content[last] = b'x';
            joined(&parts)
        }),
        ("tar-truncated-in-content", || {
            let bytes = valid();
            bytes[..bytes.len() / 2].to_vec()
        }),
        ("gzip-instead", || b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff".repeat(100)),
        ("zip-instead", || b"PK\x03\x04\x14\x00\x00\x00".repeat(100)),
    ]
}
