//! Filesystems: room, kind, options, and how fast they keep what is written.

use super::check::{OnHost, Run, Seen};
use super::{Check, Limit, Severity};
use crate::facts::{PathFact, PathKind, Space};
use crate::site::file::Role;

const GIB: f64 = 1_073_741_824.0;

/// Images, containers, logs and volumes come to lie here.
const DATA: &str = "/var/lib";

/// Embedded Cluster's floor for a data directory.
pub(super) const SIZE: Check = Check {
    id: "disk.size",
    title: "the filesystem of /var/lib is big enough",
    severity: Severity::Fail,
    limit: Some(Limit { value: 40.0, unit: "GiB" }),
    fix: "enlarge the filesystem, or mount a bigger disk at /var/lib",
    run: Run::Host(|on| {
        let Some(space) = space(on, DATA) else { return Seen::skipped("df says nothing about it") };
        let limit = on.limit();
        Seen::judge(gib(space.size) >= limit, format!("{:.0} GiB, at least {limit}", gib(space.size)))
    }),
};

/// A kubelet begins to throw images away at 85 percent, and in an air gap they can't be fetched again.
pub(super) const USED: Check = Check {
    id: "disk.used",
    title: "the filesystem of /var/lib is not full already",
    severity: Severity::Fail,
    limit: Some(Limit { value: 80.0, unit: "percent used" }),
    fix: "free some space below /var/lib, or enlarge the filesystem",
    run: Run::Host(|on| {
        let Some(space) = space(on, DATA) else { return Seen::skipped("df says nothing about it") };
        let (used, limit) = (percent(space, 0), on.limit());
        Seen::judge(used <= limit, format!("{used:.0} % used, at most {limit}"))
    }),
};

/// The same, once the images are unpacked.
pub(super) const IMAGE_COLLECTION: Check = Check {
    id: "disk.image-collection",
    title: "unpacked images stay below the kubelet's mark for throwing images away",
    severity: Severity::Warn,
    limit: Some(Limit { value: 85.0, unit: "percent used" }),
    fix: "enlarge the filesystem: what the kubelet throws away can't be fetched again here",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let Some(space) = space(on, DATA) else { return Seen::skipped("df says nothing about it") };
        let (then, limit) = (percent(space, on.whole.needs.image_bytes), on.limit());
        Seen::judge(then <= limit, format!("{then:.0} % used with the images, at most {limit}"))
    }),
};

/// While the registry is filled, what arrives and what is stored lie beside each other.
pub(super) const REGISTRY_SPACE: Check = Check {
    id: "disk.registry-space",
    title: "the registry's filesystem has room for the bundle",
    severity: Severity::Fail,
    limit: Some(Limit { value: 2.0, unit: "times the bundle's content" }),
    fix: "enlarge the filesystem, or set registry.dataDir to one with room",
    run: Run::Host(|on| {
        if !on.host.is(Role::Registry) {
            return Seen::skipped("no registry runs here");
        }
        room(on, &on.site().registry.data_dir, on.whole.needs.registry_bytes)
    }),
};

/// Unpacked layers, and what containers write.
pub(super) const IMAGE_SPACE: Check = Check {
    id: "disk.image-space",
    title: "/var/lib has room for the unpacked images",
    severity: Severity::Fail,
    limit: Some(Limit { value: 1.3, unit: "times the unpacked images" }),
    fix: "enlarge the filesystem of /var/lib",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        room(on, DATA, on.whole.needs.image_bytes.saturating_add(on.whole.needs.binary_bytes))
    }),
};

/// A full inode table looks like a full disk with room left.
pub(super) const INODES: Check = Check {
    id: "disk.inodes",
    title: "the filesystem of /var/lib has inodes left",
    severity: Severity::Warn,
    limit: Some(Limit { value: 10.0, unit: "percent free" }),
    fix: "remove many small files, or make the filesystem anew with more inodes",
    run: Run::Host(|on| {
        let space = space(on, DATA).filter(|space| space.inodes > 0);
        let Some(space) = space else { return Seen::skipped("the filesystem does not count them") };
        let (free, limit) = (100.0 * float(space.inodes_free) / float(space.inodes), on.limit());
        Seen::judge(free >= limit, format!("{free:.0} % free, at least {limit}"))
    }),
};

/// Links and closed parents break mounts and pods that run as other users.
pub(super) const DATA_DIRECTORIES: Check = Check {
    id: "disk.data-directories",
    title: "data directories are folders, and others may pass through their parents",
    severity: Severity::Fail,
    limit: None,
    fix: "mount the disk at the path itself instead of a link; chmod o+x the parents",
    run: Run::Host(|on| {
        if on.facts.has_ledger() {
            return Seen::skipped("ferry has worked here: the folders are its own");
        }
        let wrong: Vec<String> = data_paths(on)
            .filter_map(|(path, fact)| match fact.kind {
                PathKind::Link => Some(format!("{path} is a link to {}", fact.link)),
                PathKind::Other => Some(format!("{path} is no folder")),
                _ if !fact.closed_parents.is_empty() => {
                    Some(format!("{} can't be passed by others", fact.closed_parents.join(", ")))
                }
                _ => None,
            })
            .collect();
        if wrong.is_empty() { Seen::good(listed(on)) } else { Seen::bad(wrong.join("; ")) }
    }),
};

