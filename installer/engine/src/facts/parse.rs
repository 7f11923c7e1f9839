//! From the script's output to [`Facts`]. Pure: the same text and times give the same facts.

use super::frame::Frame;
use super::model::{Account, Clock, Facts, Security, Sshd};
use super::model_network::Firewall;
use super::{parse_network, parse_storage, parse_system};

/// Why the output is no set of facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The first line never came.
    #[error("the answer does not begin with `== ferry-facts`; is the login shell a POSIX shell?")]
    NoBeginning,
    /// A version that this program does not read.
    #[error("the answer has version {0}, 1 is known")]
    Version(String),
    /// The last line never came.
    #[error("the answer ends early, in section {0:?}")]
    Cut(String),
}

/// Reads the output of the script that was sent and whose answer was whole at these times of our clock, in ns since 1970.
pub fn parse(text: &str, sent_ns: i128, received_ns: i128) -> Result<Facts, FactsError> {
    let frame = Frame::read(text)?;
    let mut uname = frame.lines("uname").iter();
    let arch = match uname.next().copied().unwrap_or_default() {
        "x86_64" | "amd64" => "amd64",
        "aarch64" | "arm64" => "arm64",
        other => other,
    };
    Ok(Facts {
        version: 1,
        arch: arch.to_owned(),
        os: parse_system::os(&frame),
        init: parse_system::init(&frame),
        kernel: parse_system::kernel(&frame),
        cgroups: parse_system::cgroups(&frame),
        capabilities: parse_system::capabilities(&frame),
        identity: parse_system::identity(&frame),
        network: parse_network::network(&frame),
        names: parse_network::names(&frame),
        cpus: frame.first("cpus").trim().parse().unwrap_or_default(),
        cpu_model: parse_system::cpuinfo(&frame, &["model name"]),
        cpu_flags: words(&parse_system::cpuinfo(&frame, &["flags", "Features"])),
        memory: parse_storage::memory(&frame),
        mounts: parse_storage::mounts(&frame),
        paths: parse_storage::paths(&frame),
        clock: clock(&frame, sent_ns, received_ns),
        time: parse_system::time(&frame),
        sysctls: frame.pairs("sysctls").map(|(key, value)| (key.to_owned(), single_spaced(value))).collect(),
        modules: parse_system::modules(&frame),
        binaries: frame.pairs("binaries").map(|(name, path)| (name.to_owned(), path.to_owned())).collect(),
        versions: frame.pairs("versions").map(|(name, said)| (name.to_owned(), said.to_owned())).collect(),
        sockets: parse_network::sockets(&frame),
        services: frame.lines("services").iter().map(|line| line.trim().to_owned()).collect(),
        units: parse_system::units(&frame),
        processes: frame.lines("processes").iter().map(|line| (*line).to_owned()).collect(),
        firewall: firewall(&frame),
        security: security(&frame),
        package_locks: owned(frame.lines("locks")),
        reboot_required: owned(frame.lines("reboot")),
        proxies: owned(frame.lines("proxies")),
        sshd: sshd(&frame),
        unmanaged_devices: owned(frame.lines("networkmanager")),
        ferry: owned(frame.lines("ferry")),
        install: frame.first("ferry.install").trim().to_owned(),
        account: account(&frame),
        uptime_seconds: frame.first("uptime").split('.').next().and_then(|s| s.parse().ok()).unwrap_or_default(),
        virtualization: frame.value("identity", "virtual").to_owned(),
    })
}

/// The offset as NTP computes it, from two times here and two times there; a host that can't tell fractions of a
/// second adds half a second of doubt.
#[expect(clippy::cast_precision_loss, reason = "differences of seconds, not of years")]
fn clock(frame: &Frame<'_>, sent: i128, received: i128) -> Clock {
    let read = |section: &str| frame.first(section).trim().parse::<i128>().ok();
    let (Some(begin), Some(end)) = (read("clock.begin"), read("clock.end")) else { return Clock::default() };
    let seconds = |ns: i128| ns as f64 / 1e9;
    let whole_seconds = begin % 1_000_000_000 == 0 && end % 1_000_000_000 == 0;
    let doubt = if whole_seconds { 0.5 } else { 0.0 };
    Clock {
        epoch_ns: begin,
        offset_seconds: seconds((begin - sent) + (end - received)) / 2.0 + doubt,
        uncertainty_seconds: (seconds((received - sent) - (end - begin)) / 2.0).max(0.0) + doubt,
    }
}

