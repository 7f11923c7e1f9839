//! Waivers, thresholds, verdicts, the table, and the documentation.

use std::path::Path;

use super::super::{
    CHECKS, Finding, Findings, Measurements, Outcome, Severity, Silence, Verdict, check, document, render,
};
use super::site::World;
use crate::host::{HostError, HostErrorKind};

fn find<'a>(findings: &'a Findings, id: &str, host: Option<&str>) -> &'a Finding {
    findings.findings.iter().find(|one| one.check == id && one.host.as_deref() == host).unwrap()
}

#[test]
fn what_no_host_tells_is_not_different() {
    for (id, hide) in [
        (
            "identity.product-uuid",
            (|facts: &mut crate::facts::Facts| facts.identity.product_uuid.clear()) as fn(&mut _),
        ),
        ("identity.machine-id", |facts| facts.identity.machine_id.clear()),
        ("identity.hostname-unique", |facts| facts.identity.hostname.clear()),
        ("identity.mac", |facts| facts.network.interfaces.clear()),
    ] {
        for hosts in [vec!["node1", "node2"], vec!["node2"]] {
            let mut world = World::healthy();
            for host in hosts {
                hide(world.facts(host));
            }
            let outcome = find(&world.check(), id, None).outcome.clone();
            assert!(
                matches!(&outcome, Outcome::NotApplicable { reason } if reason.contains("not measured on") && reason.contains("node2")),
                "{id}: {outcome:?}"
            );
        }
    }
}

#[test]
fn waivers_hold_for_their_hosts_and_never_for_strict_checks() {
    let mut world = World::with("waivers:\n- {check: resources.cpu, reason: a test machine, hosts: [node2]}\n");
    world.all(|facts| facts.cpus = 1);
    let findings = world.check();
    assert!(matches!(&find(&findings, "resources.cpu", Some("node1")).outcome, Outcome::Failed { .. }));
    let waived = &find(&findings, "resources.cpu", Some("node2")).outcome;
    assert!(matches!(waived, Outcome::Waived { reason, .. } if reason == "a test machine"));
    assert_eq!(findings.verdict(), Verdict::Waivable);
    world.facts("node1").cpus = 2;
    assert_eq!(world.check().verdict(), Verdict::Ready);

    let mut strict = World::with("waivers:\n- {check: leftovers.etcd, reason: I know}\n");
    strict.facts("node1").paths.get_mut("/var/lib/etcd").unwrap().entries = Some(1);
    assert!(check(&strict.site, &strict.facts, &strict.measurements, &strict.needs).is_err());
    strict.site.waivers.clear();
    assert_eq!(strict.check().verdict(), Verdict::Blocked);
}

#[test]
fn a_folder_for_data_is_taken_only_if_it_is_empty_or_shown_to_be_ferrys() {
    use crate::facts::DataMark;
    let folders = [
        ("leftovers.etcd", "etcd", "/var/lib/etcd"),
        ("leftovers.registry", "registry", "/var/lib/ferry-registry"),
        ("leftovers.snapshots", "snapshots", "/var/backups/ferry/etcd"),
        ("leftovers.volumes", "volumes", "/var/lib/ferry-volumes"),
    ];
    for (id, kind, path) in folders {
        let mark = DataMark { install: "x".into(), kind: kind.into(), path: path.into(), released: false };
        let outlives = matches!(kind, "snapshots" | "volumes");
        // The mark, the install of the host, whether its ledger is there and names the folder, who can change a parent: the outcome.
        let other = DataMark { kind: "y".into(), ..mark.clone() };
        let moved = DataMark { path: "/elsewhere".into(), ..mark.clone() };
        let released = DataMark { released: true, ..mark.clone() };
        let cases = [
            (None, "", false, false, false),
            (None, "", true, false, kind == "volumes"),
            (None, "", true, true, true),
            (Some(mark.clone()), "x", true, true, true),
            (Some(mark.clone()), "z", true, true, false),
            (Some(mark), "", false, false, false),
            (Some(other), "x", true, true, false),
            (Some(moved), "x", true, true, false),
            (Some(released), "", false, false, outlives),
            (Some(DataMark::default()), "", true, true, false),
        ];
        for (mark, install, ledger, named, passes) in cases {
            let mut world = World::healthy();
            let facts = world.facts("node1");
            facts.install = install.into();
            facts.ferry.extend(ledger.then(|| "ledger".to_owned()));
            let fact = facts.paths.get_mut(path).unwrap();
            (fact.entries, fact.data, fact.in_ledger) = (Some(3), mark.clone(), named);
            let outcome = find(&world.check(), id, Some("node1")).outcome.clone();
            assert_eq!(
                matches!(outcome, Outcome::Passed { .. }),
                passes,
                "{id} {mark:?} {install} {ledger} {named}: {outcome:?}"
            );
            if !passes {
                assert_eq!(world.check().verdict(), Verdict::Blocked, "{id}: it is strict");
            }
            let fact = world.facts("node1").paths.get_mut(path).unwrap();
            fact.open_parents = vec!["/home/alice".into()];
            let outcome = find(&world.check(), id, Some("node1")).outcome.clone();
            assert!(
                matches!(outcome, Outcome::Failed { evidence, .. } if evidence.contains("lies in /home/alice")),
                "{id}"
            );
        }
    }
}

