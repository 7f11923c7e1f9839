//! `restore`: etcd on three hosts loses two of its members, and what was written since the snapshot is unwanted anyway.
//!
//! What must hold: the snapshot stands here and on a second host; after the restore the objects of before are there and those
//! of after are not, all three members are one healthy cluster, pods run; the data of before are still there. The restore is
//! killed on its way and run again.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, SiteOptions};
use crate::program::Program;
use crate::run::trouble::Run;
use crate::run::{Bench, Bundle, Shipped, cluster};

const HOSTS: u8 = 3;
const FIRST: u8 = 1;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
const PATIENCE: Duration = Duration::from_secs(900);
const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
const ETCDCTL: &str = "ETCDCTL_API=3 etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: three, as new", || {
        bench.driver.prepare()?;
        bench.driver.up(HOSTS)?;
        (1..=HOSTS).try_for_each(|host| bench.driver.reset(host))
    })?;
    let site = bench.work.join("restore.yaml");
    let text = three_members(bench)?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    let log = bench.evidence.path("ferry-install.log");
    let program = installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
    let code = bench.step("ferry-install", || program.logged(&log))?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    if code != 0 && code != 12 {
        return Ok(());
    }
    let ids = (1..=HOSTS)
        .map(|host| bench.driver.must(host, "chronyc -n -c tracking | cut -d, -f1,2"))
        .collect::<Result<Vec<_>, _>>()?;
    let own = ids[0].starts_with("7F7F0101");
    let follow = ids[1..].iter().all(|id| id.contains(",10.77.0.11"));
    bench.check("one clock is its own, and the others follow it", own && follow, ids.concat().replace('\n', " "));
    let verb = |verb: &str, words: &[&str]| -> Program {
        let program = installer::install(&bench.driver, &shipped.install, verb).arg(&site).args(words);
        program.arg("--state").arg(installer::state_of(&site)).arg("--verbose")
    };
    let must = |script: &str| bench.driver.must(FIRST, script);

    must(&format!(
        "{KUBECTL} create namespace before && for n in $(seq 50); do echo \"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c$n, namespace: before}}, data: {{number: '$n'}}}}\"; echo ---; done | {KUBECTL} apply -f - >/dev/null"
    ))?;
    let log = bench.evidence.path("backup.log");
    let code = bench.step("backup", || verb("backup", &[]).logged(&log))?;
    bench.check("the backup ends with 0", code == 0, format!("exit code {code}"));
    // Not `latest`: the timer takes one of what is unwanted, too, whenever it is due, quorum or not.
    let taken =
        std::fs::read_dir(installer::state_of(&site).join("snapshots")).ok().and_then(|mut all| all.next()?.ok());
    let taken = taken.map(|entry| entry.path().display().to_string()).unwrap_or_default();
    // Of the newest one, whichever member has taken it.
    let copies = (1..=HOSTS)
        .map(|host| bench.driver.must(host, "ls -d /var/backups/ferry/etcd/from-*/etcd-*.db 2>/dev/null; true"))
        .collect::<Result<String, _>>()?;
    let here = std::fs::read_dir(installer::state_of(&site).join("snapshots")).map_or(0, Iterator::count);
    bench.check(
        "a copy is here and on a second host",
        copies.lines().count() == 1 && here == 1,
        format!("{copies}, and {here} here"),
    );

    bench.step("what came after is unwanted; two members are lost", || {
        must(&format!("{KUBECTL} delete namespace before --wait=true >/dev/null; {KUBECTL} create namespace after"))?;
        for host in [2, 3] {
            bench.driver.must(host, "systemctl stop etcd; rm -rf /var/lib/etcd/member")?;
            bench.driver.kill(host)?;
        }
        Ok(())
    })?;
    let dead = bench.driver.run(FIRST, &format!("{ETCDCTL} --command-timeout=5s endpoint health"))?;
    bench.check("without a quorum etcd is ill", dead.code != 0, dead.stderr);
    let away = bench.step("restore with two hosts away", || {
        verb("restore", &["--snapshot", &taken, "--confirm", "single"]).ended()
    })?;
    bench.check("with etcd hosts away nothing is begun", away.code == 7, format!("{} {}", away.code, away.stderr));
    bench.step("the two hosts get power", || [2, 3].into_iter().try_for_each(|host| bench.driver.boot(host)))?;

    let wrong = verb("restore", &["--snapshot", "latest", "--confirm", "other"]).ended()?;
    bench.check("without the cluster's name nothing is done", wrong.code == 130, wrong.stderr);
    struck(bench, &site, &taken, &verb)?;
    let log = bench.evidence.path("restore.log");
    let code = bench
        .step("restore, to its end", || verb("restore", &["--snapshot", &taken, "--confirm", "single"]).logged(&log))?;
    bench.evidence.copy(&installer::state_of(&site), "site");
    bench.check("the restore ends with 0", code == 0, format!("exit code {code}"));

    let objects = must(&format!(
        "{KUBECTL} -n before get configmaps -o name | grep -c /c; {KUBECTL} -n before get configmap c37 -o jsonpath={{.data.number}} 2>&1; echo; {KUBECTL} get namespace after -o name 2>&1 | grep -c NotFound; true"
    ))?;
    bench.check("the objects of before are there, those of after are not", objects.trim() == "50\n37\n1", objects);
    let members = must(&format!(
        "{ETCDCTL} endpoint health --cluster 2>&1 | grep -c 'is healthy'; {ETCDCTL} member list | grep -c started"
    ))?;
    bench.check("three members are one healthy cluster", members.trim() == "3\n3", members);
    let old = must(
        "ls -d /var/lib/etcd/member.before-* | wc -l; ls -A /var/lib/etcd | grep -c '^restore-'; ls -A /etc/kubernetes | grep -c held; true",
    )?;
    let mut lines = old.lines();
    let kept = lines.next().and_then(|count| count.parse::<u32>().ok()).unwrap_or_default();
    bench.check("the data of before are still there, and nothing half done", kept >= 1 && lines.eq(["0", "0"]), old);
    let pods = bench.step("pods are ready again", || {
        let limit = Instant::now() + Duration::from_secs(240);
        loop {
            let text = must(&format!("{KUBECTL} get pods -A --no-headers | grep -vE ' (Running|Completed) ' | wc -l; {KUBECTL} wait --for=condition=Ready node/node1 --timeout=1s 2>&1; true"))?;
            if text.starts_with("0\n") && text.contains("condition met") || Instant::now() > limit {
                return Ok(text);
            }
            std::thread::sleep(Duration::from_secs(2));
        }
    })?;
    bench.check("the node is ready and no pod is not", pods.starts_with("0\n"), pods);
    cluster::all(bench, FIRST, &bundle)?;
    cluster::egress(bench)
}

