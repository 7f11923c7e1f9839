//! Every check passes on a healthy node and fails on one that is ill in just that way; runs clean up, stop, waive, choose.

mod absent;
mod scripted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferry_bundle_format::{Arch, Digest};
use ferry_engine::accept::{self, AcceptNeeds, CHECKS, Verdicts};
use ferry_engine::event::{Display, Event, Verdict};
use ferry_engine::host::{Host, Redactor};
use ferry_engine::journal::{self, Journal};
use ferry_engine::site::{self, Site};

use scripted::Scripted;
use scripted::node::{self, API, Authorities, Authority, LATER, OK, captured};
use scripted::probe::{self, Ill};

const SITE: &str = "apiVersion: ferry.dev/v1
kind: Site
cluster: lab
domain: lab.local
vault: {passphrase: {env: X}}
hosts:
- {name: node1, address: 10.77.0.11, roles: [control-plane, worker, etcd, registry]}
network: {kind: host-routes}
time: {servers: [10.77.0.1]}
dns: {names: {extra.lab.local: 10.77.0.11}, wildcards: {apps.lab.local: 10.77.0.50}}
";
/// The disk of the machine that the metrics were captured on is slow.
const SLOW_DISK: &str = "thresholds: {etcd.fsync: 100, etcd.commit: 200, volume.bind: 1}\n";

struct Quiet;
impl Display for Quiet {
    fn show(&self, _: &Event) {}
}

struct Ward {
    authorities: Authorities,
    needs: AcceptNeeds,
    probe: Digest,
}

impl Ward {
    fn new() -> Self {
        let authorities = Authorities {
            cluster: Authority::new("kubernetes"),
            etcd: Authority::new("etcd-ca"),
            registry: Authority::new("ferry-registry-ca"),
        };
        let probe = Digest::of(b"the probe's manifest");
        let needs = AcceptNeeds {
            kubernetes: Some("v1.34.4".into()),
            containerd: Some("v2.2.7".into()),
            images: captured("digests.txt").lines().map(|line| Digest::parse(line).unwrap()).collect(),
            probe: BTreeMap::from([(Arch::Amd64, probe)]),
            cluster_ca: authorities.cluster.pem(),
            etcd_ca: authorities.etcd.pem(),
            registry_ca: authorities.registry.pem(),
            patience: Duration::ZERO,
            ..AcceptNeeds::default()
        };
        Self { authorities, needs, probe }
    }

    fn healthy(&self) -> Scripted {
        node::healthy(&self.authorities, &self.probe.to_string())
    }
}

fn site(more: &str) -> Site {
    site::read(Path::new("site.yaml"), &format!("{SITE}{more}")).expect("a site")
}

async fn run(site: &Site, host: Scripted, needs: &AcceptNeeds) -> (Verdicts, Vec<Event>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let journal = Journal::open(&path, Arc::new(Quiet), Redactor::default()).unwrap();
    let hosts: BTreeMap<String, Arc<dyn Host>> =
        BTreeMap::from([("node1".to_owned(), Arc::new(host) as Arc<dyn Host>)]);
    let verdicts = accept::run(site, &hosts, &journal, needs).await;
    (verdicts, journal::read(&path).unwrap().records.into_iter().map(|record| record.event).collect())
}

#[tokio::test]
async fn a_healthy_node_passes_every_check() {
    let ward = Ward::new();
    let host = ward.healthy();
    let (verdicts, events) = run(&site(SLOW_DISK), host.clone(), &ward.needs).await;
    for (check, finding) in &verdicts.findings {
        assert_eq!(finding.verdict, Verdict::Passed, "{check} {}: {}", finding.subject, finding.evidence);
        assert!(!finding.evidence.is_empty(), "{check} has evidence");
    }
    let checked: BTreeSet<&str> = verdicts.findings.iter().map(|one| one.0).collect();
    assert_eq!(checked, CHECKS.iter().map(|check| check.id).collect(), "every check says something");
    assert!(verdicts.well());
    assert_eq!(events.len(), verdicts.findings.len(), "every finding is written down");
    let ran = host.ran();
    let deletes =
        ran.iter().filter(|script| script.contains("delete namespace ferry-accept --ignore-not-found")).count();
    assert_eq!(deletes, 2, "what an earlier run left, and what this one made");
    let applied: String = ran.iter().filter(|script| script.contains("apply -f -")).cloned().collect();
    assert!(
        applied.contains("\"runAsNonRoot\":true") && applied.contains("IfNotPresent") && applied.contains("@sha256:")
    );
    assert!(!ran.iter().any(|script| script.contains("ETCDCTL_API")), "etcdctl 3.6 complains about it");
}

