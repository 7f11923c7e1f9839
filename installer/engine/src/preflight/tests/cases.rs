//! For each check: a site on which it passes, what breaks it, and what else that breaks.

use std::collections::BTreeSet;

use super::super::{CHECKS, Findings, Outcome, Severity};
use super::site::World;
use crate::facts::{CgroupVersion, ModuleState, PathFact, PathKind, Protocol, Route, Socket};
use crate::host::Tunnel;

/// How a broken site shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// It fails.
    Failed,
    /// The plan cures it.
    Planned,
}
use Shows::{Failed, Planned};

struct Case {
    id: &'static str,
    /// More lines of the site file, and what makes the check pass there.
    site: &'static str,
    well: fn(&mut World),
    broken: fn(&mut World),
    shows: Shows,
    /// Other checks that such a break fails, rightly.
    also: &'static [&'static str],
}

const fn case(id: &'static str, broken: fn(&mut World)) -> Case {
    Case { id, site: "", well: |_| {}, broken, shows: Failed, also: &[] }
}

const IPVS: &str = "kubernetes: {proxy: ipvs}\n";
const NFTABLES: &str = "kubernetes: {proxy: nftables}\n";
const HOST_ROUTES: &str = "network: {kind: host-routes}\n";
const VIP: &str = "endpoint: {kind: vip, address: 10.0.0.100}\n";