/// Kills the restore as it begins to stop things, and as it starts them again.
fn struck(
    bench: &Bench,
    site: &std::path::Path,
    file: &str,
    verb: &dyn Fn(&str, &[&str]) -> Program,
) -> Result<(), Error> {
    let state = installer::state_of(site);
    for mark in ["step restore.switch/node2", "step restore.start/node1"] {
        let log = bench.evidence.path(&format!("restore-killed-{}.log", mark.replace([' ', '/'], "-")));
        bench.step(&format!("restore, killed at {mark}"), || {
            let mut run = Run::start(verb("restore", &["--snapshot", file, "--confirm", "single"]), &state, &log)?;
            let journal = state.join("journal.jsonl");
            let word = mark.trim_start_matches("step ");
            let seen = || {
                std::fs::read_to_string(&journal)
                    .map_or(0, |text| text.matches(&format!("\"step\":\"{word}\"")).count())
            };
            let (before, limit) = (seen(), Instant::now() + PATIENCE);
            while seen() == before && run.ended()?.is_none() && Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(50));
            }
            run.signal("KILL")?;
            run.end(PATIENCE).map(drop)
        })?;
    }
    Ok(())
}

/// The site of [`installer::single_node_site`] with two more hosts that hold members of etcd.
fn three_members(bench: &Bench) -> Result<String, Error> {
    let mut text = installer::single_node_site(&bench.driver, FIRST, &SiteOptions::default())?;
    let mut more = String::new();
    for host in 2..=HOSTS {
        let other = installer::single_node_site(&bench.driver, host, &SiteOptions::default())?;
        let (from, to) = (other.find("- name: ").unwrap_or_default(), other.find("network: ").unwrap_or(other.len()));
        more.push_str(&other[from..to].replace("[control-plane, worker, etcd, registry]", "[etcd]"));
    }
    let at = text.find("network: ").unwrap_or(text.len());
    text.insert_str(at, &more);
    text.push_str("time: {internal: true}\n");
    Ok(text)
}
