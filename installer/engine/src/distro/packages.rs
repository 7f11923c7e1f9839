//! Which package brings a program.

use super::Family;

/// Program, package of the Debian family, package of the rpm family.
const PACKAGES: [(&str, &str, &str); 19] = [
    ("ip", "iproute2", "iproute"),
    ("tc", "iproute2", "iproute-tc"),
    ("iptables", "iptables", "iptables"),
    ("nft", "nftables", "nftables"),
    ("mount", "mount", "util-linux"),
    ("umount", "mount", "util-linux"),
    ("nsenter", "util-linux", "util-linux"),
    ("flock", "util-linux", "util-linux"),
    ("modprobe", "kmod", "kmod"),
    ("sysctl", "procps", "procps-ng"),
    ("sha256sum", "coreutils", "coreutils"),
    ("touch", "coreutils", "coreutils"),
    ("systemctl", "systemd", "systemd"),
    ("tar", "tar", "tar"),
    ("conntrack", "conntrack", "conntrack-tools"),
    ("socat", "socat", "socat"),
    ("ethtool", "ethtool", "ethtool"),
    ("ebtables", "ebtables", "ebtables"),
    ("apparmor_parser", "apparmor", "apparmor-parser"),
];

/// The packages that bring these programs, each once; a program of no known package stands for itself.
#[must_use]
pub fn packages_of(programs: &[&str], family: Family) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for program in programs {
        let row = PACKAGES.iter().find(|(name, ..)| name == program);
        let package = match (row, family) {
            (Some((_, debian, _)), Family::Debian) => debian,
            (Some((_, _, rpm)), Family::RedHat) => rpm,
            _ => program,
        };
        if !found.iter().any(|one| one == package) {
            found.push((*package).to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_once_and_by_family() {
        assert_eq!(packages_of(&["ip", "tc", "conntrack"], Family::Debian), ["iproute2", "conntrack"]);
        assert_eq!(packages_of(&["ip", "conntrack", "x"], Family::RedHat), ["iproute", "conntrack-tools", "x"]);
        assert_eq!(packages_of(&["ip"], Family::Other), ["ip"]);
    }
}