/// A node is Ready while the daemon that carries its pods' packets is dead.
#[tokio::test]
async fn the_networks_daemon_is_asked_on_every_node() {
    let ward = Ward::new();
    for (kind, port) in [("calico", 9099), ("flannel", 10260)] {
        let text = format!("{SITE}{SLOW_DISK}").replace("kind: host-routes", &format!("kind: {kind}"));
        let site = site::read(Path::new("site.yaml"), &text).expect("a site");
        let verdict = |verdicts: &Verdicts| {
            let found = verdicts.findings.iter().find(|one| one.0 == "network.daemon").expect("it is asked");
            (found.1.verdict, found.1.evidence.clone())
        };
        let dead = run(&site, ward.healthy(), &ward.needs).await.0;
        assert_eq!(verdict(&dead).0, Verdict::Failed, "{}", verdict(&dead).1);
        let ill = ward.healthy().serves(port, node::plain("HTTP/1.0 503 Service Unavailable\r\n\r\n".into()));
        assert!(verdict(&run(&site, ill, &ward.needs).await.0).1.contains("answers 503"));
        let well = ward.healthy().serves(port, node::plain("HTTP/1.0 204 No Content\r\n\r\n".into()));
        assert_eq!(verdict(&run(&site, well, &ward.needs).await.0).0, Verdict::Passed);
    }
}

type Harm = Box<dyn Fn(&Ward, Scripted) -> Scripted>;

/// A way to be ill, and what the finding must speak of.
struct Case {
    check: &'static str,
    says: &'static str,
    site: &'static str,
    harm: Harm,
}

fn case(check: &'static str, says: &'static str, harm: impl Fn(&Ward, Scripted) -> Scripted + 'static) -> Case {
    Case { check, says, site: SLOW_DISK, harm: Box::new(harm) }
}

fn nodes(change: &'static [(&'static str, &'static str)]) -> impl Fn(&Ward, Scripted) -> Scripted {
    altered("nodes.json", &["get nodes -o json"], change)
}

/// A captured answer with something in it replaced. What is replaced must be there.
fn altered(
    file: &'static str,
    script: &'static [&'static str],
    change: &'static [(&'static str, &'static str)],
) -> impl Fn(&Ward, Scripted) -> Scripted {
    move |_, host| {
        let text = change.iter().fold(captured(file), |text, (from, to)| {
            assert!(text.contains(from), "{file} holds {from}");
            text.replacen(from, to, 1)
        });
        host.says(script, &text)
    }
}

fn network(ill: Ill) -> impl Fn(&Ward, Scripted) -> Scripted {
    move |_, host| host.answers(&["ferry-probe "], move |script, _| probe::run(script, ill))
}

