//! `hostile-user`: on each of three hosts a local user without rights races every verb: he learns the names that are made,
//! makes them himself before they are used again, as folders, links and programs, and replaces what is put into his folders.
//!
//! He must win against a careless script, else nothing is proven; against ferry he may gain nothing: no program of his is run
//! by root, no file is written through a link of his, nothing of root's lands in a folder of his, and the hosts are afterwards as
//! they were before. `hosts/hostile/` holds his program, the canaries and the careless script.

use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, HostLine, SiteOptions, WAIVERS};
use crate::program::Program;
use crate::run::snapshot::describe;
use crate::run::{Bench, Bundle, Shipped, Snapshot, cluster};

const HOSTS: u8 = 3;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";
const CLUSTER: &str = "raced";
const RACER: &str = include_str!("../../../hosts/hostile/racer.pl");
const BEGIN: &str = include_str!("../../../hosts/hostile/begin.sh");
const GAINED: &str = include_str!("../../../hosts/hostile/gained.sh");
const CONTROL: &str = include_str!("../../../hosts/hostile/control.sh");

const ONE: HostLine = HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" };
const TWO: HostLine = HostLine { host: 2, name: "two", roles: "worker" };
const THREE: HostLine = HostLine { host: 3, name: "three", roles: "control-plane, etcd" };

/// What may differ between a host before the install and after the uninstall.
const ALLOWANCE: [(&str, &str); 9] = [
    ("file /var/backups*", "snapshots on a host that has left stay, and the folder above copies of them"),
    ("*hostile.service*", "the hostile user's own unit"),
    ("file /var/lib/systemd/*", "systemd's own: when timers were due, what was enabled by presets"),
    ("file /var/cache/ldconfig*", "written by programs of the distribution"),
    ("file /etc/*-", "the backups that useradd and userdel keep of passwd, shadow, group and their like"),
    ("sysctl *neigh*", "the kernel's own, by the number of interfaces there were"),
    ("file /home/plain*", "the hostile user's own"),
    ("file /var/tmp*", "where the hostile user makes names, and may"),
    ("file /run*", "gone at the next boot"),
];

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: three, as new", || {
        bench.driver.prepare()?;
        bench.driver.up(HOSTS)?;
        (1..=HOSTS).try_for_each(|host| bench.driver.reset(host))
    })?;
    bench.step("the hostile user begins", || (1..=HOSTS).try_for_each(|host| begin(bench, host)))?;
    control(bench)?;
    let before = bench.step("snapshots", || {
        (1..=HOSTS).map(|host| Snapshot::take(&bench.driver, host)).collect::<Result<Vec<_>, _>>()
    })?;

    let site = bench.work.join("hostile.yaml");
    let options = SiteOptions { user: "ops", ssh: String::new(), more: WAIVERS.into() };
    let write = |lines: &[HostLine]| -> Result<(), Error> {
        let text = installer::site(&bench.driver, CLUSTER, lines, &options)?;
        std::fs::write(&site, text).map_err(Error::file("write", &site))
    };
    write(&[ONE, TWO])?;
    let state = installer::state_of(&site);
    let verb = |name: &str, program: Program, wanted: &[i32]| -> Result<(), Error> {
        let log = bench.evidence.path(&format!("ferry-install-{}.log", name.replace(' ', "-")));
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log))?;
        bench.evidence.copy(&state, "site");
        bench.check("the verb does its work all the same", wanted.contains(&code), format!("{name}: exit code {code}"));
        (1..=HOSTS).try_for_each(|host| gained(bench, host, name))
    };
    let bundled =
        |verb: &str| installer::with_bundle(&bench.driver, &shipped.install, verb, &site, &bundle.file, &bundle.key);
    let plain = |verb: &str, words: &[&str]| {
        let program = installer::install(&bench.driver, &shipped.install, verb).arg(&site).args(words);
        program.arg("--verbose").arg("--state").arg(&state)
    };
    let nodes = |verb: &str, host: &str| {
        installer::nodes(&bench.driver, &shipped.install, verb, &site, &bundle.file, &bundle.key, &[host])
    };
    // The first look teaches him the names; the second one uses them again.
    verb("check", bundled("check"), &[0])?;
    verb("check again", bundled("check"), &[0])?;
    verb("install", bundled("install"), &[0])?;
    verb("accept", bundled("accept"), &[0])?;
    verb("backup", plain("backup", &[]), &[0])?;
    write(&[ONE, TWO, THREE])?;
    verb("nodes add", nodes("add", "three"), &[0])?;
    verb("install again", bundled("install"), &[0])?;
    verb("restore", plain("restore", &["--snapshot", "latest", "--confirm", CLUSTER]), &[0])?;
    verb("nodes remove", nodes("remove", "three"), &[0])?;
    write(&[ONE, TWO])?;
    verb("uninstall", plain("uninstall", &["--wipe-data", "--confirm", CLUSTER]), &[0])?;

    for (host, before) in (1..=HOSTS).zip(&before) {
        let summary = bench.driver.must(
            host,
            "systemctl is-active hostile.service; systemctl stop hostile.service; grep '^events' /home/plain/racer.log | tail -1",
        )?;
        bench.evidence.save(&format!("racer-{host}.log"), &bench.driver.must(host, "cat /home/plain/racer.log")?);
        bench.check(
            "he was at work to the end",
            summary.starts_with("active\n"),
            format!("host {host}: {}", summary.replace('\n', " ")),
        );
        gained(bench, host, "the end")?;
        let after = Snapshot::take(&bench.driver, host)?;
        let allowed = ALLOWANCE.map(|(pattern, _)| pattern);
        let differences = before.without(&allowed).differences(&after.without(&allowed));
        bench.evidence.save(&format!("differences-{host}.txt"), &describe(&differences, usize::MAX));
        let seen = format!("host {host}: {}", describe(&differences, 12));
        bench.check("the host is as before, but for a list", differences.is_empty(), seen);
    }
    cluster::egress(bench)
}

