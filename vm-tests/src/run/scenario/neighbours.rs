//! `neighbours`: three hosts on which other people's things lie everywhere: files, links, rules, namespaces, units, users,
//! folders of other runtimes, a static pod. Through an install, the removal of a node and an uninstall that wipes the data,
//! each byte of theirs stays.
//!
//! `hosts/neighbours/list.sh` prints all of it, with digests; its text has to be the same at every stage. What ferry itself
//! has replaced is compared by snapshots of the hosts before and after.

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, HostLine, SiteOptions, WAIVERS};
use crate::program::Program;
use crate::run::snapshot::describe;
use crate::run::{Bench, Bundle, Shipped, Snapshot, cluster};

const HOSTS: u8 = 3;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
const CLUSTER: &str = "beside";
const BEFORE: &str = include_str!("../../../hosts/neighbours/before.sh");
const LATER: &str = include_str!("../../../hosts/neighbours/later.sh");
const LIST: &str = include_str!("../../../hosts/neighbours/list.sh");

const ONE: HostLine = HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" };
const TWO: HostLine = HostLine { host: 2, name: "two", roles: "control-plane, etcd, worker" };
const THREE: HostLine = HostLine { host: 3, name: "three", roles: "control-plane, etcd, worker" };

/// The folders that ferry is told to keep its data in.
const DATA: [&str; 4] = ["/var/site/etcd", "/var/site/registry", "/var/site/volumes", "/var/site/backup/etcd"];
const FOLDERS: &str = "etcd: {dataDir: /var/site/etcd, snapshotDir: /var/site/backup/etcd}
registry: {dataDir: /var/site/registry}
storage: {path: /var/site/volumes}
";
const WAIVED: &str = "- {check: leftovers.cluster, reason: \"the folders hold files of others that no cluster uses\"}
";

