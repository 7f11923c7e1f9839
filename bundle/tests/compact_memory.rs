//! A frame that wants to grow to gigabytes is refused with the memory of one window. Alone in its file, because it looks at
//! the memory of the whole process.

use std::sync::Arc;

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::compact::{Limits, Rebuilder, Rebuilt, SEGMENT, Segment, gzip_as_go, make};
use ferry_bundle_format::index::Extent;

/// The most memory that this process has had, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[test]
fn a_bomb_does_not_take_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(folder.path().join(name)).unwrap();
        (Region::new(Arc::new(file.try_clone().unwrap()), 0, bytes.len() as u64), file)
    };
    // One honest frame of zeros, said to come sixty-four times, each time as large as a frame may be.
    let plain = vec![0; 1 << 20];
    let gzip = gzip_as_go(&plain, 6);
    let blob = Extent::of(&gzip);
    let (source, _) = file("blob", &gzip);
    let (_, out) = file("frames", &[]);
    let made = make(blob, &source.into(), None, Limits { bytes: 0, percent: 0 }, &out).unwrap().unwrap();
    let frame = std::fs::read(folder.path().join("frames")).unwrap();
    let many = frame.repeat(64);
    let (stored, _) = file("many", &many);
    let segment = Segment { stored: frame.len() as u64, plain: SEGMENT, from: None, length: None };
    let lie = Rebuilt {
        plain: Extent { digest: Digest::of(b""), size: 64 * SEGMENT },
        segments: vec![segment; 64],
        blob: Extent { size: 1 << 30, ..blob },
        ..made.how
    };
    let before = peak();
    let error = Rebuilder::new(stored, lie, None).unwrap().check(|_| {}).unwrap_err();
    assert!(error.to_string().contains("unpacked"), "{error}");
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 300 << 10, "{before} KiB before, {after} KiB after");
    }
}