/// One row a check.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        case("site.availability", |w| {
            w.site.hosts[1].roles = vec![crate::site::file::Role::ControlPlane, crate::site::file::Role::Worker];
        }),
        case("site.ports", |w| w.site.registry.port = 10250),
        case("ssh.reach", |w| {
            w.site.hosts[1].roles = vec![crate::site::file::Role::Worker, crate::site::file::Role::Registry];
            w.facts.remove("node2");
        }),
        case("ssh.root", |w| w.facts("node2").account.uid = Some(1000)),
        case("ssh.noise", |w| w.facts("node1").account.noise = vec!["Authorized users only.".into()]),
        case("ssh.tmout", |w| w.facts("node1").account.tmout = vec!["300".into()]),
        case("ssh.sessions", |w| w.facts("node1").sshd.max_sessions = Some(1)),
        case("ssh.forwarding", |w| w.facts("node1").sshd.tunnel = Some(Tunnel::Session)),
        case("ssh.content", |w| w.facts("node1").sshd.tunnel = Some(Tunnel::None("it has no bash".into()))),
        Case { shows: Planned, ..case("ssh.sftp", |w| w.facts("node1").sshd.sftp = None) },
        case("identity.systemd", |w| w.facts("node1").init.systemd = false),
        case("identity.os", |w| w.facts("node1").os.version = "9".into()),
        case("identity.architecture", |w| w.facts("node2").arch = "arm64".into()),
        case("identity.cpu-level", |w| _ = w.facts("node2").cpu_flags.remove("sse4_2")),
        case("identity.hostname", |w| w.facts("node2").identity.hostname = "Node2".into()),
        case("identity.name", |w| w.facts("node2").identity.hostname = "other".into()),
        case("identity.hostname-unique", |w| w.facts("node2").identity.hostname = "node1".into()),
        case("identity.address", |w| w.facts("node2").network.interfaces.get_mut("ens192").unwrap().addresses.clear()),
        Case { shows: Planned, ..case("identity.resolves", |w| w.facts("node2").identity.resolves.clear()) },
        case("identity.machine-id", |w| {
            w.facts("node2").identity.machine_id = w.facts["node1"].identity.machine_id.clone();
        }),
        case("identity.product-uuid", |w| {
            w.facts("node2").identity.product_uuid = w.facts["node1"].identity.product_uuid.clone();
        }),
        case("identity.mac", |w| {
            let mac = w.facts["node1"].network.interfaces["eth0"].mac.clone();
            w.facts("node2").network.interfaces.get_mut("ens192").unwrap().mac = mac;
        }),
        case("resources.cpu", |w| w.facts("node2").cpus = 1),
        case("resources.control-plane-memory", |w| w.facts("node1").memory.total = 3 << 30),
        case("resources.worker-memory", |w| w.facts("node2").memory.total = 1 << 30),
        case("resources.swap", |w| w.facts("node2").memory.swap = 2 << 30),
        case("disk.size", |w| {
            let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
            (space.size, space.available, space.used) = (30 << 30, 25 << 30, 5 << 30);
        }),
        Case {
            also: &["disk.image-space"],
            ..case("disk.used", |w| {
                let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
                (space.used, space.available) = (90 << 30, 8 << 30);
            })
        },
        case("disk.image-collection", |w| {
            let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
            (space.used, space.available) = (38 << 30, 12 << 30);
        }),
        case("disk.registry-space", |w| {
            w.facts("node1").paths.get_mut("/var/lib/ferry-registry").unwrap().space.available = 7 << 30;
        }),
        case("disk.image-space", |w| {
            let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
            (space.used, space.available) = (4 << 30, 8 << 30);
        }),
        case("disk.inodes", |w| {
            let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
            space.inodes_free = space.inodes / 20;
        }),
        case("disk.data-directories", |w| {
            let path = w.facts("node1").paths.get_mut("/var/lib/ferry-volumes").unwrap();
            (path.kind, path.link) = (PathKind::Link, "/data/volumes".into());
        }),
        case("disk.xfs-ftype", |w| w.facts("node2").paths.get_mut("/var/lib").unwrap().space.xfs_ftype = Some(false)),
        case("disk.mount-options", |w| {
            let space = &mut w.facts("node2").paths.get_mut("/var/lib").unwrap().space;
            _ = space.options.insert("noexec".into());
        }),
        case("disk.propagation", |w| {
            w.facts("node2").mounts.iter_mut().filter(|mount| mount.at == "/").for_each(|mount| mount.shared = false);
        }),
        case("disk.etcd-device", |w| {
            let root = w.facts("node1").paths["/"].space.clone();
            w.facts("node1").paths.get_mut("/var/lib/etcd").unwrap().space = root;
        }),
        case("disk.fsync", |w| w.measurements.hosts.get_mut("node1").unwrap().fsync.as_mut().unwrap().p99_ms = 30.0),
        case("time.source", |w| w.facts("node2").time.reachable.clear()),
        case("time.synchronized", |w| w.facts("node2").time.synchronized = Some(false)),
        case("time.skew-small", |w| w.facts("node2").clock.offset_seconds += 1.5),
        case("time.skew", |w| w.facts("node2").clock.offset_seconds += 10.0),
        Case { also: &["time.skew"], ..case("time.skew-strict", |w| w.facts("node2").clock.offset_seconds -= 400.0) },
        case("time.sane", |w| w.needs.made_at = Some(1_800_000_000)),
        case("time.local-stratum", |w| w.all(|facts| facts.time.local_reference = true)),
        case("time.zone", |w| w.facts("node2").time.zone = "Etc/UTC".into()),
        case("kernel.version", |w| w.facts("node2").kernel.version = (3, 10)),
        Case { site: NFTABLES, ..case("kernel.nftables-proxy", |w| w.facts("node2").kernel.version = (5, 12)) }
            .well(|w| w.facts("node2").kernel.version = (5, 14)),
        case("kernel.cgroup-v2", cgroup_v1).well(|w| w.needs.kubernetes = (1, 35)),
        case("kernel.cgroup-v1", cgroup_v1),
        case("kernel.controllers", |w| _ = w.facts("node2").cgroups.controllers.remove("memory")),
        case("kernel.modules", |w| missing(w, &["br_netfilter"])),
        case("kernel.filter-modules", |w| missing(w, &["ip_tables", "nft_compat"])),
        Case { site: IPVS, ..case("kernel.proxy-modules", |w| missing(w, &["ip_vs"])) },
        case("kernel.network-modules", |w| missing(w, &["vxlan"])),
        Case { shows: Planned, ..case("kernel.sysctls", |w| sysctl(w, "net.ipv4.ip_forward", "0")) },
        case("kernel.capabilities", |w| _ = w.facts("node2").capabilities.remove("CAP_NET_ADMIN")),
        Case {
            shows: Planned,
            ..case("kernel.oom-score", |w| _ = w.facts("node2").capabilities.remove("CAP_SYS_RESOURCE"))
        },
        case("kernel.reboot", |w| w.facts("node1").reboot_required = vec!["linux-image-amd64".into()]),
        case("binaries.required", |w| _ = w.facts("node2").binaries.remove("nsenter")),
        case("binaries.optional", |w| _ = w.facts("node2").binaries.remove("socat")),
        case("binaries.conntrack", |w| _ = w.facts("node2").binaries.remove("conntrack"))
            .well(|w| w.needs.kubernetes = (1, 31)),
        case("ports.free", |w| {
            let (address, process) = ("0.0.0.0".parse().unwrap(), "nginx".into());
            w.facts("node1").sockets.push(Socket { protocol: Protocol::Tcp, address, port: 5000, process });
        }),
        case("ports.bind", |w| {
            w.measurements.hosts.get_mut("node1").unwrap().binds[0].error = Some("Address already in use".into());
        }),
        case("ports.node-ports", |w| sysctl(w, "net.ipv4.ip_local_port_range", "1024 65535")),
        case("network.default-route", |w| w.facts("node2").network.routes.retain(|route| route.to.prefix() > 0)),
        case("network.ranges", |w| {
            let (kind, table) = ("unicast".to_owned(), "main".to_owned());
            let (via, device) = (Some("10.0.0.9".parse().unwrap()), Some("ens192".to_owned()));
            w.facts("node2").network.routes.push(Route {
                kind,
                to: "10.96.8.0/24".parse().unwrap(),
                via,
                device,
                table,
            });
        }),
        case("network.mtu", |w| w.facts("node2").network.interfaces.get_mut("ens192").unwrap().mtu = 1400),
        Case {
            site: "network: {interface: eth0}\n",
            ..case("network.interface", |w| _ = w.facts("node1").network.interfaces.remove("eth0"))
        }
        .well(|w| {
            let interface = w.facts["node2"].network.interfaces["ens192"].clone();
            _ = w.facts("node2").network.interfaces.insert("eth0".into(), interface);
        })
        .also(&["identity.address"]),
        Case {
            site: HOST_ROUTES,
            well: |w| w.facts("node2").ferry = vec!["ledger".into()],
            ..case("network.kind", |w| {
                let card = w.facts["node1"].network.interfaces["eth0"].clone();
                let link = crate::facts::Interface { mac: String::new(), addresses: Vec::new(), ..card };
                w.facts("node2").network.interfaces.insert("cali7f3a".into(), link);
            })
        },
        Case {
            site: HOST_ROUTES,
            ..case("network.one-network", |w| {
                let addresses = &mut w.facts("node2").network.interfaces.get_mut("ens192").unwrap().addresses;
                addresses[0] = ("10.0.1.12".parse().unwrap(), 24);
                w.site.hosts[1].internal = "10.0.1.12".parse().unwrap();
                w.facts("node2").names.hosts.clear();
            })
        },
        case("network.proxies", |w| w.facts("node1").proxies = vec!["http_proxy=http://10.0.0.3:3128".into()]),
        Case {
            shows: Planned,
            ..case("network.offload", |w| {
                w.facts("node1").network.interfaces.get_mut("eth0").unwrap().driver = "vmxnet3".into();
            })
        }
        .well(|w| w.facts("node2").network.interfaces.get_mut("ens192").unwrap().driver = "e1000".into()),
        Case { shows: Planned, ..case("network.networkmanager", |w| w.facts("node2").unmanaged_devices.clear()) }
            .well(|w| w.facts("node2").unmanaged_devices = vec!["unmanaged-devices=interface-name:cali*".into()]),
        Case {
            site: VIP,
            ..case("network.virtual-address", |w| {
                let addresses = &mut w.facts("node2").network.interfaces.get_mut("ens192").unwrap().addresses;
                addresses.push(("10.0.0.100".parse().unwrap(), 32));
            })
        },
        case("network.reach", |w| dialled(w, 0, "connection timed out")),
        case("network.payload", |w| dialled(w, 1472, "no answer")),
        Case { shows: Planned, ..case("dns.nameserver", |w| w.facts("node2").names.nameservers.clear()) },
        case("dns.limits", |w| {
            w.facts("node1").names.nameservers =
                ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"].map(String::from).into();
        }),
        case("dns.wildcard", |w| w.facts("node1").names.wildcard = vec!["10.0.0.80".parse().unwrap()]),
        case("dns.own-names", |w| {
            let line = ("10.0.0.77".parse().unwrap(), vec!["registry.demo.local".to_owned()]);
            w.facts("node2").names.hosts.push(line);
        }),
        case("dns.nsswitch", |w| w.facts("node2").names.nsswitch = "dns".into()),
        case("security.selinux", |w| w.facts("node2").security.container_selinux = None),
        Case { shows: Planned, ..case("security.firewalld", |w| w.facts("node2").firewall.firewalld = true) },
        case("security.packet-filter", |w| w.facts("node1").firewall.ufw = true),
        case("security.apparmor", |w| _ = w.facts("node1").binaries.remove("apparmor_parser")),
        case("security.agents", |w| _ = w.facts("node2").services.insert("fapolicyd.service".into())),
        case("leftovers.cluster", |w| w.facts("node2").paths.get_mut("/etc/kubernetes").unwrap().entries = Some(4)),
        case("leftovers.etcd", |w| w.facts("node1").paths.get_mut("/var/lib/etcd").unwrap().entries = Some(1)),
        case("leftovers.registry", |w| path(w, "node1", "/var/lib/ferry-registry").entries = Some(1)),
        case("leftovers.snapshots", |w| path(w, "node1", "/var/backups/ferry/etcd").entries = Some(1)),
        case("leftovers.volumes", |w| path(w, "node2", "/var/lib/ferry-volumes").entries = Some(1)),
        case("leftovers.runtime", |w| _ = w.facts("node2").services.insert("docker.service".into())),
        case("leftovers.package-manager", |w| _ = w.facts("node2").processes.insert("dnf".into())),
        case("leftovers.unattended-upgrades", |w| {
            _ = w.facts("node1").units.insert("unattended-upgrades.service".into(), "enabled".into());
        }),
    ]
}