/// His program and the canaries come to the host, and he begins.
fn begin(bench: &Bench, host: u8) -> Result<(), Error> {
    let put = format!("cat >/home/plain/racer.pl <<'RACER'\n{RACER}\nRACER\n");
    bench.driver.must(host, &put)?;
    bench.driver.must(host, BEGIN).map(drop)
}

/// What he has gained so far, which may be nothing.
fn gained(bench: &Bench, host: u8, when: &str) -> Result<(), Error> {
    let seen = bench.driver.must(host, GAINED)?;
    let lines: Vec<&str> = seen.lines().collect();
    let shown = format!("{when}, host {host}: {}", lines[..lines.len().min(6)].join("; "));
    bench.check("the hostile user has gained nothing", lines.is_empty(), shown);
    Ok(())
}

/// Against the careless script he must win: by a folder that `mkdir -p` takes for its own, and by a link where links of others are
/// followed. What he has won is taken from him again.
fn control(bench: &Bench) -> Result<(), Error> {
    let host = HOSTS;
    bench.step("the careless script, against which he must win", || bench.driver.must(host, CONTROL))?;
    let seen = bench.driver.must(host, GAINED)?;
    bench.evidence.save("control.txt", &format!("{seen}\n{}", bench.driver.must(host, "cat /home/plain/racer.log")?));
    let ran = seen.contains("was run by root");
    bench.check(
        "a careless folder: root runs a program of his",
        ran,
        seen.lines().next().unwrap_or("he gained nothing"),
    );
    let follows = std::fs::read_to_string("/proc/sys/fs/protected_symlinks").is_ok_and(|text| text.trim() == "0");
    let linked = seen.contains("written through a link of his");
    // Where the kernel protects sticky folders nobody can win that way, however careless.
    bench.check(
        "a careless file: root writes through a link of his",
        linked || !follows,
        format!("links are followed: {follows}"),
    );
    bench.driver.must(
        host,
        "systemctl stop hostile.service; find /home/plain /tmp /var/tmp /dev/shm /run/lock -xdev -mindepth 1 -name '.ssh' -prune -o \\( -user plain -o -path '/home/plain/caught/*' -o -path '/tmp/careless*' \\) ! -name '.*' -depth -print 2>/dev/null | grep -v '^/home/plain$' | while IFS= read -r path; do rm -rf \"$path\"; done; true",
    )?;
    begin(bench, host)?;
    let rest = bench.driver.must(host, GAINED)?;
    bench.check("he begins again with nothing", rest.trim().is_empty(), rest);
    Ok(())
}
