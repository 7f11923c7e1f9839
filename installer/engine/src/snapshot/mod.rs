//! Snapshots of etcd beside the timer's own: taken now, found, brought to the operator and to a second host, restored.
//!
//! ```text
//! take     the timer's script, now             find      the newest that any host or the operator has
//! fetch    host ─► operator, piece by piece    restore   rehearsal ─► every member prepared ─► stop ─► switch ─► start ─► look
//! ```
//! Where etcd has several members each host takes its own, so every snapshot stands on several hosts. A second host for a
//! single member gets its copy through the operator: nobody else holds a key to etcd.

mod fetch;
mod restore;

pub use fetch::{FetchError, fetch};
pub use restore::{Restore, comes_back, rounds};

use crate::host::quote;
use crate::rounds::Task;
use crate::site::file::Role;
use crate::site::{Host, Site};

/// A snapshot on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// When it was taken, as its name has it: `20260101T000000Z`.
    pub at: String,
    /// The host.
    pub host: String,
    /// The file there.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// Takes a snapshot of a host's member now, by the script that the timer runs, and says which it is.
#[must_use]
pub fn take(site: &Site, host: &Host) -> Task {
    let script = format!(
        "set -eu\nsystemctl start ferry-etcd-snapshot.service || {{ journalctl -u ferry-etcd-snapshot.service -n 20 --no-pager -o cat >&2; exit 1; }}\n{}",
        list(site)
    );
    Task::new("backup.take", &host.name, "a snapshot of etcd, verified", script).within(600)
}

/// The script that lists the newest verified snapshot of a host, its own or a copy: `at size sha256 path`.
#[must_use]
pub fn list(site: &Site) -> String {
    let folder = quote(&site.etcd.snapshot_dir);
    format!(
        "newest=$(ls -1 {folder}/etcd-*.db {folder}/from-*/etcd-*.db 2>/dev/null | sed 's|.*/etcd-\\(.*\\)\\.db$|\\1 &|' | sort | tail -n 1)\n\
         if [ -n \"$newest\" ]; then file=${{newest#* }}; echo \"${{newest%% *}} $(stat -c %s \"$file\") $(sha256sum <\"$file\" | cut -c1-64) $file\"; fi"
    )
}

/// Reads what [`list`] printed.
#[must_use]
pub fn found(host: &str, text: &str) -> Option<Found> {
    let mut words = text.trim().lines().last()?.splitn(4, ' ');
    let (at, size, sha256, path) = (words.next()?, words.next()?.parse().ok()?, words.next()?, words.next()?);
    (sha256.len() == 64).then(|| Found {
        at: at.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        size,
        sha256: sha256.to_owned(),
    })
}

/// The host that keeps a copy of what `from` has: the next etcd host, else a registry host, else any other; none where there
/// is only one host.
#[must_use]
pub fn keeper<'a>(site: &'a Site, from: &str) -> Option<&'a Host> {
    let members: Vec<&Host> = site.with(Role::Etcd).collect();
    let place = members.iter().position(|host| host.name == from).unwrap_or_default();
    let next = members.get((place + 1) % members.len().max(1)).copied();
    let others = site.with(Role::Registry).chain(&site.hosts);
    next.into_iter().chain(others).find(|host| host.name != from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::site;

    #[test]
    fn the_newest_is_read_with_odd_paths() {
        let sha = "a".repeat(64);
        let one = found("node1", &format!("noise\n20260101T000000Z 4096 {sha} /var/b ups/etcd-20260101T000000Z.db\n"))
            .unwrap();
        assert_eq!((one.path.as_str(), one.size), ("/var/b ups/etcd-20260101T000000Z.db", 4096));
        assert_eq!(found("node1", ""), None);
        assert_eq!(found("node1", "20260101T000000Z x y z"), None);
    }

    #[test]
    fn a_copy_goes_to_another_host() {
        let mut site = site();
        assert_eq!(keeper(&site, "node1").unwrap().name, "node2");
        site.hosts[1].roles.push(Role::Etcd);
        assert_eq!(keeper(&site, "node2").unwrap().name, "node1");
        site.hosts.truncate(1);
        assert!(keeper(&site, "node1").is_none());
    }

    #[test]
    fn the_list_names_the_newest_of_its_own_and_of_copies() {
        let folder = std::env::temp_dir().join(format!("ferry-list-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("from-node2")).unwrap();
        let mut site = site();
        site.etcd.snapshot_dir = crate::site::types::DataDir::of_test(&folder);
        let run = || {
            String::from_utf8(std::process::Command::new("sh").args(["-c", &list(&site)]).output().unwrap().stdout)
                .unwrap()
        };
        assert_eq!(run(), "");
        for (name, text) in
            [("etcd-20260101T000000Z.db", "old"), ("from-node2/etcd-20260102T000000Z.db", "newer"), ("x.db", "")]
        {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let newest = found("node1", &run()).unwrap();
        assert_eq!((newest.at.as_str(), newest.size), ("20260102T000000Z", 5));
        assert!(newest.path.ends_with("/from-node2/etcd-20260102T000000Z.db"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