/// What may differ between a host before the install and after the uninstall, beside what is the customer's.
const ALLOWANCE: [(&str, &str); 5] = [
    ("active systemd-timedated.service*", "runs for a while when somebody has asked it"),
    ("file /var/lib/systemd/*", "systemd's own: when timers were due, what was enabled by presets"),
    ("file /var/cache/ldconfig*", "written by programs of the distribution"),
    ("file /etc/*-", "the backups that useradd and userdel keep of passwd, shadow, group and their like"),
    ("sysctl *neigh*", "the kernel's own, by the number of interfaces there were"),
];

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: three, as new", || {
        bench.driver.prepare()?;
        bench.driver.up(HOSTS)?;
        (1..=HOSTS).try_for_each(|host| bench.driver.reset(host))
    })?;
    bench.step("the neighbours move in", || {
        (1..=HOSTS).try_for_each(|host| bench.driver.must(host, BEFORE).map(drop))
    })?;
    // An account of the name that ferry would make is theirs, too.
    bench
        .driver
        .must(3, "useradd --system --no-create-home --home-dir /var/lib/customer --comment 'of the customer' etcd")?;
    let site = bench.work.join("neighbours.yaml");
    let options = SiteOptions { more: format!("{FOLDERS}{WAIVERS}{WAIVED}"), ..SiteOptions::default() };
    let text = installer::site(&bench.driver, CLUSTER, &[ONE, TWO, THREE], &options)?;
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    let hosts = Neighbourhood { bench, before: listed(bench, "before")? };
    let many = hosts.before.iter().all(|text| text.lines().count() > 70);
    bench.check("the list sees what is theirs", many, format!("{} lines", hosts.before[0].lines().count()));

    let install = |name: &str| -> Result<(i32, String), Error> {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log))?;
        bench.evidence.copy(&installer::state_of(&site), "site");
        Ok((code, std::fs::read_to_string(&log).unwrap_or_default()))
    };
    refused(bench, &hosts, &install)?;
    let before = bench.step("snapshots", || snapshots(bench))?;
    let names = |host: u8| bench.driver.must(host, "grep -v customer /etc/hosts");
    let named = (1..=HOSTS).map(names).collect::<Result<Vec<_>, _>>()?;

    let (code, _) = install("install")?;
    bench.check("ferry-install ends with 0", code == 0, format!("exit code {code}"));
    hosts.same("after the install", HOSTS)?;
    if code != 0 {
        return Ok(());
    }
    let hosts = bench.step("more neighbours move in", || {
        (1..=HOSTS).try_for_each(|host| bench.driver.must(host, LATER).map(drop))?;
        Ok(Neighbourhood { bench, before: listed(bench, "later")? })
    })?;
    let runs =
        "for i in $(seq 60); do ctr -n k8s.io containers ls | grep -q 'busybox:1.36' && exit 0; sleep 1; done; exit 1";
    let started = bench.driver.run(3, runs)?.code == 0;
    bench.check("a static pod of theirs runs", started, "");

    // Somebody has removed the line that ends ferry's block.
    let unended = |host: u8| bench.driver.must(host, &format!("sed -i '/^# END ferry {CLUSTER}$/d' /etc/hosts"));
    unended(3)?;
    let log = bench.evidence.path("ferry-install-remove.log");
    let remove =
        installer::nodes(&bench.driver, &shipped.install, "remove", &site, &bundle.file, &bundle.key, &["three"]);
    let code = bench.step("ferry-install: nodes remove", || remove.logged(&log))?;
    bench.check("the removal ends with 0", code == 0, format!("exit code {code}"));
    hosts.same("after the removal", HOSTS)?;
    cluster::nodes(bench, 1, 2)?;
    let text = installer::site(&bench.driver, CLUSTER, &[ONE, TWO], &options)?;
    std::fs::write(&site, text).map_err(Error::file("write", &site))?;

    unended(2)?;
    let kept = strangers(bench)?;
    let state = installer::state_of(&site);
    let log = bench.evidence.path("uninstall.log");
    let uninstall = || -> Program {
        let verb = installer::install(&bench.driver, &shipped.install, "uninstall").arg(&site);
        verb.args(["--wipe-data", "--confirm", CLUSTER, "--verbose", "--state"]).arg(&state)
    };
    let code = bench.step("ferry-install: uninstall --wipe-data", || uninstall().logged(&log))?;
    bench.evidence.copy(&state, "site");
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    bench.check("the uninstall ends with 0", code == 0, format!("exit code {code}"));
    hosts.same("after the uninstall", HOSTS)?;
    for (host, folder, was) in kept {
        let now = tree(bench, host, folder)?;
        bench.check("a data folder without ferry's own mark stays", was == now, format!("{folder} of host {host}"));
        let told = said.lines().any(|line| line.contains(folder) && !line.contains('$'));
        bench.check("and it is said that it stays", told, folder);
    }
    gone(bench)?;
    // Theirs is compared by the list, and the lines of /etc/hosts below; folders of ferry's stay where something of theirs lies.
    let theirs = [
        "*ustomer*",
        "*CUSTOMER*",
        "*caliper-cust*",
        // Data that were made into somebody else's above; and on the host that left, snapshots: only an uninstall wipes them.
        "file /var/site/*",
        "file /etc/hosts*",
        "file /etc/ferry",
        "file /usr/local/lib/ferry",
        "file /etc/systemd/system/*.service.d",
        "file /etc/kubernetes/manifests",
    ];
    let allowed: Vec<&str> = ALLOWANCE.iter().map(|(pattern, _)| *pattern).chain(theirs).collect();
    for (host, before) in (1..=HOSTS).zip(&before) {
        let after = bench.step(&format!("snapshot of host {host}"), || Snapshot::take(&bench.driver, host))?;
        bench.evidence.save(&format!("snapshot-after-{host}.txt"), &after.text());
        let differences = before.without(&allowed).differences(&after.without(&allowed));
        bench.evidence.save(&format!("differences-{host}.txt"), &describe(&differences, usize::MAX));
        let seen = format!("host {host}: {}", describe(&differences, 12));
        bench.check("all else is as before, but for a list", differences.is_empty(), seen);
    }
    for (host, before) in (1..=HOSTS).zip(named) {
        let now = names(host)?;
        bench.check("all other lines of /etc/hosts are as before", now == before, format!("host {host}: {now}"));
    }
    let again = uninstall().ended()?;
    bench.check("a further uninstall finds nothing", again.code == 0, again.stderr);
    hosts.same("after a further uninstall", HOSTS)?;
    cluster::egress(bench)
}

/// What is theirs on each host, as it has to stay.
struct Neighbourhood<'a> {
    bench: &'a Bench,
    before: Vec<String>,
}

impl Neighbourhood<'_> {
    /// Whether all of it is there, on hosts 1 to `count`.
    fn same(&self, when: &str, count: u8) -> Result<(), Error> {
        let now = listed(self.bench, when)?;
        for (host, (before, now)) in (1..=count).zip(self.before.iter().zip(&now)) {
            let lost =
                before.lines().filter(|line| !now.lines().any(|one| one == *line)).map(|line| format!("- {line}"));
            let new =
                now.lines().filter(|line| !before.lines().any(|one| one == *line)).map(|line| format!("+ {line}"));
            let seen: Vec<String> = lost.chain(new).collect();
            let text = if seen.is_empty() {
                format!("host {host}: {} lines", now.lines().count())
            } else {
                format!("host {host}:\n{}", seen.join("\n"))
            };
            self.bench.check(&format!("{when}, each byte of the neighbours is there"), seen.is_empty(), text);
        }
        Ok(())
    }
}

fn listed(bench: &Bench, when: &str) -> Result<Vec<String>, Error> {
    (1..=HOSTS)
        .map(|host| {
            let text = bench.driver.must(host, LIST)?;
            bench.evidence.save(&format!("neighbours-{}-{host}.txt", when.replace(' ', "-")), &text);
            Ok(text)
        })
        .collect()
}

