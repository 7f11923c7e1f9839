//! Folders on hosts: absolute, normalised, of characters that no shell, systemd unit, YAML document or environment file takes
//! for something else. A folder of data is besides this no folder of the system and nobody else's.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{Invalid, text_type};

/// The longest path. Unix sockets and names of files below it need room.
const LONGEST: usize = 200;

/// Folders of the system: neither they themselves nor anything below them holds data of a site. What is below `/tmp`, `/run` and
/// the like does not outlive a reboot.
const SYSTEM: [&str; 16] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/lost+found",
];

/// Folders that hold other people's things beside each other, so that only a folder below them can be a site's.
const SHARED: [&str; 15] = [
    "/var/adm",
    "/var/backups",
    "/var/cache",
    "/var/crash",
    "/var/db",
    "/var/games",
    "/var/lib",
    "/var/local",
    "/var/log",
    "/var/mail",
    "/var/opt",
    "/var/spool",
    "/var/www",
    "/var/snap",
    "/var/backups/ferry",
];

/// Folders below which other programs keep their own data.
const OTHERS: [&str; 34] = [
    "/var/run",
    "/var/tmp",
    "/var/lock",
    "/var/lib/apt",
    "/var/lib/buildkit",
    "/var/lib/calico",
    "/var/lib/chrony",
    "/var/lib/cni",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/cri-o",
    "/var/lib/dbus",
    "/var/lib/dhcp",
    "/var/lib/dnf",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/ferry",
    "/var/lib/ferry-virtual-address",
    "/var/lib/ferry-balancer",
    "/var/lib/kubelet",
    "/var/lib/libvirt",
    "/var/lib/machines",
    "/var/lib/mysql",
    "/var/lib/NetworkManager",
    "/var/lib/pgsql",
    "/var/lib/polkit-1",
    "/var/lib/postgresql",
    "/var/lib/private",
    "/var/lib/rancher",
    "/var/lib/rpm",
    "/var/lib/snapd",
    "/var/lib/sudo",
    "/var/lib/systemd",
    "/var/lib/yum",
];

/// A normalised absolute path: begins with `/`, no `//`, no `.` or `..`, no `/` at the end, of letters, digits and `._-` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

text_type!(AbsolutePath, "An absolute path of letters, digits and `._-`", r"^(/+[A-Za-z0-9._][A-Za-z0-9._-]*)+/*$");

impl FromStr for AbsolutePath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.starts_with('/') {
            return Err(Invalid::new(text, "is no absolute path").hint("begin it with `/`"));
        }
        let mut path = String::with_capacity(text.len());
        for part in text.split('/').filter(|part| !part.is_empty()) {
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if part == "." || part == ".." {
                return Err(Invalid::new(text, format!("has `{part}` in it")).hint("write the path without it"));
            }
            if !part.chars().all(plain) || part.starts_with('-') {
                let hint = "use letters, digits, `.`, `_` and `-`; no part begins with `-`";
                return Err(Invalid::new(text, "has characters that do not belong in such a path").hint(hint));
            }
            path.push('/');
            path.push_str(part);
        }
        if path.is_empty() {
            return Err(Invalid::new(text, "is the root of the file system"));
        }
        if path.len() > LONGEST {
            return Err(Invalid::new(text, format!("is longer than {LONGEST} characters")));
        }
        Ok(Self(path))
    }
}

impl AbsolutePath {
    /// Whether it is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &str) -> bool {
        self.0.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A folder in which a site keeps data, and that the site may remove: at least two folders deep, no folder of the system, none of
/// another program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataDir(AbsolutePath);

text_type!(
    DataDir,
    "A folder for data: an absolute path of letters, digits and `._-`, at least two folders deep, such as /data/etcd; no folder of the system",
    r"^(/+[A-Za-z0-9._][A-Za-z0-9._-]*){2,}/*$"
);

impl FromStr for DataDir {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let path: AbsolutePath = text.parse()?;
        let refused = |why: &str| {
            let hint = "give the data a folder of their own, such as /data/etcd or /var/lib/etcd";
            Err(Invalid::new(text, why).hint(hint))
        };
        if SYSTEM.iter().any(|one| path.is_within(one)) {
            return refused("is a folder of the system");
        }
        let depth = path.split('/').count() - 1;
        if depth < 2 {
            return refused("is at the top of the file system");
        }
        if depth == 2 && path.is_within("/home") {
            return refused("is a user's home folder");
        }
        if SHARED.contains(&path.as_str()) {
            return refused("is a folder that many programs share");
        }
        if OTHERS.iter().any(|one| path.is_within(one)) {
            return refused("belongs to another program");
        }
        Ok(Self(path))
    }
}

impl DataDir {
    /// The folder that it lies in; never the root of the file system.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("/", |(parent, _)| parent)
    }

    /// Whether one of the two is or contains the other.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.is_within(&other.0) || other.0.is_within(&self.0)
    }

    /// A folder of a test, which lies below `/tmp`.
    #[cfg(test)]
    pub(crate) fn of_test(path: &std::path::Path) -> Self {
        Self(AbsolutePath(path.display().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_data_are_normalised() {
        for (text, path) in [
            ("/var/lib/etcd", "/var/lib/etcd"),
            ("/data//etcd/", "/data/etcd"),
            ("/var/backups/ferry/etcd", "/var/backups/ferry/etcd"),
            ("/mnt/disk-1/registry.d", "/mnt/disk-1/registry.d"),
            ("/home/ops/etcd", "/home/ops/etcd"),
            ("/srv/_x", "/srv/_x"),
        ] {
            assert_eq!(text.parse::<DataDir>().map(|dir| dir.to_string()), Ok(path.to_owned()));
        }
        let dir: DataDir = "/data/etcd".parse().unwrap();
        assert_eq!(dir.parent(), "/data");
        assert!(dir.overlaps(&"/data/etcd/x".parse().unwrap()) && !dir.overlaps(&"/data/etcd2".parse().unwrap()));
    }

    #[test]
    fn what_could_harm_a_host_is_refused() {
        for text in [
            "",
            "/",
            "//",
            "/data",
            "/data/",
            "var/lib/etcd",
            "./x/y",
            "/data/../etc",
            "/data/./x",
            "/data/..",
            "/etc/etcd",
            "/usr/local/etcd",
            "/var/lib",
            "/var/lib/",
            "/var/log",
            "/tmp/etcd",
            "/run/etcd",
            "/var/run/etcd",
            "/dev/shm/x",
            "/proc/1",
            "/root/etcd",
            "/home/ops",
            "/var/lib/docker/x",
            "/var/lib/kubelet",
            "/var/lib/ferry",
            "/boot/efi",
            "/data/a b",
            "/data/$(id)",
            "/data/`id`",
            "/data/a;b",
            "/data/a\nb",
            "/data/a%i",
            "/data/{a,b}",
            "/data/a:b",
            "/data/a#b",
            "/data/*",
            "/data/~",
            "/data/'x'",
            "/data/\"x\"",
            "/data/\\x",
            "/data/-rf",
            "/data/区",
            "/data/é",
            "/data/a\0b",
            "/data/\u{1b}[2J",
            "~/etcd",
            "/data/a=b",
            "/data/&x",
            "/data/|x",
            "/data/!x",
        ] {
            assert!(text.parse::<DataDir>().is_err(), "{text:?}");
        }
        assert!(format!("/data/{}", "x".repeat(300)).parse::<DataDir>().is_err());
    }
}