#[test]
fn thresholds_of_the_site_count() {
    let mut world = World::with("thresholds: {resources.cpu: 16, disk.size: 10}\n");
    let findings = world.check();
    let cpu = &find(&findings, "resources.cpu", Some("node1")).outcome;
    assert!(matches!(cpu, Outcome::Failed { evidence, .. } if evidence == "8, at least 16"));
    world.site.thresholds.clear();
    assert_eq!(world.check().verdict(), Verdict::Ready);
}

#[test]
fn what_was_not_measured_never_passes() {
    let mut world = World::healthy();
    world.measurements =
        Measurements { not_measured: Some("the bundle has no probe".into()), ..Measurements::default() };
    let findings = world.check();
    for id in ["ports.bind", "disk.fsync", "network.reach", "network.payload"] {
        for finding in findings.findings.iter().filter(|finding| finding.check == id) {
            assert!(matches!(&finding.outcome, Outcome::NotApplicable { .. }), "{finding:?}");
        }
    }
    let fsync = &find(&findings, "disk.fsync", Some("node1")).outcome;
    assert!(matches!(fsync, Outcome::NotApplicable { reason } if reason == "not measured: the bundle has no probe"));
}

#[test]
fn hosts_that_say_nothing_are_named_with_what_helps() {
    let mut world = World::healthy();
    world.facts.remove("node1");
    world.facts.remove("node2");
    let (address, why) = ("10.0.0.11:22".to_owned(), "connection refused".to_owned());
    let away = HostError::new("node1", HostErrorKind::Unreachable { address, why });
    let refused = HostError::new("node2", HostErrorKind::Privilege("sudo wants a password".into()));
    world.measurements.silent =
        [&away, &refused].map(|error| (error.host.clone(), Silence::from(error))).into_iter().collect();
    let findings = world.check();
    let outcome = |id: &str, host: &str| find(&findings, id, Some(host)).outcome.clone();
    let failed = |evidence: &str, fix: &str| Outcome::Failed { evidence: evidence.into(), fix: fix.into() };
    let unreachable =
        failed("can't reach 10.0.0.11:22: connection refused", "check address, port, bastions, and that sshd runs");
    assert_eq!(outcome("ssh.reach", "node1"), unreachable);
    assert!(matches!(outcome("ssh.root", "node1"), Outcome::NotApplicable { .. }));
    assert!(matches!(outcome("ssh.reach", "node2"), Outcome::Passed { .. }));
    let rootless = failed("can't become root: sudo wants a password", "set `privilege`: sudo, sudoPassword or su");
    assert_eq!(outcome("ssh.root", "node2"), rootless);
    assert_eq!(findings.verdict(), Verdict::Blocked);
}

#[test]
fn a_worker_that_is_away_is_owed_its_steps_and_stops_nobody() {
    let mut world = World::healthy();
    world.facts.remove("node2");
    let away = HostError::new("node2", HostErrorKind::Lost("connection reset".into()));
    for silence in [None, Some(Silence::from(&away))] {
        world.measurements.silent = silence.into_iter().map(|silence| ("node2".to_owned(), silence)).collect();
        let findings = world.check();
        assert!(matches!(find(&findings, "ssh.reach", Some("node2")).outcome, Outcome::Planned { .. }));
        assert_eq!(findings.verdict(), Verdict::Ready, "{:?}", findings.failures());
    }
}

