//! What can be broken on a host, and how it is taken back.
//!
//! A fault is a name and words; [`KINDS`] lists them, [`Fault::steps`] says what each does and where: inside the
//! host, on the lab's side of its cable, in its network namespace, or in its cgroups. What was done is noted beside
//! the host, so that `heal` takes it back in the opposite order. A power cut is no fault but [`super::Driver::kill`].
//! The clock can't be broken: it is the machine's, and the hosts may not set it.

use std::fs;

mod guise;
mod steps;

use super::lab::HostPlace;
use crate::error::Error;

/// A kind of fault: its name, its words, what it is.
struct Kind(&'static str, &'static [&'static str], &'static str);

const KINDS: [Kind; 58] = [
    Kind("link-down", &[], "the cable is out"),
    Kind("slow-link", &["RATE"], "the cable carries no more than RATE (`1mbit`), both ways"),
    Kind("lossy-link", &["PERCENT"], "the cable loses PERCENT of all frames, both ways"),
    Kind("delay", &["MILLISECONDS"], "frames come later (needs a kernel with netem)"),
    Kind("mtu", &["BYTES"], "the host's interface takes smaller packets than the others'"),
    Kind("bastion", &[], "sshd can be reached from host 1 only"),
    Kind("firewall", &["PROTOCOL", "PORT"], "something in between drops what is for this port of the host"),
    Kind("no-default-route", &[], "no route to anywhere else"),
    Kind("route", &["CIDR"], "a route of the site for CIDR, which may be one that the cluster wants"),
    Kind("disk-full", &["MIB"], "no more than MIB MiB are left on /var"),
    Kind("small-disk", &["PATH", "MIB"], "PATH is an empty file system of MIB MiB"),
    Kind("read-only", &["PATH"], "PATH is mounted read-only"),
    Kind("noexec-tmp", &[], "nothing in /tmp can be executed"),
    Kind("noisy-shell", &[], "every shell talks when it starts, and TMOUT is set"),
    Kind("changed-host-key", &[], "sshd has other host keys than before (heal does not bring the old ones back)"),
    Kind("no-sftp", &[], "sshd has no sftp subsystem"),
    Kind("no-forwarding", &[], "sshd forwards no TCP"),
    Kind("max-sessions", &["N"], "sshd allows N sessions on a connection"),
    Kind("umask", &["MASK"], "everybody's files are made with this umask (`077`)"),
    Kind("locale", &["LANG"], "the system speaks LANG (`de_DE.UTF-8`, `zh_CN.UTF-8`)"),
    Kind("hostname", &["NAME"], "the host calls itself NAME (`Node_1`)"),
    Kind("same-machine-id", &[], "the machine-id of a cloned image"),
    Kind("no-resolv-conf", &[], "there is no /etc/resolv.conf (usually it is there and empty)"),
    Kind("nameserver", &["ADDRESS"], "/etc/resolv.conf names this server"),
    Kind("firewalld", &[], "firewalld runs, with the distribution's own rules"),
    Kind("chrony", &[], "chronyd runs, with the distribution's own configuration; it may not set the clock"),
    Kind("leftovers", &[], "another cluster was here: /etc/kubernetes, /var/lib/etcd, CNI configuration"),
    Kind("port-taken", &["PROTOCOL", "PORT"], "something listens there already"),
    Kind("swap", &[], "/proc/swaps shows one (none is really there)"),
    Kind("memory", &["MIB"], "/proc/meminfo shows MIB MiB (there is as much as before)"),
    Kind("cpus", &["LIST"], "the host may use these processors only (`0`)"),
    Kind("missing-tool", &["NAME"], "a program is not installed"),
    Kind("no-module", &["NAME"], "modprobe does not know this module"),
    Kind(
        "sysctl",
        &["KEY", "VALUE"],
        "a kernel setting of the site (`net.ipv4.ip_forward 0`; blanks are written as `:`)",
    ),
    Kind("os", &["ID", "VERSION"], "/etc/os-release names another distribution"),
    Kind("address", &["CIDR"], "the host's interface has this address, too"),
    Kind("small-path", &["BYTES", "HOST"], "what HOST sends to the host is lost if it is bigger than BYTES"),
    Kind("few-inodes", &["PATH"], "PATH is an empty file system with hardly an inode left"),
    Kind("linked", &["PATH"], "PATH is a link to another folder"),
    Kind("private-mounts", &[], "mounts do not propagate from /"),
    Kind("clock", &["SECONDS"], "`date` is off by so many seconds (the clock is the machine's and stays)"),
    Kind("uname", &["OPTION", "VALUE"], "`uname OPTION` says VALUE (`-r 3.10.0`, `-m aarch64`)"),
    Kind("cpu-without", &["FLAG"], "/proc/cpuinfo lacks a flag (`sse4_2`)"),
    Kind("no-controller", &["NAME"], "/proc/cgroups lacks a controller (`memory`)"),
    Kind("no-capability", &["NAME"], "nobody who comes by SSH has this capability (`CAP_MKNOD`)"),
    Kind("service", &["NAME"], "a service of this name runs (`docker`, `NetworkManager`)"),
    Kind("process", &["NAME"], "a process of this name runs (`falcon-sensor`)"),
    Kind("package-lock", &[], "somebody is at work on the packages"),
    Kind("enabled-unit", &["NAME"], "a unit of this name is enabled (`unattended-upgrades.service`)"),
    Kind("port-held", &["PORT"], "something has a TCP port, which no list shows"),
    Kind("reboot-due", &[], "a reboot is asked for"),
    Kind("time-zone", &["ZONE"], "another time zone (`Asia/Shanghai`)"),
    Kind("proxy", &["URL"], "login shells get this http_proxy"),
    Kind("hosts-line", &["ADDRESS", "NAME"], "a line of /etc/hosts"),
    Kind("nsswitch", &["SOURCE"], "host names are looked up there alone (`dns`)"),
    Kind("search-domains", &["COUNT"], "/etc/resolv.conf has so many search domains"),
    Kind("wildcard-dns", &["ADDRESS"], "a name server on the host that knows every name"),
    Kind("drop-policy", &[], "a packet filter whose policy is to drop (and a rule that accepts all)"),
];

/// All faults, for `--help`.
#[must_use]
pub fn help() -> String {
    let line = |Kind(name, words, says): &Kind| format!("  {:<30} {says}\n", format!("{name} {}", words.join(" ")));
    KINDS.iter().map(line).collect()
}

/// Something to break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    name: &'static str,
    words: Vec<String>,
}