impl Case {
    fn well(self, well: fn(&mut World)) -> Self {
        Self { well, ..self }
    }
    fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

fn cgroup_v1(world: &mut World) {
    let cgroups = &mut world.facts("node2").cgroups;
    cgroups.version = CgroupVersion::V1;
    cgroups.controllers.extend(["cpuacct", "devices", "freezer"].map(String::from));
}

fn missing(world: &mut World, modules: &[&str]) {
    for module in modules {
        world.facts("node2").modules.insert((*module).to_owned(), ModuleState::Missing);
    }
}

fn sysctl(world: &mut World, name: &str, value: &str) {
    world.facts("node2").sysctls.insert(name.to_owned(), value.to_owned());
}

fn path<'a>(world: &'a mut World, host: &str, path: &str) -> &'a mut PathFact {
    world.facts(host).paths.get_mut(path).unwrap()
}

fn dialled(world: &mut World, bytes: u32, error: &str) {
    let mut found = world.measurements.dialled.iter_mut();
    let one = found.find(|one| one.bytes == bytes && one.dial.protocol == Protocol::Udp).unwrap();
    (one.ms, one.error) = (None, Some(error.to_owned()));
}

/// Ids of checks that stand in the way.
fn blocking(findings: &Findings) -> BTreeSet<&str> {
    let failures = findings.failures().into_iter().filter(|finding| finding.severity != Severity::Warn);
    failures.map(|finding| finding.check.as_str()).collect()
}

