//! Site files with mistakes: each is refused with a place and what to do, or does no harm. Nothing panics.

use std::path::Path;

use super::read;

/// Every key of a site file, each on a line of its own.
const WHOLE: &str = "apiVersion: ferry.dev/v1
kind: Site
cluster: demo
domain: site.example
vault:
  passphrase:
    env: FERRY_VAULT
ssh:
  user: ops
  port: 22
  auth:
  - key:
      file: id
      passphrase:
        prompt: the passphrase of id
  - password:
      age:
        file: secrets.age
        name: ops
        identity: me.key
  privilege:
    sudoPassword:
      prompt: password of ops
  via:
  - gate
  legacyAlgorithms:
  - ssh-rsa
bastions:
- name: gate
  address: 192.0.2.1
  hostKey: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
  ssh:
    user: gate
hosts:
- name: one
  address: 10.0.0.11
  internalAddress: 10.0.1.11
  hostKey: SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
  roles:
  - control-plane
  - worker
  - etcd
  - registry
  labels:
    zone: rack-1
  taints:
  - dedicated:NoSchedule
endpoint:
  kind: external
  address: 10.0.0.100
  port: 8443
  routerId: 7
  interface: ens192
kubernetes:
  podCIDR: 10.244.0.0/16
  serviceCIDR: 10.96.0.0/16
  nodePrefix: 24
  maxPods: 110
  dnsDomain: cluster.local
  proxy: iptables
  certificateDays: 365
  authorityYears: 10
  scheduleControlPlane: false
  extraNames:
  - api.site.example
network:
  kind: calico
  encapsulation: vxlan
  interface: ens192
  mtu: 1400
  blockPrefix: 26
etcd:
  dataDir: /data/etcd
  quotaGib: 8
  snapshotHours: 6
  snapshotKeep: 28
  snapshotDir: /data/snapshots
registry:
  name: registry.site.example
  port: 5000
  dataDir: /data/registry
time:
  servers:
  - 10.0.0.1
  internal: true
dns:
  upstream:
  - 10.0.0.2
  names:
    erp.site.example: 10.0.0.3
  wildcards:
    apps.site.example: 10.0.0.4
storage:
  kind: local-path
  path: /data/volumes
thresholds:
  disk.fsync: 10
waivers:
- check: time.source
  reason: a test
  hosts:
  - one
";

/// What is written in the place of a value.
fn mistakes() -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        "''",
        "' '",
        "7",
        "-1",
        "0",
        "70000",
        "99999999999999999999999999",
        "1.5",
        ".nan",
        ".inf",
        "true",
        "null",
        "~",
        "[]",
        "[[]]",
        "{}",
        "{a: [b]}",
        "[1, {a: b}]",
        "a b",
        "../../etc",
        "/",
        "/etc",
        "/data/../etc",
        "'$(touch PLANTED)'",
        "'`touch PLANTED`'",
        "'; touch PLANTED #'",
        "\"a\\nPLANTED: b\"",
        "\"a\\r\\nPLANTED\"",
        "\"\\e[2J\\0\"",
        "\"x\\u202ey\"",
        "\"a\\\"b\"",
        "'it''s'",
        "区域",
        "\"{{ .PLANTED }}\"",
        "'*'",
        "-rf",
        "'#'",
        "'a: b'",
        "'&a'",
        "'%n%i'",
        "2026-01-01",
        "0x10",
        "1_000",
        "no",
    ]
    .map(str::to_owned)
    .into();
    all.push("x".repeat(70_000));
    all.push(format!("/data/{}", "x/".repeat(3_000)));
    all.push("[".repeat(60) + &"]".repeat(60));
    all
}

/// The file with line `n`'s value replaced.
fn mutated(n: usize, value: &str) -> Option<String> {
    let lines: Vec<&str> = WHOLE.lines().collect();
    let line = lines[n];
    let start = match line.find(": ") {
        Some(at) => at + 2,
        None if line.trim_start().starts_with("- ") && !line.ends_with(':') => line.find("- ")? + 2,
        None => return None,
    };
    let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    all[n] = format!("{}{value}", &line[..start]);
    Some(all.join("\n") + "\n")
}

#[test]
fn the_whole_file_is_understood() {
    let problems = read(Path::new("site.yaml"), WHOLE).map(drop).map_err(|problems| problems.to_string());
    assert_eq!(problems, Ok(()));
}

