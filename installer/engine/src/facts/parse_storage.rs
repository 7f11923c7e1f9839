//! The sections about memory, mounts and folders.

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Frame;
use super::model::{DataMark, Memory, Mount, PathFact, PathKind, Space};

pub(super) fn memory(frame: &Frame<'_>) -> Memory {
    let bytes = |key: &str| {
        let value = frame.lines("meminfo").iter().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        value
            .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default()
            .saturating_mul(1024)
    };
    // `device kind KiB used priority`, below a headline. The kubelet goes by this list, too.
    let swaps: Vec<Vec<&str>> =
        frame.lines("swaps").iter().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let listed = swaps.iter().filter_map(|row| row.get(2)?.parse::<u64>().ok()).sum::<u64>().saturating_mul(1024);
    Memory {
        total: bytes("MemTotal"),
        available: bytes("MemAvailable"),
        swap: bytes("SwapTotal").max(listed),
        swap_devices: swaps.iter().filter_map(|row| row.first()).map(|device| (*device).to_owned()).collect(),
    }
}

/// Lines of `/proc/self/mountinfo`: id, parent, device, root, mount point, options, optional fields up to `-`, then
/// type, source and the filesystem's options.
pub(super) fn mounts(frame: &Frame<'_>) -> Vec<Mount> {
    let rows = frame.lines("mounts").iter().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let all = left.get(5)?.split(',').chain(right.get(2)?.split(','));
        Some(Mount {
            at: unescape(left.get(4)?),
            kind: (*right.first()?).to_owned(),
            source: unescape(right.get(1)?),
            options: all.map(str::to_owned).collect(),
            shared: left.iter().skip(6).any(|field| field.starts_with("shared:")),
        })
    });
    rows.collect()
}

/// The kernel writes space, tab, newline and backslash in mount points as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

pub(super) fn paths(frame: &Frame<'_>) -> BTreeMap<String, PathFact> {
    let mounts = mounts(frame);
    let ftypes: BTreeMap<&str, bool> = frame
        .lines("xfs")
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(at, f)| (at, f == "ftype=1"))
        .collect();
    let mut paths: BTreeMap<String, PathFact> = BTreeMap::new();
    let mut current = String::new();
    for (key, value) in frame.pairs("paths") {
        if key == "path" {
            value.clone_into(&mut current);
            paths.insert(current.clone(), PathFact::default());
            continue;
        }
        let Some(fact) = paths.get_mut(&current) else { continue };
        match key {
            "kind" => fact.kind = kind(value),
            "link" => value.clone_into(&mut fact.link),
            "entries" => fact.entries = value.parse().ok(),
            "mode" => value.clone_into(&mut fact.mode),
            "closed" => fact.closed_parents.push(value.to_owned()),
            "open" => fact.open_parents.push(value.to_owned()),
            "data" => fact.data = Some(mark(value)),
            "ledger" => fact.in_ledger = value == "yes",
            "df" => space(value, &mut fact.space, &mounts, &ftypes),
            "dfi" => inodes(value, &mut fact.space),
            _ => {}
        }
    }
    paths
}

/// `ferry-data 1|install ID|kind KIND|path PATH|`, and `released|` or not. Anything else is a mark, too, but of nobody known.
fn mark(text: &str) -> DataMark {
    let mut lines = text.strip_suffix('|').unwrap_or(text).split('|');
    if lines.next() != Some("ferry-data 1") {
        return DataMark::default();
    }
    let mut of = |key: &str| Some(lines.next()?.strip_prefix(key)?.to_owned());
    let known = (of("install "), of("kind "), of("path "));
    let (Some(install), Some(kind), Some(path)) = known else { return DataMark::default() };
    DataMark { install, kind, path, released: lines.next() == Some("released") }
}

fn kind(text: &str) -> PathKind {
    match text {
        "folder" => PathKind::Folder,
        "link" => PathKind::Link,
        "missing" => PathKind::Missing,
        _ => PathKind::Other,
    }
}