#[expect(clippy::too_many_lines, reason = "a table, one row a way to be ill")]
fn cases() -> Vec<Case> {
    let pods: &[&str] = &["get pods -A -o json"];
    vec![
        case("nodes.ready", "it is no node", nodes(&[("\"name\": \"node1\"", "\"name\": \"other\"")])),
        case(
            "nodes.ready",
            "DiskPressure is True",
            nodes(&[(
                "\"status\": \"False\",\n      \"type\": \"DiskPressure\"",
                "\"status\": \"True\",\n      \"type\": \"DiskPressure\"",
            )]),
        ),
        case("nodes.ready", "status 1", |_, host| host.fails(&["get nodes -o json"], "connection refused")),
        case(
            "nodes.versions",
            "the bundle has kubelet v1.34.4",
            nodes(&[("\"kubeletVersion\": \"v1.34.4\"", "\"kubeletVersion\": \"v1.33.1\"")]),
        ),
        case(
            "nodes.marks",
            "has the taint node.kubernetes.io/disk-pressure:NoSchedule",
            nodes(&[(
                "\"spec\": {",
                "\"spec\": {\"taints\": [{\"key\": \"node.kubernetes.io/disk-pressure\", \"effect\": \"NoSchedule\"}],",
            )]),
        ),
        case(
            "pods.ready",
            "not ready",
            altered(
                "pods.json",
                pods,
                &[
                    ("\"phase\": \"Running\"", "\"phase\": \"Pending\""),
                    (
                        "\"status\": \"True\",\n      \"type\": \"Ready\"",
                        "\"status\": \"False\",\n      \"type\": \"Ready\"",
                    ),
                ],
            ),
        ),
        case(
            "pods.steady",
            "ended with 1",
            altered(
                "pods.json",
                pods,
                &[
                    (
                        "\"lastState\": {}",
                        "\"lastState\": {\"terminated\": {\"exitCode\": 1, \"reason\": \"Error\", \"finishedAt\": \"2099-01-01T00:00:00Z\"}}",
                    ),
                    ("\"restartCount\": 0", "\"restartCount\": 3"),
                ],
            ),
        ),
        case("api.ready", "[-]etcd failed", |_, host| {
            host.says(&["/readyz?verbose"], "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n")
        }),
        case("api.endpoint", "does not lead to the site's authority", |_, host| {
            host.serves(6443, Authority::new("stranger").server(&API, LATER, OK))
        }),
        case("api.endpoint", "refused", |_, host| host.closed(6443)),
        case("etcd.health", "context deadline exceeded", altered("etcd-health-ill.json", &["endpoint health"], &[])),
        case(
            "etcd.health",
            "follower",
            altered("etcd-status.json", &["endpoint status"], &[("\"leader\":2677674080080550774", "\"leader\":77")]),
        ),
        case("etcd.alarms", "no space", |_, host| {
            host.says(&["alarm list"], "{\"alarms\":[{\"memberID\":2677674080080550774,\"alarm\":1}]}")
        }),
        case("etcd.hash", "000000ff", |_, host| {
            let two = captured("etcd-hashkv.json").trim().trim_matches(['[', ']']).to_owned();
            let other = two.replace("241194081", "255");
            host.says(&["endpoint hashkv"], &format!("[{two},{other}]"))
        }),
        Case { site: "", ..case("etcd.fsync", "the limit is 10 ms", |_, host| host) },
        Case {
            site: "",
            ..case("etcd.commit", "the limit is 25 ms", |_, host| {
                let slow: String = captured("metrics.txt")
                    .lines()
                    .filter(|line| !line.contains("commit_duration_seconds_bucket"))
                    .map(|line| format!("{line}\n"))
                    .collect();
                host.serves(2381, node::metrics(&format!("{slow}etcd_disk_backend_commit_duration_seconds_bucket{{le=\"0.064\"}} 0\netcd_disk_backend_commit_duration_seconds_bucket{{le=\"+Inf\"}} 9\n")))
            })
        },
        case("etcd.leader", "2 changes during these checks", |_, host| {
            let changes = std::sync::atomic::AtomicUsize::new(1);
            host.serves(2381, move || {
                let count = changes.fetch_add(2, std::sync::atomic::Ordering::SeqCst);
                node::metrics(&format!("etcd_server_leader_changes_seen_total {count}\n"))()
            })
        }),
        case("certificates.expiry", "at least 300 are wanted", |ward, host| {
            host.serves(2380, ward.authorities.etcd.server(&["10.77.0.11"], 2020, OK))
        }),
        case("certificates.names", "does not stand for registry.lab.local", |ward, host| {
            host.serves(5000, ward.authorities.registry.server(&["localhost"], LATER, OK))
        }),
        case("certificates.names", "does not lead to the site's authority", |ward, host| {
            host.serves(2379, ward.authorities.cluster.server(&["10.77.0.11"], LATER, OK))
        }),
        case("clock.skew", "against this machine", |_, host| host.says(&["date +%s.%N"], "1000000000.000000000\n")),
        case("clock.source", "chrony no", |_, host| host.says(&["chronyc -n tracking"], "chrony no 7F7F0101\n")),
        case(
            "images.running",
            "docker.io/library/evil:1",
            altered(
                "pods.json",
                pods,
                &[
                    (
                        "\"image\": \"registry.k8s.io/coredns/coredns:v1.12.1\"",
                        "\"image\": \"docker.io/library/evil:1\"",
                    ),
                    (
                        "sha256:7f250877395b67ad2b54d5ceba6ade2f734f99ae4a4411139c6eef7e9500ea47",
                        "sha256:00250877395b67ad2b54d5ceba6ade2f734f99ae4a4411139c6eef7e9500ea47",
                    ),
                ],
            ),
        ),
        case(
            "images.pinned",
            "not pinned",
            altered("images.txt", &["images ls"], &[("io.cri-containerd.pinned=pinned", "-")]),
        ),
        case("registry.guarded", "nobody: 200", |ward, host| {
            host.serves(5000, ward.authorities.registry.server(&["registry.lab.local"], LATER, OK))
        }),
        case("registry.pull", "can't be pulled: not found", |_, host| {
            host.says(&["images ls"], &captured("images.txt")).says(&["images pull"], "not found")
        }),
        case("registry.pull", "content is still there", |_, host| host.fails(&["content ls"], "")),
        case("dns.cluster", "SERVFAIL", network(Ill::ClusterNames)),
        case("dns.site", "NXDOMAIN", network(Ill::SiteNames)),
        case("dns.unknown", "no answer in 5000 ms", network(Ill::UnknownNames)),
        case("network.pods", "udp 1472 B: no answer", network(Ill::LargePackets)),
        case("network.from-host", "udp 1472 B: no answer", network(Ill::LargePackets)),
        case("network.to-host", "connection timed out", network(Ill::Hosts)),
        case("service.pods", "1 endpoints", network(Ill::OneEndpoint)),
        case("service.hosts", "unanswered", network(Ill::SomeRequests)),
        case("volume.data", "the claim is Pending", |_, host| host.says(&["get pvc -n ferry-accept"], "Pending")),
        case("volume.data", "byte 7 differs", |_, host| {
            host.says(&["get pod -n ferry-accept", "reader"], "Failed")
                .says(&["logs -n ferry-accept", "reader"], "byte 7 differs")
        }),
        case("backup.timer", "inactive", |_, host| host.says(&["systemctl is-active"], "inactive\ndisabled\n")),
        case("backup.snapshot", "no snapshot lies in", |_, host| {
            host.fails(&["etcdutl snapshot status"], "no snapshot lies in /var/backups/ferry/etcd")
        }),
        case("egress.none", "93.184.216.34", |_, host| {
            host.says(&["nf_conntrack"], "-----\nipv4 2 tcp 6 9 SYN_SENT src=10.244.0.9 dst=93.184.216.34 sport=1 dport=443 [UNREPLIED] src=93.184.216.34 dst=10.77.0.11 sport=443 dport=1\n")
        }),
    ]
}