fn firewall(frame: &Frame<'_>) -> Firewall {
    let mut table = String::new();
    let mut dropping = Vec::new();
    for line in frame.values("firewall", "nft") {
        if let Some(name) = line.strip_prefix("table ") {
            name.trim_end_matches([' ', '{']).clone_into(&mut table);
        } else if (line.contains("hook input") || line.contains("hook forward")) && line.contains("policy drop") {
            let hook = if line.contains("hook input") { "input" } else { "forward" };
            dropping.push(format!("{table} {hook}"));
        }
    }
    for line in frame.values("firewall", "iptables") {
        if line == "-P INPUT DROP" || line == "-P FORWARD DROP" {
            dropping.push(line.trim_start_matches("-P ").to_lowercase());
        }
    }
    Firewall {
        // A busy host may not answer for its firewall in time; that it runs, systemd says, too.
        firewalld: frame.value("firewall", "firewalld") == "running"
            || frame.lines("services").contains(&"firewalld.service"),
        version: frame.value("firewall", "version").to_owned(),
        zone: frame.value("firewall", "zone").to_owned(),
        ufw: frame.value("firewall", "ufw") == "Status: active",
        dropping,
    }
}

fn security(frame: &Frame<'_>) -> Security {
    let enforce = frame.value("selinux", "enforce");
    Security {
        selinux_enforcing: (!enforce.is_empty()).then_some(enforce == "1"),
        container_selinux: Some(frame.value("selinux", "policy")).filter(|text| !text.is_empty()).map(str::to_owned),
        apparmor: frame.first("apparmor") == "Y",
    }
}

fn sshd(frame: &Frame<'_>) -> Sshd {
    // What sshd itself says goes before what its files say: files have `Match` blocks and defaults.
    let find = |key: &str| {
        ["sshd", "sshd-file"].iter().find_map(|section| {
            frame.lines(section).iter().find_map(|line| {
                let (name, value) = line.trim().split_once(char::is_whitespace)?;
                name.eq_ignore_ascii_case(key).then(|| value.trim().to_owned())
            })
        })
    };
    let sftp = find("subsystem").filter(|value| value.starts_with("sftp"));
    Sshd {
        max_sessions: find("maxsessions").and_then(|value| value.parse().ok()),
        max_startups: find("maxstartups"),
        tcp_forwarding: match find("disableforwarding").as_deref() {
            Some("yes") => Some(false),
            _ => find("allowtcpforwarding").map(|value| value != "no"),
        },
        tunnel: None,
        sftp: sftp.map(|value| value.trim_start_matches("sftp").trim().to_owned()),
    }
}

fn account(frame: &Frame<'_>) -> Account {
    let tmout = frame.values("who", "tmout").filter(|text| !text.is_empty() && *text != "0");
    let files = frame.values("who", "tmout-file");
    Account {
        uid: frame.value("who", "uid").parse().ok(),
        user: frame.value("who", "user").to_owned(),
        umask: frame.value("who", "umask").to_owned(),
        tmout: tmout.chain(files).map(str::to_owned).collect(),
        requiretty: frame.values("who", "sudoers").map(str::to_owned).collect(),
        noise: frame.noise.iter().take(5).map(|line| (*line).to_owned()).collect(),
    }
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().filter(|line| !line.trim().is_empty()).map(|line| (*line).to_owned()).collect()
}

pub(super) fn words<T: FromIterator<String>>(text: &str) -> T {
    text.split_whitespace().map(str::to_owned).collect()
}