#[test]
fn each_mistake_in_each_field_is_refused_with_its_place_or_does_no_harm() {
    let (mut tried, mut refused) = (0, 0);
    for n in 0..WHOLE.lines().count() {
        for value in mistakes() {
            let Some(text) = mutated(n, &value) else { continue };
            tried += 1;
            let short: String = value.chars().take(40).collect();
            match read(Path::new("site.yaml"), &text) {
                Ok(site) => {
                    // Texts for people may hold anything that can be printed; all else may not.
                    let line = WHOLE.lines().nth(n).unwrap_or_default();
                    let for_people = ["prompt", "reason", "file", "identity", "name: ops", "ssh-rsa", "user"];
                    let shown = format!("{site:?}");
                    assert!(!shown.contains("\\u{1b}") && !shown.contains("\\u{202e}"), "line {n} {short:?}: {shown}");
                    assert!(
                        !shown.contains("PLANTED") || for_people.iter().any(|key| line.contains(key)),
                        "line {n} {short:?}"
                    );
                }
                Err(problems) => {
                    refused += 1;
                    let said = problems.to_string();
                    assert!(
                        problems.list.iter().any(|one| one.line > 0 || one.hint.is_some()),
                        "line {n} {short:?}: {said}"
                    );
                    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "line {n} {short:?}");
                    assert!(said.len() < 6_000, "line {n} {short:?}: {} bytes", said.len());
                }
            }
        }
    }
    assert!(tried > 2_000 && refused * 2 > tried, "{refused} of {tried}");
}

#[test]
fn misspelt_keys_are_all_said_at_once_with_what_was_meant() {
    let text = WHOLE
        .replace("\ndomain:", "\ndomian:")
        .replace("  internalAddress:", "  internal_address:")
        .replace("dataDir: /data/etcd", "datadir: /data/etcd")
        .replace("  maxPods: 110", "  maxpods: many")
        .replace("- registry\n", "- registy\n")
        .replace("\nwaivers:", "\nwaiver:");
    let said = read(Path::new("site.yaml"), &text).map(drop).unwrap_err().to_string();
    for expected in [
        "there is no key \"domian\"",
        "did you mean `domain`?",
        "did you mean `internalAddress`?",
        "did you mean `dataDir`?",
        "did you mean `maxPods`?",
        "`maxPods` is a number, 1 to 4096, and here is \"many\"",
        "there is no role \"registy\"",
        "did you mean `registry`?",
        "did you mean `waivers`?",
    ] {
        assert!(said.contains(expected), "{expected} in {said}");
    }
    assert!(!said.contains("no host has the role"), "what follows from a mistake is not said: {said}");
}