#[tokio::test]
async fn every_check_fails_where_it_should() {
    let ward = Ward::new();
    let cases = cases();
    let mut covered: BTreeSet<&str> = cases.iter().map(|case| case.check).collect();
    // Needs a site of another kind: the_networks_daemon_is_asked_on_every_node.
    covered.insert("network.daemon");
    assert_eq!(covered, CHECKS.iter().map(|check| check.id).collect(), "every check has a case in which it fails");
    for case in &cases {
        let needs = AcceptNeeds { only: vec![case.check.into()], ..ward.needs.clone() };
        let (verdicts, _) = run(&site(case.site), (case.harm)(&ward, ward.healthy()), &needs).await;
        let failed: Vec<_> = verdicts.findings.iter().filter(|one| one.1.verdict == Verdict::Failed).collect();
        assert!(
            !failed.is_empty() && !verdicts.well(),
            "{} does not see {:?}: {:#?}",
            case.check,
            case.says,
            verdicts.findings
        );
        let found = failed.iter().any(|one| one.1.evidence.contains(case.says));
        assert!(found, "{} does not say {:?}: {failed:#?}", case.check, case.says);
        assert!(
            failed.iter().all(|one| one.1.fix.as_ref().is_some_and(|fix| fix.len() > 20)),
            "{} says what to do",
            case.check
        );
    }
}

/// What `check` found: verdict, subject, evidence, fix.
async fn of(check: &str, site: &Site, host: Scripted, needs: &AcceptNeeds) -> Vec<(Verdict, String, String, String)> {
    let needs = AcceptNeeds { only: vec![check.into()], ..needs.clone() };
    let found = run(site, host, &needs).await.0.findings;
    found.into_iter().map(|(_, one)| (one.verdict, one.subject, one.evidence, one.fix.unwrap_or_default())).collect()
}

