//! The facts as data. Stored in journals and plans, so: a version, names that stay, unknown fields tolerated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::model_network::{Firewall, Names, Network, Socket};
use crate::host::Tunnel;

/// Everything that is known of a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The version of this document; 1.
    pub version: u32,
    /// `amd64`, `arm64`, or what `uname -m` says.
    pub arch: String,
    /// The operating system.
    pub os: Os,
    /// Process 1.
    pub init: Init,
    /// The kernel.
    pub kernel: Kernel,
    /// Control groups.
    pub cgroups: Cgroups,
    /// Names of the capabilities that a root process may have (its bounding set), such as `CAP_SYS_ADMIN`.
    pub capabilities: BTreeSet<String>,
    /// Names and numbers that must differ between hosts.
    pub identity: Identity,
    /// Interfaces and routes.
    pub network: Network,
    /// How names are resolved.
    pub names: Names,
    /// How many CPUs are on line.
    pub cpus: u32,
    /// The CPU's name.
    pub cpu_model: String,
    /// Its feature flags.
    pub cpu_flags: BTreeSet<String>,
    /// Memory.
    pub memory: Memory,
    /// What is mounted, in order of mounting.
    pub mounts: Vec<Mount>,
    /// The folders that were asked about, by path.
    pub paths: BTreeMap<String, PathFact>,
    /// The clock.
    pub clock: Clock,
    /// What keeps the clock right.
    pub time: Time,
    /// Kernel settings by dotted name; values with single spaces.
    pub sysctls: BTreeMap<String, String>,
    /// Kernel modules of interest.
    pub modules: BTreeMap<String, ModuleState>,
    /// Programs that are there, with their path (or name, if the shell has them built in).
    pub binaries: BTreeMap<String, String>,
    /// Versions of some programs, as they say them.
    pub versions: BTreeMap<String, String>,
    /// Sockets that wait for connections or datagrams.
    pub sockets: Vec<Socket>,
    /// Units of services that run, such as `sshd.service`.
    pub services: BTreeSet<String>,
    /// Unit files of interest, with their state such as `enabled`.
    pub units: BTreeMap<String, String>,
    /// Names of all processes.
    pub processes: BTreeSet<String>,
    /// Packet filters.
    pub firewall: Firewall,
    /// SELinux, AppArmor.
    pub security: Security,
    /// Lock files of package managers that are held.
    pub package_locks: Vec<String>,
    /// Why a reboot is due, in the system's words; empty if none is.
    pub reboot_required: Vec<String>,
    /// `NAME=value` of proxy settings, without credentials.
    pub proxies: Vec<String>,
    /// sshd's settings.
    pub sshd: Sshd,
    /// Lines of NetworkManager's configuration that name unmanaged devices.
    pub unmanaged_devices: Vec<String>,
    /// What lies in `/var/lib/ferry`.
    pub ferry: Vec<String>,
    /// The id of ferry's install on the host; empty if there is none.
    pub install: String,
    /// The login as root: user, shell settings.
    pub account: Account,
    /// Seconds since boot.
    pub uptime_seconds: u64,
    /// The virtualization, such as `kvm` or `none`.
    pub virtualization: String,
}

/// The operating system, from os-release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Os {
    /// `debian`, `openEuler`, `kylin`, … in lower case.
    pub id: String,
    /// What it resembles, in lower case.
    pub like: Vec<String>,
    /// `12`, `22.03`, …
    pub version: String,
    /// For people.
    pub pretty: String,
}

/// Process 1.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Init {
    /// Whether it is systemd.
    pub systemd: bool,
    /// systemd's version.
    pub version: Option<u32>,
    /// `running`, `degraded`, …
    pub state: String,
    /// The name of process 1.
    pub process: String,
}

/// The kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// Its first two numbers.
    pub version: (u32, u32),
    /// The command line it was booted with.
    pub command_line: String,
}

/// Control groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cgroups {
    /// The version that is mounted at `/sys/fs/cgroup`.
    pub version: CgroupVersion,
    /// The controllers that can be used.
    pub controllers: BTreeSet<String>,
}

/// The version of control groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupVersion {
    /// The legacy hierarchies, or both.
    #[default]
    V1,
    /// The unified hierarchy.
    V2,
}

/// Names and numbers that must differ between hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The host name that is set now.
    pub hostname: String,
    /// The one in `/etc/hostname`.
    pub static_hostname: String,
    /// The full name, or empty.
    pub fqdn: String,
    /// The addresses that its own host name resolves to, on itself.
    pub resolves: Vec<IpAddr>,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The board's UUID, in lower case; empty where it can't be read.
    pub product_uuid: String,
    /// The product's name.
    pub product: String,
    /// The product's vendor.
    pub vendor: String,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// All of it.
    pub total: u64,
    /// What could be had now.
    pub available: u64,
    /// Swap.
    pub swap: u64,
    /// What is used for swapping.
    pub swap_devices: Vec<String>,
}