#[test]
fn every_mistake_of_a_day_on_hosts_is_found() {
    for (right, wrong, expected) in [
        ("zone: rack-1", "zone: \"ja, gern!\"", "value that the API server takes"),
        ("zone: rack-1", "\"halle 7\": x", "key that the API server takes"),
        ("zone: rack-1", "区: 东", "key that the API server takes"),
        ("zone: rack-1", "foo/bar: baz/qux", "value that the API server takes"),
        ("zone: rack-1", "a/b/c: x", "key that the API server takes"),
        ("zone: rack-1", "zone: 2026", "write zone: \"2026\""),
        ("hostKey: SHA256:A", "hostKey: SHA265:A", "is no fingerprint"),
        ("hostKey: SHA256:A", "hostKey: MD5:A", "MD5 is not taken"),
        ("dedicated:NoSchedule", "a b=c d:NoSchedule", "is no taint"),
        ("dedicated:NoSchedule", ":NoSchedule", "is no taint"),
        ("quotaGib: 8", "quotaGib: 80", "is a number, 1 to 8"),
        ("snapshotHours: 6", "snapshotHours: 0", "is a number, 1 to 720"),
        ("dataDir: /data/etcd", "dataDir: var/lib/etcd", "is no absolute path"),
        ("path: /data/volumes", "path: volumes", "is no absolute path"),
        ("path: /data/volumes", "path: /data/etcd/volumes", "one lies in the other"),
        ("name: registry.site.example", "name: \"Reg Istry\"", "is no DNS name"),
        ("dnsDomain: cluster.local", "dnsDomain: \"Cluster Local\"", "is no DNS name"),
        ("- api.site.example", "- \"api lager\"", "is no name for a certificate"),
        ("certificateDays: 365", "certificateDays: 0", "is a number, 1 to 36500"),
        ("certificateDays: 365", "certificateDays: 36500", "more than the 10 years"),
        ("authorityYears: 10", "authorityYears: 8000", "is a number, 1 to 100"),
        ("erp.site.example: 10", "\"erp lager\": 10", "is no DNS name"),
        ("apps.site.example: 10", "\"*.apps.site.example\": 10", "leave out `*.`: apps.site.example"),
        ("port: 5000", "port: 65535", "has no port after it"),
        ("port: 22", "port: 70000", "is a number, 1 to 65535"),
        ("port: 22", "port: '22'", "without quotes: 22"),
        ("- 10.0.0.1\n", "- \"10.0.0.1\\nserver evil\"\n", "neither an address nor a DNS name"),
        ("servers:\n  - 10.0.0.1\n", "servers: ntp1\n", "in brackets: [ntp1]"),
        ("address: 10.0.0.11", "address: 10.77.0.1222", "is neither an address nor a DNS name"),
        ("interface: ens192", "interface: \"ens 192\"", "is no name of an interface"),
        ("disk.fsync: 10", "disk.fsync: .nan", "is no limit"),
        ("cluster: demo", "cluster: demo\ncluster: demo", "is on line 3 already"),
        ("env: FERRY_VAULT", "env: \"$FERRY_VAULT\"", "is no name of an environment variable"),
        ("proxy: iptables", "proxy: iptable", "did you mean `iptables`?"),
    ] {
        assert!(WHOLE.contains(right), "{right}");
        let said = read(Path::new("site.yaml"), &WHOLE.replace(right, wrong)).map(drop).unwrap_err().to_string();
        assert!(said.contains(expected), "{wrong}: {said}");
        assert!(said.contains("hint: ") || said.contains(" is a number, "), "{wrong}: {said}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_is_never_printed() {
    for (right, wrong) in [
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {passphrase: geheim77}\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {pasphrase: geheim77}\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: geheim77\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: [geheim77]\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {passphrase: {env: 'geheim77 x'}}\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {passphrase: {evn: 'geheim77 x'}}\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {passphrase: {prompt: x, geheim77: y}}\n"),
        ("vault:\n  passphrase:\n    env: FERRY_VAULT\n", "vault: {passphrase: \"geheim77}\n"),
        ("  - password:\n", "  - password: geheim77\n  - password:\n"),
        ("    sudoPassword:\n      prompt: password of ops\n", "    sudoPassword: geheim77\n"),
        ("    sudoPassword:\n      prompt: password of ops\n", "    su: 77777\n"),
        ("  user: ops\n", "  user: ops\n  password: geheim77\n"),
        ("        prompt: the passphrase of id\n", "        geheim77\n"),
    ] {
        assert!(WHOLE.contains(right), "{right}");
        let said = read(Path::new("site.yaml"), &WHOLE.replacen(right, wrong, 1)).map(drop).unwrap_err().to_string();
        assert!(!said.contains("geheim77") && !said.contains("77777"), "{wrong}: {said}");
    }
}

#[test]
fn hosts_by_name_have_one_problem_each_and_no_false_ones() {
    let text = "apiVersion: ferry.dev/v1\nkind: Site\ncluster: lab\nvault: {passphrase: {env: X}}\nhosts:\n\
                - {name: n1, address: n1.example.test, roles: [control-plane, worker, etcd, registry]}\n\
                - {name: n2, address: n2.example.test, roles: [worker]}\n";
    let problems = read(Path::new("s.yaml"), text).map(drop).unwrap_err();
    assert_eq!(problems.list.iter().map(|one| one.line).collect::<Vec<_>>(), [6, 7], "{problems}");
    let outside = super::Outside {
        resolve: &|_, name| Some([10, 0, 0, u8::from(name.starts_with("n2")) + 1].into()),
        more: &|_, _| (),
    };
    let site = super::read_with(Path::new("s.yaml"), text, &outside).map_err(|error| error.to_string()).unwrap();
    assert_eq!(site.hosts[1].internal.to_string(), "10.0.0.2");
}