/// After an upgrade the pods run what they ran before until somebody rolls them. That is no fault.
#[tokio::test]
async fn pods_of_an_earlier_serial_are_a_note_with_the_command_that_rolls_them() {
    let mut ward = Ward::new();
    let old = Digest::of(b"web 1.0");
    let web = format!(
        "{{\"metadata\": {{\"name\": \"lager-0\", \"namespace\": \"lager\", \"ownerReferences\": [{{\"kind\": \"StatefulSet\", \"name\": \"lager\"}}]}}, \
         \"status\": {{\"containerStatuses\": [{{\"name\": \"web\", \"image\": \"docker.io/shop/web:1.0\", \"imageID\": \"docker.io/shop/web@{old}\"}}]}}}},"
    );
    let text = captured("pods.json");
    let at = text.find("\"items\": [").expect("a list") + "\"items\": [".len();
    let pods = format!("{}{web}{}", &text[..at], &text[at..]);
    let host = ward.healthy().says(&["get pods -A -o json"], &pods);
    let site = site("");
    let found = of("images.running", &site, host.clone(), &ward.needs).await;
    assert!(found.iter().any(|one| one.0 == Verdict::Failed), "an image that nobody brought is a fault: {found:?}");
    ward.needs.names.insert("docker.io/shop/web".into(), "docker.io/shop/web:2.0".into());
    ward.needs = ward.needs.clone().after(BTreeMap::from([(old, "docker.io/shop/web:1.0".to_owned())]));
    let found = of("images.running", &site, host, &ward.needs).await;
    assert!(found.iter().all(|one| one.0 != Verdict::Failed), "{found:?}");
    let note = found.iter().find(|one| one.0 == Verdict::Skipped).expect("a note");
    let command = "kubectl -n lager set image statefulset/lager web=docker.io/shop/web:2.0";
    assert!(
        note.2.starts_with("note: lager/lager-0 runs docker.io/shop/web:1.0") && note.2.ends_with(command),
        "{note:?}"
    );
    assert!(found.iter().any(|one| one.0 == Verdict::Passed), "the rest was compared");
}

#[tokio::test]
async fn nothing_that_runs_is_no_pass() {
    let ward = Ward::new();
    let host = ward.healthy().says(&["get pods -A -o json"], "{\"items\": []}");
    let found = of("images.running", &site(""), host, &ward.needs).await;
    assert!(matches!(&found[..], [(Verdict::Failed, ..)]), "{found:?}");
}