/// Where a step is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Where {
    /// As root on the host's console.
    Inside(String),
    /// In the lab's namespace: the host can't see it, and a power cut does not take it back.
    Lab(String),
    /// In the host's network namespace, from outside.
    Namespace(String),
    /// A file of one of the host's cgroups.
    Cgroup {
        /// The hierarchy.
        hierarchy: &'static str,
        /// The file.
        file: &'static str,
        /// What is written to it.
        value: String,
    },
}

/// What a fault does, and what takes it back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Steps {
    pub(super) apply: Vec<Where>,
    pub(super) heal: Vec<Where>,
}

impl Fault {
    /// A fault by its name and words.
    pub fn parse<S: AsRef<str>>(name: &str, words: &[S]) -> Result<Self, Error> {
        let Some(Kind(name, wanted, _)) = KINDS.iter().find(|kind| kind.0 == name) else {
            return Err(Error::Asked(format!("there is no fault {name:?}; there are:\n{}", help())));
        };
        let words: Vec<String> = words.iter().map(|word| word.as_ref().to_owned()).collect();
        // They become words of shell scripts; nothing that is meant needs more than these.
        let plain =
            |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "._/:-".contains(c));
        if words.len() != wanted.len() || !words.iter().all(plain) {
            return Err(Error::Asked(format!("{name} wants {wanted:?}, not {words:?}")));
        }
        Ok(Self { name, words })
    }

    /// A fault as it is written: `firewall tcp 6443`.
    pub fn of(text: &str) -> Result<Self, Error> {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default();
        Self::parse(name, &words.collect::<Vec<_>>())
    }

    /// Notes beside the host that it has this fault.
    pub(super) fn note(&self, host: &HostPlace) -> Result<(), Error> {
        let mut all = fs::read_to_string(host.path("faults")).unwrap_or_default();
        all.push_str(&format!("{self}\n"));
        fs::write(host.path("faults"), all).map_err(Error::file("write", host.path("faults")))
    }

    /// The faults of a host, in the order they came.
    pub(super) fn noted(host: &HostPlace) -> Result<Vec<Self>, Error> {
        fs::read_to_string(host.path("faults")).unwrap_or_default().lines().map(Self::of).collect()
    }

    /// Notes that the host has none.
    pub(super) fn forget(host: &HostPlace) -> Result<(), Error> {
        match fs::remove_file(host.path("faults")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", host.path("faults"))(error))
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::lab::Lab;
    use super::*;
    use crate::place::Place;

    #[test]
    fn each_kind_has_steps_and_a_way_back() {
        let lab = Lab::named(&Place::at("/cache".as_ref()), "lab").unwrap();
        let host = lab.host(2).unwrap();
        for Kind(name, words, _) in &KINDS {
            let fault = Fault::parse(name, &vec!["1"; words.len()]).unwrap();
            assert_eq!(Fault::of(&fault.to_string()).unwrap(), fault);
            let steps = fault.steps(&lab, &host);
            assert!(!steps.apply.is_empty(), "{name} does nothing");
            assert!(!steps.heal.is_empty() || *name == "changed-host-key", "{name} can't be taken back");
            assert!(Fault::parse(name, &vec!["1"; words.len() + 1]).is_err());
        }
    }

    #[test]
    fn words_can_not_become_scripts() {
        assert!(Fault::parse("port-taken", &["tcp", "1; reboot"]).is_err());
        assert!(Fault::parse("no-such", &[""; 0]).unwrap_err().to_string().contains("noexec-tmp"));
    }
}