#[test]
fn what_ferry_has_started_itself_is_no_leftover() {
    let mut world = World::healthy();
    let facts = world.facts("node1");
    facts.ferry = vec!["ledger".into()];
    let etcd = facts.paths.get_mut("/var/lib/etcd").unwrap();
    (etcd.entries, etcd.in_ledger) = (Some(1), true);
    facts.paths.get_mut("/etc/kubernetes").unwrap().entries = Some(3);
    facts.processes.insert("kubelet".into());
    facts.services.insert("containerd.service".into());
    facts.firewall.dropping = vec!["ip filter forward".into()];
    assert_eq!(world.check().verdict(), Verdict::Ready);
}

#[test]
fn the_traps_of_small_hosts_are_planned_around() {
    let mut world = World::healthy();
    world.site.hosts.truncate(1);
    world.facts.remove("node2");
    let facts = world.facts("node1");
    facts.capabilities.remove("CAP_SYS_RESOURCE");
    facts.names.resolv_conf = false;
    facts.names.nameservers.clear();
    facts.sysctls.insert("net.ipv4.ip_forward".into(), "0".into());
    facts.sysctls.remove("net.bridge.bridge-nf-call-iptables");
    let findings = world.check();
    assert_eq!(findings.verdict(), Verdict::Ready, "{:?}", findings.failures());
    let planned = findings.findings.iter().filter(|one| matches!(one.outcome, Outcome::Planned { .. }));
    let planned: Vec<&str> = planned.map(|one| one.check.as_str()).collect();
    assert_eq!(planned, ["kernel.sysctls", "kernel.oom-score", "dns.nameserver"]);
}

#[test]
fn the_table_fits_and_says_how_to_cure() {
    let mut world = World::with("waivers:\n- {check: time.source, reason: there is no time server on this ship}\n");
    world.facts("node1").memory.total = 3 << 30;
    world.facts("node1").paths.get_mut("/var/lib/etcd").unwrap().entries = Some(1);
    world.facts("node2").time.reachable.clear();
    world.facts("node2").capabilities.remove("CAP_SYS_RESOURCE");
    world.facts("node2").account.noise = vec!["\u{1b}[31mWelcome\u{1b}[0m ".repeat(20)];
    let text = render(&world.check());
    for line in text.lines() {
        assert!(line.chars().count() <= 100 && !line.ends_with(' ') && !line.contains('\u{1b}'), "{line:?}");
    }
    for expected in [
        "ok     kernel.version                 node1           6.1.0-25-amd64",
        "FAIL   resources.control-plane-memory node1           3072 MiB, at least 3600",
        "STRICT leftovers.etcd                 node1           /var/lib/etcd has 1 entries",
        "       fix: save what is in it, and move it away",
        "waived time.source                    node2           chronyd.service: none of 10.0.0.5, 10.0.0.6",
        "       because: there is no time server on this ship",
        "plan   kernel.oom-score               node2           no CAP_SYS_RESOURCE",
        "       ferry: sets restrict_oom_score_adj = true in containerd",
        "ok     identity.systemd               node1",
        "2 failed, of which 1 strict",
        "not ready: the strict failures have to be cured",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let swap = text.lines().find(|line| line.contains("resources.swap")).unwrap();
    assert_eq!(swap, "ok     resources.swap                 all             no swap");
}

#[test]
fn findings_are_stored_and_read_again() {
    let findings = World::healthy().check();
    let text = serde_json::to_string(&findings).unwrap();
    assert_eq!(serde_json::from_str::<Findings>(&text).unwrap(), findings);
    assert!(text.contains(r#"{"check":"kernel.version","title":"the kernel is 4.19 or newer","severity":"fail","host":"node1","outcome":{"result":"passed","evidence":"6.1.0-25-amd64"}}"#), "{text}");
}

#[test]
fn limits_are_of_checks_that_say_their_unit() {
    for check in CHECKS {
        assert!(check.limit.is_none_or(|limit| limit.value > 0.0 && !limit.unit.is_empty()), "{}", check.id);
        assert!(
            check.severity == Severity::Strict || check.severity == Severity::Fail || check.severity == Severity::Warn
        );
    }
}

/// The table in the documentation is the registry. `FERRY_WRITE_DOCS=1` writes it anew.
#[test]
fn the_documentation_lists_every_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/preflight.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- checks: made from the registry -->\n", "<!-- end of checks -->\n");
    let (head, rest) = text.split_once(begin).expect("the beginning of the table");
    let (table, tail) = rest.split_once(end).expect("the end of the table");
    if std::env::var_os("FERRY_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{head}{begin}{}{end}{tail}", document())).unwrap();
        return;
    }
    assert!(table == document(), "docs/preflight.md is out of date: run this test with FERRY_WRITE_DOCS=1");
}