fn outcomes<'a>(findings: &'a Findings, id: &str) -> Vec<&'a Outcome> {
    findings.findings.iter().filter(|finding| finding.check == id).map(|finding| &finding.outcome).collect()
}

#[test]
fn every_check_passes_on_a_healthy_site_and_fails_on_one_broken_in_that_way() {
    for case in cases() {
        let id = case.id;
        let mut world = World::with(case.site);
        (case.well)(&mut world);
        let findings = world.check();
        assert!(blocking(&findings).is_empty(), "{id}: the healthy site fails {:?}", findings.failures());
        let well = outcomes(&findings, id);
        let fine = |outcome: &&&Outcome| matches!(outcome, Outcome::Passed { .. } | Outcome::NotApplicable { .. });
        assert_eq!(well.iter().filter(fine).count(), well.len(), "{id} on the healthy site: {well:?}");
        assert!(well.iter().any(|one| matches!(one, Outcome::Passed { .. })), "{id} is never passed: {well:?}");

        (case.broken)(&mut world);
        let findings = world.check();
        let broken = outcomes(&findings, id);
        let shown = broken.iter().any(|outcome| match case.shows {
            Shows::Failed => matches!(outcome, Outcome::Failed { .. }),
            Shows::Planned => matches!(outcome, Outcome::Planned { .. }),
        });
        assert!(shown, "{id} on the broken site: {broken:?}");
        let mut expected: BTreeSet<&str> = case.also.iter().copied().collect();
        let severity = CHECKS.iter().find(|check| check.id == id).map(|check| check.severity);
        if case.shows == Failed && severity != Some(Severity::Warn) {
            expected.insert(id);
        }
        assert_eq!(blocking(&findings), expected, "{id}: {:?}", findings.failures());
    }
}

#[test]
fn every_check_has_a_case_and_a_name_of_its_own() {
    let ids: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    let cases: Vec<&str> = cases().iter().map(|case| case.id).collect();
    assert_eq!(ids, cases, "one case a check, in the order of the registry");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "ids are unique");
    for check in CHECKS {
        let (topic, name) = check.id.split_once('.').expect("topic.name");
        let letters = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        assert!(letters(topic) && letters(name), "{}", check.id);
        assert!(!check.title.is_empty() && !check.fix.is_empty() && !check.fix.ends_with('.'), "{}", check.id);
    }
}