fn snapshots(bench: &Bench) -> Result<Vec<Snapshot>, Error> {
    (1..=HOSTS)
        .map(|host| {
            let snapshot = Snapshot::take(&bench.driver, host)?;
            bench.evidence.save(&format!("snapshot-before-{host}.txt"), &snapshot.text());
            Ok(snapshot)
        })
        .collect()
}

/// Runs `install` under a name: its exit code and what it said.
type Install<'a> = dyn Fn(&str) -> Result<(i32, String), Error> + 'a;

/// Data folders in which something lies are refused, each by name, and nothing is changed.
fn refused(bench: &Bench, hosts: &Neighbourhood<'_>, install: &Install<'_>) -> Result<(), Error> {
    let before = snapshots(bench)?;
    // The registry's on the only host that has one; of the others one each, so that each is found for itself.
    let places = [
        (2, DATA[0], "leftovers.etcd"),
        (1, DATA[1], "leftovers.registry"),
        (2, DATA[2], "leftovers.volumes"),
        (3, DATA[3], "leftovers.snapshots"),
    ];
    for (host, folder, _) in places {
        bench.driver.must(host, &format!("mkdir -p {folder} && echo precious >{folder}/precious"))?;
    }
    let (code, said) = install("into-full-folders")?;
    bench.check("data folders with something in them are refused", code == 11, format!("exit code {code}"));
    for (host, folder, check) in places {
        let told = said.lines().any(|line| line.contains(check) && line.contains("STRICT"));
        bench.check("each by its own check", told, check);
        let there =
            bench.driver.must(host, &format!("cat {folder}/precious; ls -A {folder} | wc -l; rm -r {folder}"))?;
        bench.check("and their content is untouched", there == "precious\n1\n", format!("{folder}: {there}"));
    }
    hosts.same("after the refusal", HOSTS)?;
    let allowed = ALLOWANCE.map(|(pattern, _)| pattern);
    for (before, now) in before.iter().zip(&snapshots(bench)?) {
        let differences = before.without(&allowed).differences(&now.without(&allowed));
        bench.check("nothing was changed", differences.is_empty(), describe(&differences, 8));
    }
    Ok(())
}

/// Makes two data folders into somebody else's: one without the mark, one with the mark of another install. Their content must
/// stay from now on.
fn strangers(bench: &Bench) -> Result<Vec<(u8, &'static str, String)>, Error> {
    let mut kept = Vec::new();
    for (host, folder, act) in
        [(2, DATA[2], "rm -f \"$mark\""), (1, DATA[3], "sed -i 's/[0-9a-f]\\{8\\}/00000000/g' \"$mark\"")]
    {
        let script = format!(
            "set -e; [ -d {folder} ]; mark=$(find {folder} -maxdepth 1 -name '.ferry*' -type f | head -1); [ -n \"$mark\" ] || {{ echo 'no mark'; exit 0; }}
             {act}; echo kept >{folder}/of-somebody"
        );
        let seen = bench.driver.run(host, &script)?;
        bench.check(
            "a data folder has ferry's mark",
            seen.code == 0 && seen.stdout.is_empty(),
            format!("{folder} of host {host}: {}{}", seen.stdout, seen.stderr),
        );
        kept.push((host, folder, tree(bench, host, folder)?));
    }
    Ok(kept)
}

/// All files of a folder with their digests.
fn tree(bench: &Bench, host: u8, folder: &str) -> Result<String, Error> {
    bench.driver.must(host, &format!("[ ! -d {folder} ] || find {folder} -type f -exec sha256sum {{}} + | sort -k2"))
}

/// What is ferry's own has to go: else nothing was proven.
fn gone(bench: &Bench) -> Result<(), Error> {
    const REST: &str = "ps -eo args | grep -E 'containerd|kubelet|kube-apiserver|etcd |registry serve' | grep -v grep
        ls -d /var/lib/ferry /var/lib/kubelet/pki /usr/local/bin/kubelet /etc/kubernetes/admin.conf /etc/kubernetes/manifests/kube-apiserver.yaml 2>/dev/null
        iptables-save | grep -E '^:(KUBE|CNI)-'; ip -o link | grep -E ' cni0[:@]'; grep ferry /etc/hosts; true";
    for host in 1..=HOSTS {
        let rest = bench.driver.must(host, REST)?;
        bench.check("nothing is left of ferry's own", rest.trim().is_empty(), format!("host {host}: {rest}"));
    }
    for (host, folder) in [(1, DATA[0]), (2, DATA[0]), (3, DATA[0]), (1, DATA[1]), (1, DATA[2]), (2, DATA[3])] {
        let rest = bench.driver.must(host, &format!("ls -A {folder} 2>/dev/null; true"))?;
        bench.check("marked data are wiped", rest.trim().is_empty(), format!("{folder} of host {host}: {rest}"));
    }
    Ok(())
}
