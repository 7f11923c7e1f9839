//! What differs between distributions: families, the releases that ferry is made for, names of packages.
//!
//! Everything else treats hosts alike. A new distribution is a row here.

mod packages;

pub use packages::packages_of;

use crate::facts::Os;

/// A family: which package manager, which names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian, Ubuntu, UOS, …: dpkg and apt.
    Debian,
    /// RHEL, openEuler, Kylin, …: rpm and dnf.
    RedHat,
    /// Something else.
    Other,
}

/// Releases that ferry is made for: the id, and what the version begins with.
pub const RELEASES: [(&str, &[&str]); 15] = [
    ("debian", &["11", "12", "13"]),
    ("ubuntu", &["20.04", "22.04", "24.04"]),
    ("uos", &["20"]),
    ("rhel", &["8", "9", "10"]),
    ("centos", &["8", "9", "10"]),
    ("rocky", &["8", "9", "10"]),
    ("almalinux", &["8", "9", "10"]),
    ("ol", &["8", "9", "10"]),
    ("openeuler", &["22.03", "24.03"]),
    ("kylin", &["V10", "v10", "V11", "v11"]),
    ("anolis", &["8", "23"]),
    ("alinux", &["3"]),
    ("tencentos", &["3", "4"]),
    ("fedora", &["4"]),
    ("bclinux", &["21.10", "22.10"]),
];

/// Words of os-release that tell an rpm system.
const RPM_LIKE: [&str; 14] = [
    "rhel",
    "fedora",
    "centos",
    "rocky",
    "almalinux",
    "ol",
    "openeuler",
    "kylin",
    "anolis",
    "alinux",
    "tencentos",
    "bclinux",
    "suse",
    "opensuse",
];

/// The family of a system.
#[must_use]
pub fn family(os: &Os) -> Family {
    let names = || std::iter::once(os.id.as_str()).chain(os.like.iter().map(String::as_str));
    if names().any(|name| ["debian", "ubuntu", "uos", "deepin"].contains(&name)) {
        Family::Debian
    } else if names().any(|name| RPM_LIKE.contains(&name)) {
        Family::RedHat
    } else {
        Family::Other
    }
}

/// Whether ferry is made for this release.
#[must_use]
pub fn is_supported(os: &Os) -> bool {
    let at_end = |rest: &str| rest.is_empty() || rest.starts_with(['.', ' ', '-']);
    let release = |begins: &str| os.version.strip_prefix(begins).is_some_and(|rest| at_end(rest) || begins == "4");
    RELEASES.iter().any(|(id, versions)| *id == os.id && versions.iter().any(|begins| release(begins)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(id: &str, version: &str, like: &str) -> Os {
        let like = like.split_whitespace().map(str::to_owned).collect();
        Os { id: id.into(), version: version.into(), like, pretty: String::new() }
    }

    #[test]
    fn families_and_releases_are_known() {
        assert_eq!(family(&os("debian", "12", "")), Family::Debian);
        assert_eq!(family(&os("linuxmint", "21", "ubuntu debian")), Family::Debian);
        assert_eq!(family(&os("openeuler", "22.03", "")), Family::RedHat);
        assert_eq!(family(&os("arch", "", "")), Family::Other);
        for (id, version) in
            [("debian", "12"), ("ubuntu", "22.04"), ("rhel", "9.4"), ("kylin", "V10"), ("fedora", "42")]
        {
            assert!(is_supported(&os(id, version, "")), "{id} {version}");
        }
        for (id, version) in [("debian", "9"), ("debian", "120"), ("ubuntu", "22.10"), ("arch", ""), ("rhel", "7.9")] {
            assert!(!is_supported(&os(id, version, "")), "{id} {version}");
        }
    }
}