fn single_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::{CgroupVersion, ModuleState, PathKind, Protocol};
    use super::*;

    const AT: i128 = 1_795_242_777_000_000_000;

    /// A healthy Debian 12 host.
    pub(crate) fn debian() -> Facts {
        parse(include_str!("fixtures/debian-12.txt"), AT - 200_000_000, AT + 1_000_000_000).unwrap()
    }

    /// A healthy openEuler 22.03 host with firewalld and SELinux on.
    pub(crate) fn open_euler() -> Facts {
        parse(include_str!("fixtures/openeuler-22.03.txt"), AT - 200_000_000, AT + 1_000_000_000).unwrap()
    }

    #[test]
    fn a_debian_host_is_understood() {
        let facts = debian();
        assert_eq!((facts.arch.as_str(), facts.os.id.as_str(), facts.os.version.as_str()), ("amd64", "debian", "12"));
        assert!(facts.init.systemd && facts.init.version == Some(252));
        assert_eq!(facts.cgroups.version, CgroupVersion::V2);
        assert!(facts.cgroups.controllers.contains("memory"));
        assert!(facts.capabilities.contains("CAP_SYS_RESOURCE") && facts.capabilities.contains("CAP_SYS_ADMIN"));
        assert!(facts.clock.offset_seconds.abs() < 0.2, "{:?}", facts.clock);
        assert_eq!(facts.time.synchronized, Some(true));
        let eth = &facts.network.interfaces["eth0"];
        assert_eq!((eth.mtu, eth.driver.as_str()), (1500, "virtio_net"));
        assert_eq!(eth.addresses[0], ("10.0.0.11".parse().unwrap(), 24));
        assert_eq!(facts.network.default_route().unwrap().via, Some("10.0.0.1".parse().unwrap()));
        assert!(facts.sockets.iter().any(|s| s.port == 22 && s.protocol == Protocol::Tcp && s.process == "sshd"));
        assert_eq!(facts.modules["overlay"], ModuleState::Loadable);
        assert!(facts.network.routes.iter().all(|route| route.kind == "unicast"));
        let etcd = &facts.paths["/var/lib/etcd"];
        assert_eq!((etcd.kind, etcd.space.kind.as_str()), (PathKind::Missing, "ext4"));
        assert!(etcd.space.available > 50 << 30 && etcd.space.inodes_free > 0);
    }

    #[test]
    fn an_open_euler_host_is_understood() {
        let facts = open_euler();
        assert_eq!((facts.os.id.as_str(), facts.os.version.as_str()), ("openeuler", "22.03"));
        assert_eq!(facts.cgroups.version, CgroupVersion::V1);
        assert!(facts.firewall.firewalld && facts.firewall.zone == "public");
        assert_eq!(facts.security.selinux_enforcing, Some(true));
        assert!(facts.security.container_selinux.is_some());
        assert_eq!(facts.time.service, "chronyd.service");
        assert_eq!(facts.time.sources, ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(facts.time.reachable, ["10.0.0.5"]);
        assert_eq!(facts.paths["/var/lib"].space.xfs_ftype, Some(true));
        assert_eq!(facts.sshd.max_sessions, Some(10));
    }

    #[test]
    fn facts_are_stored_and_read_again() {
        for facts in [debian(), open_euler()] {
            let text = serde_json::to_string(&facts).unwrap();
            assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
        }
    }

    #[test]
    fn offsets_are_those_of_ntp() {
        let text = |begin: i128, end: i128| {
            format!("== ferry-facts 1\n== clock.begin\n|{begin}\n== clock.end\n|{end}\n== end\n")
        };
        // 3 s ahead, 100 ms there, 400 ms of work, 300 ms back.
        let second = 1_000_000_000;
        let ahead = parse(&text(AT + 3 * second + second / 10, AT + 3 * second + second / 2), AT, AT + second * 4 / 5);
        let clock = ahead.unwrap().clock;
        assert!((clock.offset_seconds - 2.9).abs() < 1e-9, "{clock:?}");
        assert!((clock.uncertainty_seconds - 0.2).abs() < 1e-9, "{clock:?}");
    }

    #[test]
    fn arbitrary_content_is_no_panic() {
        let whole = include_str!("fixtures/debian-12.txt");
        for (index, _) in whole.match_indices('\n').step_by(7) {
            let _ = parse(&whole[..index], AT, AT);
            let spoilt = whole[..index].replace('=', " ").replace("==", "== ") + "\n== end\n";
            let _ = parse(&spoilt, AT, AT);
            let spoilt = format!("{}\n== end\n", whole[..index].replace(|c: char| c.is_ascii_digit(), "9999999"));
            let _ = parse(&spoilt.replace("ferry-facts 9999999", "ferry-facts 1"), AT, AT);
        }
    }
}