/// Overlay needs the file type in directory entries.
pub(super) const XFS: Check = Check {
    id: "disk.xfs-ftype",
    title: "XFS filesystems were made with ftype=1",
    severity: Severity::Fail,
    limit: None,
    fix: "make the filesystem anew: mkfs.xfs -n ftype=1",
    run: Run::Host(|on| {
        let Some(space) = space(on, DATA) else { return Seen::skipped("df says nothing about it") };
        match (space.kind.as_str(), space.xfs_ftype) {
            ("xfs", Some(ftype)) => Seen::judge(ftype, format!("ftype={}", u8::from(ftype))),
            ("xfs", None) => Seen::skipped("xfs_info is not there to say"),
            (kind, _) => Seen::skipped(format!("/var/lib is on {kind}")),
        }
    }),
};

/// Programs of containers and volumes are run from there.
pub(super) const MOUNT_OPTIONS: Check = Check {
    id: "disk.mount-options",
    title: "data filesystems are neither noexec nor read-only",
    severity: Severity::Fail,
    limit: None,
    fix: "take noexec and ro out of the mount's options in /etc/fstab, and mount again",
    run: Run::Host(|on| {
        let data = data_paths(on).chain(on.facts.paths.get_key_value("/").map(|(path, fact)| (path.as_str(), fact)));
        let mut wrong: Vec<String> = data
            .flat_map(|(_, fact)| {
                let bad = ["noexec", "ro"].into_iter().filter(|option| fact.space.options.contains(*option));
                bad.map(|option| format!("{} is mounted {option}", fact.space.mounted_at)).collect::<Vec<_>>()
            })
            .collect();
        wrong.sort_unstable();
        wrong.dedup();
        if wrong.is_empty() { Seen::good("rw, exec") } else { Seen::bad(wrong.join("; ")) }
    }),
};

/// Volumes that appear later must appear in containers, too.
pub(super) const PROPAGATION: Check = Check {
    id: "disk.propagation",
    title: "mounts propagate from /",
    severity: Severity::Fail,
    limit: None,
    fix: "mount --make-rshared / (systemd does so at boot; find out what undoes it)",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        match on.facts.mounts.iter().rev().find(|mount| mount.at == "/") {
            Some(root) => Seen::judge(root.shared, if root.shared { "shared" } else { "private" }),
            None => Seen::skipped("the mount of / is not listed"),
        }
    }),
};

/// Whatever else writes to the disk of etcd makes its elections slow.
pub(super) const ETCD_DEVICE: Check = Check {
    id: "disk.etcd-device",
    title: "etcd's data have a disk of their own",
    severity: Severity::Warn,
    limit: None,
    fix: "mount a disk at etcd.dataDir; on a virtual machine: one on fast storage",
    run: Run::Host(|on| {
        if !on.host.is(Role::Etcd) {
            return Seen::skipped("no etcd runs here");
        }
        let path = &on.site().etcd.data_dir;
        match (space(on, path), space(on, "/")) {
            (Some(etcd), Some(root)) => {
                let same = format!("{path} is on {}", etcd.device);
                Seen::judge(etcd.device != root.device && etcd.mounted_at != "/", same)
            }
            _ => Seen::skipped("df says nothing about it"),
        }
    }),
};

/// etcd's documentation: below 10 ms, measured as it writes itself.
pub(super) const FSYNC: Check = Check {
    id: "disk.fsync",
    title: "the disk of etcd's data keeps small writes fast",
    severity: Severity::Fail,
    limit: Some(Limit { value: 10.0, unit: "ms at the 99th percentile" }),
    fix: "put etcd.dataDir on an SSD of its own; look for other writers, write barriers, thin provisioning",
    run: Run::Host(|on| {
        if !on.host.is(Role::Etcd) {
            return Seen::skipped("no etcd runs here");
        }
        let Some(fsync) = on.measured().and_then(|measured| measured.fsync) else { return on.not_measured() };
        let limit = on.limit();
        let evidence = format!("p50 {:.1} ms, p99 {:.1} ms, at most {limit}", fsync.p50_ms, fsync.p99_ms);
        Seen::judge(fsync.p99_ms <= limit, evidence)
    }),
};

fn space<'a>(on: &'a OnHost<'_>, path: &str) -> Option<&'a Space> {
    on.facts.paths.get(path).map(|fact| &fact.space).filter(|space| space.size > 0)
}

fn room(on: &OnHost<'_>, path: &str, bytes: u64) -> Seen {
    let Some(space) = space(on, path) else { return Seen::skipped("df says nothing about it") };
    let needed = float(bytes) * on.limit();
    let evidence = format!("{:.1} GiB free for {path}, {:.1} needed", gib(space.available), needed / GIB);
    Seen::judge(float(space.available) >= needed, evidence)
}

/// The folders that hold data on this host.
fn data_paths<'a>(on: &'a OnHost<'_>) -> impl Iterator<Item = (&'a str, &'a PathFact)> {
    let site = crate::facts::paths_of(on.site(), on.host);
    let fixed = [DATA, "/var/lib/kubelet", "/var/lib/containerd"].map(str::to_owned);
    let all = fixed.into_iter().chain(site);
    let found: Vec<_> = all.filter_map(|path| on.facts.paths.get_key_value(&path)).collect();
    found.into_iter().map(|(path, fact)| (path.as_str(), fact))
}

fn listed(on: &OnHost<'_>) -> String {
    data_paths(on).map(|(path, _)| path).collect::<Vec<_>>().join(", ")
}

/// What is used, as df counts it: of what can be had, with so many bytes more.
fn percent(space: &Space, more: u64) -> f64 {
    let used = float(space.used) + float(more);
    100.0 * used / (float(space.used) + float(space.available)).max(1.0)
}

fn gib(bytes: u64) -> f64 {
    float(bytes) / GIB
}

#[expect(clippy::cast_precision_loss, reason = "sizes are shown and compared, not added up")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}
