//! The sections about the system itself: OS, init, kernel, control groups, capabilities, names, time, modules.

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Frame;
use super::model::{CgroupVersion, Cgroups, Identity, Init, Kernel, ModuleState, Os, Time};
use super::parse::words;

/// Capabilities by their bit (linux/capability.h).
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Services that keep a clock right, the one that is asked for sources first.
const TIME_SERVICES: [&str; 7] = [
    "chronyd.service",
    "chrony.service",
    "ntpd.service",
    "ntp.service",
    "ntpsec.service",
    "systemd-timesyncd.service",
    "openntpd.service",
];

pub(super) fn os(frame: &Frame<'_>) -> Os {
    let get = |key: &str| frame.value("os-release", key).trim_matches(['"', '\'']).to_owned();
    Os {
        id: get("ID").to_lowercase(),
        like: words(&get("ID_LIKE").to_lowercase()),
        version: get("VERSION_ID"),
        pretty: get("PRETTY_NAME"),
    }
}

pub(super) fn init(frame: &Frame<'_>) -> Init {
    let process = frame.value("init", "comm");
    let version = frame.value("init", "version").split_whitespace().nth(1);
    let number = version.map(|text| text.chars().take_while(char::is_ascii_digit).collect::<String>());
    Init {
        systemd: process == "systemd" && frame.value("init", "booted") == "yes",
        version: number.and_then(|text| text.parse().ok()),
        state: frame.value("init", "state").to_owned(),
        process: process.to_owned(),
    }
}

pub(super) fn kernel(frame: &Frame<'_>) -> Kernel {
    let release = frame.lines("uname").get(1).copied().unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or_default());
    Kernel {
        release: release.to_owned(),
        version: (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()),
        command_line: frame.first("cmdline").to_owned(),
    }
}

pub(super) fn cgroups(frame: &Frame<'_>) -> Cgroups {
    if frame.first("cgroup") == "v2" {
        let controllers = frame.lines("cgroup").get(1).map(|line| words(line)).unwrap_or_default();
        return Cgroups { version: CgroupVersion::V2, controllers };
    }
    // `name hierarchy groups enabled`
    let rows = frame.lines("cgroups").iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let on = rows.filter(|row| row.get(3) == Some(&"1") && !row[0].starts_with('#'));
    Cgroups { version: CgroupVersion::V1, controllers: on.map(|row| row[0].to_owned()).collect() }
}

pub(super) fn capabilities(frame: &Frame<'_>) -> BTreeSet<String> {
    let bounding = frame.lines("status").iter().find_map(|line| line.strip_prefix("CapBnd:"));
    let bits = bounding.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default();
    let named = CAPABILITIES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    named.map(|(_, name)| (*name).to_owned()).collect()
}

pub(super) fn identity(frame: &Frame<'_>) -> Identity {
    let get = |key: &str| frame.value("identity", key).to_owned();
    Identity {
        hostname: get("hostname"),
        static_hostname: get("static"),
        fqdn: get("fqdn"),
        resolves: frame.values("identity", "resolves").filter_map(|text| text.parse().ok()).collect(),
        machine_id: get("machine-id"),
        product_uuid: get("product-uuid").to_lowercase(),
        product: get("product"),
        vendor: get("vendor"),
    }
}

/// The value of the first of these keys in the CPU's description.
pub(super) fn cpuinfo(frame: &Frame<'_>, keys: &[&str]) -> String {
    let lines = frame.lines("cpuinfo").iter().filter_map(|line| line.split_once(':'));
    let found = lines.filter(|(key, _)| keys.contains(&key.trim())).map(|(_, value)| value.trim().to_owned());
    found.into_iter().next().unwrap_or_default()
}

pub(super) fn modules(frame: &Frame<'_>) -> BTreeMap<String, ModuleState> {
    let state = |text: &str| match text {
        "loaded" => ModuleState::Loaded,
        "builtin" => ModuleState::Builtin,
        "loadable" => ModuleState::Loadable,
        _ => ModuleState::Missing,
    };
    frame.pairs("modules").map(|(name, text)| (name.to_owned(), state(text))).collect()
}

pub(super) fn units(frame: &Frame<'_>) -> BTreeMap<String, String> {
    let rows = frame.lines("units").iter().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() >= 2).map(|row| (row[0].to_owned(), row[1].to_owned())).collect()
}

pub(super) fn time(frame: &Frame<'_>) -> Time {
    let running: Vec<&str> = frame.lines("services").iter().map(|line| line.trim()).collect();
    let service = TIME_SERVICES.iter().find(|name| running.contains(name)).copied().unwrap_or_default();
    let mut time = Time {
        synchronized: match frame.value("time", "NTPSynchronized") {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        },
        service: service.to_owned(),
        zone: zone(frame),
        ..Time::default()
    };
    chrony(frame, &mut time);
    ntpq(frame, &mut time);
    if service.contains("timesyncd") {
        let server = [frame.value("time", "ServerAddress"), frame.value("time", "ServerName")];
        if let Some(server) = server.into_iter().find(|text| !text.is_empty()) {
            time.sources.push(server.to_owned());
            if time.synchronized == Some(true) {
                time.reachable.push(server.to_owned());
            }
        }
        for key in ["SystemNTPServers", "LinkNTPServers"] {
            time.sources.extend(frame.value("time", key).split_whitespace().map(str::to_owned));
        }
    }
    time
}

fn zone(frame: &Frame<'_>) -> String {
    let said = frame.value("time", "Timezone");
    let link = frame.value("time", "localtime").split_once("zoneinfo/").map_or("", |(_, zone)| zone);
    if said.is_empty() { link } else { said }.to_owned()
}

/// Lines of `chronyc -n -c`: sources begin with a mode character (`^` server, `=` peer, `#` local clock) and a state
/// (`*` chosen, `+` combined, `-` left out, `?` silent, `x` false, `~` unstable); the tracking line begins with an id.
fn chrony(frame: &Frame<'_>, time: &mut Time) {
    for line in frame.lines("chrony") {
        let fields: Vec<&str> = line.split(',').collect();
        match fields.as_slice() {
            ["^" | "=", state, address, ..] => {
                time.sources.push((*address).to_owned());
                if ["*", "+", "-"].contains(state) {
                    time.reachable.push((*address).to_owned());
                }
            }
            ["#", ..] => {}
            // id, address, stratum, …, leap status
            [id, ..] if fields.len() > 10 => {
                time.local_reference |= id.eq_ignore_ascii_case("7F7F0101");
                if fields.last() == Some(&"Not synchronised") {
                    time.synchronized = Some(false);
                }
            }
            _ => {}
        }
    }
}

/// Lines of `ntpq -pn`: a tally character, then the address; `*` is the one that is followed.
fn ntpq(frame: &Frame<'_>, time: &mut Time) {
    for line in frame.lines("ntpq").iter().filter(|line| !line.contains("remote") && !line.starts_with("==")) {
        let Some(tally) = line.chars().next() else { continue };
        let Some(address) = line[tally.len_utf8()..].split_whitespace().next() else { continue };
        if address.starts_with("127.127.1.") {
            time.local_reference |= tally == '*';
            continue;
        }
        time.sources.push(address.to_owned());
        if ['*', '+', 'o', '-'].contains(&tally) {
            time.reachable.push(address.to_owned());
        }
    }
}