/// ferry takes no taint away that somebody else has set, so it must not say that it would.
#[tokio::test]
async fn a_foreign_taint_is_told_with_what_takes_it_away() {
    let ward = Ward::new();
    let with = |taint: &str| {
        let text = captured("nodes.json").replacen("\"spec\": {", &format!("\"spec\": {{\"taints\": [{taint}],"), 1);
        ward.healthy().says(&["get nodes -o json"], &text)
    };
    let site = site("");
    let found =
        of("nodes.marks", &site, with(r#"{"key": "foo", "value": "bar", "effect": "NoSchedule"}"#), &ward.needs).await;
    let [(Verdict::Failed, _, seen, fix)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(seen, "has the taint foo=bar:NoSchedule");
    assert!(fix.contains("kubectl taint node node1 foo=bar:NoSchedule-") && fix.contains("site file"), "{fix}");
    assert!(!fix.contains("install"), "{fix}");
    let pressure = with(r#"{"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}"#);
    let found = of("nodes.marks", &site, pressure, &ward.needs).await;
    assert!(found[0].3.contains("Kubernetes itself") && !found[0].3.contains("kubectl taint"), "{found:?}");
}

#[tokio::test]
async fn the_limit_of_a_service_is_said_and_can_be_set() {
    let ward = Ward::new();
    for check in ["service.pods", "service.hosts"] {
        let found = of(check, &site(""), ward.healthy(), &ward.needs).await;
        assert!(found[0].0 == Verdict::Passed && found[0].2.contains("the limit is 1000 ms"), "{found:?}");
        let strict = site(&format!("thresholds: {{{check}: 0.1}}\n"));
        let found = of(check, &strict, ward.healthy(), &ward.needs).await;
        assert!(found[0].0 == Verdict::Failed && found[0].2.contains("the limit is 0.1 ms"), "{found:?}");
        assert!(found[0].3.contains("thresholds"), "{found:?}");
    }
}

/// A certificate that ends soon is told long before it fails.
#[tokio::test]
async fn certificates_that_end_soon_are_told_before_they_fail() {
    let ward = Ward::new();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let lasting = |days: u64| {
        let after = Duration::from_secs(now + days * 86_400 + 3600);
        ward.healthy().serves(2380, ward.authorities.etcd.server_in(&["10.77.0.11"], after, 1970, OK))
    };
    for (days, more, verdict) in [
        (400, "", Verdict::Passed),
        (120, "", Verdict::Skipped),
        (29, "", Verdict::Failed),
        (120, "thresholds: {certificates.expiry: 200}\n", Verdict::Failed),
        (120, "thresholds: {certificates.expiry: 100}\n", Verdict::Passed),
    ] {
        let found = of("certificates.expiry", &site(more), lasting(days), &ward.needs).await;
        let one = found.iter().find(|one| one.1 == "node1:2380").expect("etcd's peers");
        assert_eq!(one.0, verdict, "{days} days, {more:?}: {one:?}");
        assert!(one.2.contains(&format!("{days} days, until ")), "{one:?}");
        assert_eq!(one.2.starts_with("note: "), verdict == Verdict::Skipped);
    }
}

#[tokio::test]
async fn the_arena_goes_even_when_it_was_never_ready() {
    let ward = Ward::new();
    let host = ward.healthy().says(&["get pods -n ferry-accept"], "{\"items\":[]}");
    let needs = AcceptNeeds { only: vec!["service".into()], ..ward.needs.clone() };
    let (verdicts, _) = run(&site(""), host.clone(), &needs).await;
    assert!(verdicts.findings.iter().all(|one| one.1.evidence.contains("of 1 nodes, 0 and 0 run a pod that is ready")));
    let ran = host.ran();
    let [.., namespace, volumes] = ran.as_slice() else { panic!("{ran:?}") };
    assert!(namespace.contains("delete namespace ferry-accept"));
    assert!(volumes.contains("/pvc-*_ferry-accept_*"), "folders of volumes that nobody knows of go, too");
}

#[tokio::test]
async fn a_waiver_names_a_check_and_hosts() {
    let ward = Ward::new();
    let needs = AcceptNeeds { only: vec!["etcd.fsync".into()], ..ward.needs.clone() };
    let waived = |waiver: &str| site(&format!("waivers: [{waiver}]\n"));
    let (verdicts, events) =
        run(&waived("{check: etcd.fsync, reason: the test bed, hosts: [node1]}"), ward.healthy(), &needs).await;
    assert_eq!((verdicts.failed, verdicts.waived), (0, 1));
    assert!(matches!(&events[0], Event::Check { evidence, .. } if evidence.starts_with("waived: the test bed\np99 ")));
    let (verdicts, _) = run(&waived("{check: etcd, reason: the test bed}"), ward.healthy(), &needs).await;
    assert_eq!(verdicts.waived, 1, "a topic can be waived");
    let (verdicts, _) = run(&waived("{check: etcd.commit, reason: other}"), ward.healthy(), &needs).await;
    assert_eq!(verdicts.failed, 1);
}

#[tokio::test]
async fn a_stopped_run_is_not_well() {
    let ward = Ward::new();
    ward.needs.stop.ask();
    let (verdicts, _) = run(&site(""), ward.healthy(), &ward.needs).await;
    assert!(verdicts.stopped && !verdicts.well() && verdicts.findings.is_empty());
}

#[tokio::test]
async fn hosts_that_are_away_are_findings() {
    let ward = Ward::new();
    let needs = AcceptNeeds {
        only: vec!["nodes".into(), "etcd".into(), "clock.skew".into(), "dns".into()],
        ..ward.needs.clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&folder.path().join("j"), Arc::new(Quiet), Redactor::default()).unwrap();
    let verdicts = accept::run(&site(""), &BTreeMap::new(), &journal, &needs).await;
    assert!(verdicts.passed == 0 && verdicts.failed >= 10, "{}", verdicts.summary());
}