/// `device size used available use% mount point`; the numbers are found from the `%` on, since a device may have spaces.
fn columns(line: &str) -> Option<(String, Vec<u64>, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().rposition(|word| word.ends_with('%') || *word == "-")?;
    let first = percent.checked_sub(3)?;
    let numbers = words[first..percent].iter().map(|word| word.parse().unwrap_or_default()).collect();
    Some((words[..first].join(" "), numbers, words[percent + 1..].join(" ")))
}

fn space(line: &str, space: &mut Space, mounts: &[Mount], ftypes: &BTreeMap<&str, bool>) {
    let Some((device, numbers, at)) = columns(line) else { return };
    let bytes = |index: usize| numbers.get(index).copied().unwrap_or_default().saturating_mul(1024);
    (space.size, space.used, space.available) = (bytes(0), bytes(1), bytes(2));
    // What is mounted last over a place is what one sees there.
    if let Some(mount) = mounts.iter().rev().find(|mount| mount.at == at) {
        mount.kind.clone_into(&mut space.kind);
        space.options = mount.options.iter().cloned().collect::<BTreeSet<_>>();
    }
    space.xfs_ftype = ftypes.get(at.as_str()).copied();
    (space.device, space.mounted_at) = (device, at);
}

fn inodes(line: &str, space: &mut Space) {
    if let Some((_, numbers, _)) = columns(line) {
        space.inodes = numbers.first().copied().unwrap_or_default();
        space.inodes_free = numbers.get(2).copied().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_what_the_kernel_lists() {
        let text = "== ferry-facts 1\n== meminfo\n|MemTotal: 8 kB\n|SwapTotal: 0 kB\n== swaps\n|Filename Type Size Used Priority\n\
                    |/dev/sdb1  partition\t4194300\t\t0\t\t-2\n|/swap file 1024 0 -3\n== end\n";
        let found = memory(&Frame::read(text).unwrap());
        assert_eq!((found.total, found.swap), (8 << 10, (4_194_300 + 1024) << 10));
        assert_eq!(found.swap_devices, ["/dev/sdb1", "/swap"]);
    }

    #[test]
    fn marks_of_data_folders_are_read_and_unknown_ones_are_of_nobody() {
        let text = "== ferry-facts 1\n== paths\n|path=/a\n|data=ferry-data 1|install x|kind etcd|path /a b|\n|ledger=yes\n|open=/srv\n\
                    |path=/b\n|data=ferry-data 1|install x|kind volumes|path /b|released|\n|path=/c\n|data=something else|\n|path=/d\n== end\n";
        let found = paths(&Frame::read(text).unwrap());
        let mark = |path: &str| found[path].data.clone();
        let one = DataMark { install: "x".into(), kind: "etcd".into(), path: "/a b".into(), released: false };
        assert_eq!((mark("/a"), mark("/c"), mark("/d")), (Some(one), Some(DataMark::default()), None));
        assert!(mark("/b").unwrap().released && found["/a"].in_ledger && !found["/b"].in_ledger);
        assert_eq!(found["/a"].open_parents, ["/srv"]);
    }

    #[test]
    fn columns_of_df_are_found_in_odd_lines() {
        let plain = columns("/dev/vda  264212084  61170392  34330872  64% /").unwrap();
        assert_eq!(plain, ("/dev/vda".into(), vec![264_212_084, 61_170_392, 34_330_872], "/".into()));
        let odd = columns("//nas/a b  10 4 6 40% /mnt/a b").unwrap();
        assert_eq!(odd, ("//nas/a b".into(), vec![10, 4, 6], "/mnt/a b".into()));
        assert_eq!(columns("/dev/x 0 0 0 - /mnt").unwrap().1, [0, 0, 0]);
        assert!(columns("").is_none() && columns("5% /").is_none());
    }
}