#[test]
fn chrony_is_planned_where_it_is_there_and_can_work() {
    let mut world = World::with("time: {internal: true}\n");
    world.all(|facts| {
        facts.time.service.clear();
        facts.time.reachable.clear();
        facts.time.synchronized = Some(false);
        facts.binaries.insert("chronyc".into(), "/usr/bin/chronyc".into());
        facts.capabilities.insert("CAP_SYS_TIME".into());
    });
    let outcome = |world: &World, check: &str| find(&world.check(), check, Some("node2")).outcome.clone();
    let planned = "configures chrony to follow 10.0.0.11";
    assert!(matches!(outcome(&world, "time.source"), Outcome::Planned { plan, .. } if plan == planned));
    assert!(matches!(outcome(&world, "time.synchronized"), Outcome::Planned { .. }));
    world.facts("node2").time.service = "ntpd.service".into();
    assert!(matches!(outcome(&world, "time.source"), Outcome::Failed { fix, .. } if fix.contains("ntpd.service")));
    world.facts("node2").time.service.clear();
    _ = world.facts("node2").capabilities.remove("CAP_SYS_TIME");
    assert!(
        matches!(outcome(&world, "time.source"), Outcome::Failed { evidence, .. } if evidence.contains("CAP_SYS_TIME"))
    );
    _ = world.facts("node2").binaries.remove("chronyc");
    assert!(
        matches!(outcome(&world, "time.source"), Outcome::Failed { fix, .. } if fix.contains("install the package chrony"))
    );
}

#[test]
fn a_firewall_that_is_too_old_or_silent_is_the_operators() {
    let mut world = World::healthy();
    world.facts("node2").firewall.firewalld = true;
    for (version, says) in [("0.8.2", "firewall-cmd --permanent"), ("", "try again")] {
        world.facts("node2").firewall.version = version.into();
        let outcome = find(&world.check(), "security.firewalld", Some("node2")).outcome.clone();
        assert!(matches!(outcome, Outcome::Failed { fix, .. } if fix.contains(says)), "{version}");
    }
}

#[test]
fn what_could_not_be_read_is_not_taken_for_nothing() {
    let mut world = World::healthy();
    let etcd = world.facts("node1").paths.get_mut("/var/lib/etcd").unwrap();
    (etcd.entries, etcd.kind) = (None, crate::facts::PathKind::Folder);
    let findings = world.check();
    let Outcome::Failed { evidence, .. } = &find(&findings, "leftovers.etcd", Some("node1")).outcome else {
        panic!("a folder that could not be listed is not empty");
    };
    assert_eq!(evidence, "/var/lib/etcd could not be listed");
    // The same for a cluster's folders, and for a size that no link has.
    let mut world = World::healthy();
    let folder = world.facts("node2").paths.get_mut("/etc/kubernetes").unwrap();
    (folder.entries, folder.kind) = (None, crate::facts::PathKind::Folder);
    assert!(matches!(&find(&world.check(), "leftovers.cluster", Some("node2")).outcome, Outcome::Failed { .. }));
    let mut world = World::healthy();
    world.all(|facts| facts.network.interfaces.values_mut().for_each(|interface| interface.mtu = 0));
    assert!(matches!(&find(&world.check(), "network.mtu", None).outcome, Outcome::NotApplicable { .. }));
}