/// A mounted filesystem.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// Where.
    pub at: String,
    /// Its type.
    pub kind: String,
    /// The device or source.
    pub source: String,
    /// Options of the mount and of the filesystem.
    pub options: BTreeSet<String>,
    /// Whether mounts below it propagate (`shared`).
    pub shared: bool,
}

/// A folder that was asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathFact {
    /// What it is.
    pub kind: PathKind,
    /// Where a link leads.
    pub link: String,
    /// How many entries it has, `lost+found` not counted. `None` where it could not be listed.
    pub entries: Option<u64>,
    /// Permission bits in octal, of it or of the nearest parent that is there.
    pub mode: String,
    /// Parents that others may not pass through (no `x`).
    pub closed_parents: Vec<String>,
    /// Folders above it that others than root can change, so that they could change what lies at this path.
    pub open_parents: Vec<String>,
    /// ferry's mark on it, if it has one: the lines after the first.
    pub data: Option<DataMark>,
    /// Whether ferry's ledger on the host names the folder as one that it has made or changed.
    pub in_ledger: bool,
    /// The filesystem that holds it or would hold it.
    pub space: Space,
}

/// The mark of a data folder, `.ferry-data`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataMark {
    /// The id of the install that took the folder.
    pub install: String,
    /// What it holds.
    pub kind: String,
    /// Its path, as the site file had it then.
    pub path: String,
    /// Whether an uninstall has left it to the next install.
    pub released: bool,
}

/// What a path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// Nothing.
    #[default]
    Missing,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
}

/// A filesystem, as it matters for a folder in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// The device.
    pub device: String,
    /// Where it is mounted.
    pub mounted_at: String,
    /// Bytes in all.
    pub size: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that root may still write.
    pub available: u64,
    /// Inodes in all; 0 where the filesystem does not count them.
    pub inodes: u64,
    /// Inodes left.
    pub inodes_free: u64,
    /// The type.
    pub kind: String,
    /// Mount options.
    pub options: BTreeSet<String>,
    /// XFS only: whether it was made with `ftype=1`.
    pub xfs_ftype: Option<bool>,
}

/// The clock against ours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Clock {
    /// Its time in nanoseconds since 1970, when it began to answer.
    pub epoch_ns: i128,
    /// How far it is ahead of ours, in seconds.
    pub offset_seconds: f64,
    /// By how much the offset may be wrong, in seconds: half the time on the way.
    pub uncertainty_seconds: f64,
}

/// What keeps the clock right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Time {
    /// What the system says about being synchronized; `None` if nothing says so.
    pub synchronized: Option<bool>,
    /// The service that does it, such as `chronyd.service`; empty if none runs.
    pub service: String,
    /// Its sources, by address or name.
    pub sources: Vec<String>,
    /// Its sources that answer.
    pub reachable: Vec<String>,
    /// Whether it follows its own clock (`local stratum`).
    pub local_reference: bool,
    /// The time zone, such as `Asia/Shanghai`.
    pub zone: String,
}

/// Whether the kernel has a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModuleState {
    /// It is loaded (or built in, and shows itself).
    Loaded,
    /// It is part of the kernel.
    Builtin,
    /// `modprobe` would load it.
    Loadable,
    /// It can't be had.
    Missing,
}

/// SELinux and AppArmor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    /// `None`: no SELinux; else whether it is enforcing.
    pub selinux_enforcing: Option<bool>,
    /// The package container-selinux, if it is there.
    pub container_selinux: Option<String>,
    /// Whether AppArmor is on.
    pub apparmor: bool,
}

/// sshd's settings; `None` where they can't be had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sshd {
    /// Sessions per connection.
    pub max_sessions: Option<u32>,
    /// `start:rate:full`.
    pub max_startups: Option<String>,
    /// Whether it passes connections on, by its settings.
    pub tcp_forwarding: Option<bool>,
    /// How connections to ports of the host get through, as it was tried.
    pub tunnel: Option<Tunnel>,
    /// The sftp subsystem, if there is one.
    pub sftp: Option<String>,
}

/// The login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The user id that the script ran with.
    pub uid: Option<u32>,
    /// The user's name.
    pub user: String,
    /// The umask, in octal.
    pub umask: String,
    /// The shell's `TMOUT` and where it is set; empty if it is not.
    pub tmout: Vec<String>,
    /// Lines of sudoers that ask for a terminal.
    pub requiretty: Vec<String>,
    /// What was printed before the script began: noise of the login shell. At most 5 lines.
    pub noise: Vec<String>,
}

/// Something that an earlier installation has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// The path, unit, process or interface.
    pub what: String,
    /// What it says about the host.
    pub why: String,
}
