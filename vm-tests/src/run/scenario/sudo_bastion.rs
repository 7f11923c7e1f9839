//! `sudo-bastion`: one node, installed the hard way: through a bastion with another user and a key with a passphrase, as
//! a user who logs in by password and whom sudo asks for it; and nobody sees any of it.
//!
//! ```text
//! operator ──plain, key with passphrase──► node1 (bastion) ──pw, password──► node2, then sudo with a password
//! ```
//! While it goes on the processes of both hosts and of the operator are watched. What was seen, what was written down
//! here and there, and what others than root can read on the hosts is searched for planted secrets and for those that the
//! site's vault holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hosts::{self, Driver as _, Fault, USER_PASSWORD};
use crate::installer;
use crate::program::Program;
use crate::run::sampler::{self, Sampler, Seen, Watched};
use crate::run::secrets::Secrets;
use crate::run::{Bench, Bundle, Shipped, cluster};

const BASTION: u8 = 1;
const HOST: u8 = 2;
const MANIFEST: &str = "kubernetes-1.34-core.yaml";

/// Whose processes were watched, and what was seen of them.
type Samples = Vec<(&'static str, Seen)>;

/// Of the key that opens the bastion.
const LOGIN_PASSPHRASE: &str = "vm-tests-planted-Bn5-login-key-passphrase";

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::made(bench, &shipped, MANIFEST)?;
    bench.step("hosts: two, as new; the second can be reached through the first only", || {
        bench.driver.prepare()?;
        bench.driver.up(HOST)?;
        bench.driver.reset(BASTION)?;
        bench.driver.reset(HOST)?;
        bench.driver.fault(HOST, &Fault::of("bastion")?)
    })?;
    let direct = bench.driver.ssh(HOST, "root")?.arg("true").succeeds();
    bench.check("the operator can't reach the host itself", !direct, "");
    for host in [BASTION, HOST] {
        let control = bench.step("the sampler sees what it is to see", || sampler::control(&bench.driver, host))?;
        let seen = format!("host {host}: of {} processes that only begin and end it saw {}", control.of, control.short);
        bench.check(
            "planted words in arguments and environments are seen",
            control.argument && control.environment,
            seen,
        );
    }
    let counted = bench.step("what leaves is counted", || hosts::self_test(&bench.driver, HOST))?;
    bench.check("attempts to leave are counted", counted.packets > 0, format!("{} packets of a test", counted.packets));

    let site = site(bench)?;
    let planted = planted()?;
    wrong_password(bench, &shipped, &bundle, &site)?;
    let (code, samples) = watched(bench, || install(bench, &shipped, &bundle, &site, "first"))?;
    bench.check("ferry-install ends with 0, accepted", code == 0, format!("exit code {code}"));
    if code == 0 {
        let before = cluster::snapshot(&bench.driver, HOST)?;
        let code = install(bench, &shipped, &bundle, &site, "again")?;
        let after = cluster::snapshot(&bench.driver, HOST)?;
        let changed: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).take(5).collect();
        bench.check("a second install ends with 0", code == 0, format!("exit code {code}"));
        bench.check("a second install changes nothing", before == after, changed.join("; "));
    }
    cluster::egress(bench)?;
    bench.step("the way to the host is opened, to look at it", || bench.driver.heal(HOST))?;
    logins(bench)?;
    if code == 0 {
        cluster::all(bench, HOST, &bundle)?;
    }
    let state = installer::state_of(&site);
    let generated = Secrets::of_vault(&state.join("vault.age"))?;
    let names = generated.names();
    let there = ["kubeadm/token", "registry/pull.password", "registry/push.password"];
    let count = format!("{} secrets", names.len());
    bench.check("the vault's secrets are known", there.iter().all(|name| names.contains(name)), count);
    bench.step("look for secrets in what processes showed", || shown(bench, &samples, &planted, &generated))?;
    bench.step("look for secrets in what was written down", || written(bench, &state, &planted, &generated))
}

/// The site as a technician writes it: the key for the bastion, everything else by reference.
fn site(bench: &Bench) -> Result<PathBuf, Error> {
    let driver = &bench.driver;
    let key = bench.work.join("bastion-key");
    Program::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "operator", "-N", LOGIN_PASSPHRASE, "-f"])
        .arg(&key)
        .run()?;
    let public = bench.work.join("bastion-key.pub");
    let public = std::fs::read_to_string(&public).map_err(Error::file("read", &public))?;
    // The bed's own key is not good enough for this user any more.
    driver.must(BASTION, &format!("echo '{}' > /home/plain/.ssh/authorized_keys", public.trim()))?;
    let text = format!(
        "apiVersion: ferry.dev/v1
kind: Site
cluster: plant-7
vault: {{passphrase: {{env: FERRY_VAULT}}}}
bastions:
- name: gate
  address: {}
  hostKey: {}
  ssh:
    user: plain
    auth:
    - key: {{file: {}, passphrase: {{env: FERRY_KEY}}}}
ssh:
  user: pw
  auth:
  - password: {{env: FERRY_LOGIN}}
  privilege: {{sudoPassword: {{env: FERRY_SUDO}}}}
  via: [gate]
hosts:
- name: node{HOST}
  address: {}
  roles: [control-plane, worker, etcd, registry]
  hostKey: {}
network: {{kind: host-routes}}
{}",
        driver.address(BASTION)?,
        installer::fingerprint(&driver.host_key(BASTION)?)?,
        key.display(),
        driver.address(HOST)?,
        installer::fingerprint(&driver.host_key(HOST)?)?,
        installer::WAIVERS
    );
    let site = bench.work.join("plant-7.yaml");
    std::fs::write(&site, &text).map_err(Error::file("write", &site))?;
    bench.evidence.save("site.yaml", &text);
    Ok(site)
}

fn planted() -> Result<Secrets, Error> {
    let mut planted = Secrets::default();
    planted.add("the vault's passphrase", installer::VAULT_PASSPHRASE)?;
    planted.add("the signing key's passphrase", installer::KEY_PASSPHRASE)?;
    planted.add("the login key's passphrase", LOGIN_PASSPHRASE)?;
    planted.add("the password for login and sudo", USER_PASSWORD)?;
    Ok(planted)
}

/// `ferry-install VERB` with the operator's secrets in its environment.
fn ferry(bench: &Bench, shipped: &Shipped, bundle: &Bundle, site: &Path, sudo: &str) -> Program {
    installer::with_bundle(&bench.driver, &shipped.install, "install", site, &bundle.file, &bundle.key)
        .env("FERRY_KEY", LOGIN_PASSPHRASE)
        .env("FERRY_LOGIN", USER_PASSWORD)
        .env("FERRY_SUDO", sudo)
}

fn install(bench: &Bench, shipped: &Shipped, bundle: &Bundle, site: &Path, name: &str) -> Result<i32, Error> {
    let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
    let program = ferry(bench, shipped, bundle, site, USER_PASSWORD);
    let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log));
    bench.evidence.copy(&installer::state_of(site), "site");
    code
}

/// A wrong password for sudo ends at once, says what to do, and has changed nothing.
fn wrong_password(bench: &Bench, shipped: &Shipped, bundle: &Bundle, site: &Path) -> Result<(), Error> {
    let before = cluster::snapshot(&bench.driver, HOST)?;
    let program = ferry(bench, shipped, bundle, site, "not that one");
    let ended = bench.step("ferry-install: with a wrong password for sudo", || program.ended())?;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    bench.evidence.save("ferry-install-wrong-password.log", &said);
    let says = ended.code == 7 && said.contains("can't become root") && said.contains("hint: ");
    let seen = format!("exit code {}: {}", ended.code, ended.stderr.replace('\n', " / "));
    bench.check("a wrong password for sudo is named as such", says && !said.contains("not that one"), seen);
    let after = cluster::snapshot(&bench.driver, HOST)?;
    bench.check("nothing was changed with a wrong password", before == after, "");
    Ok(())
}

/// Does something while all processes are watched; whose they are, and what was seen.
fn watched<T>(bench: &Bench, act: impl FnOnce() -> Result<T, Error>) -> Result<(T, Samples), Error> {
    let on = |host| Ok::<_, Error>(Sampler::start(Watched::Host(bench.driver.processes(host)?)));
    let samplers = [("node2", on(HOST)?), ("node1", on(BASTION)?), ("operator", Sampler::start(Watched::Own))];
    let result = act();
    let seen: Result<Vec<_>, Error> = samplers.into_iter().map(|(of, sampler)| Ok((of, sampler.stop()?))).collect();
    Ok((result?, seen?))
}

/// Arguments and environments.
fn shown(bench: &Bench, samples: &Samples, planted: &Secrets, generated: &Secrets) -> Result<(), Error> {
    for (of, seen) in samples {
        let file = bench.evidence.path(&format!("processes-{of}.txt"));
        std::fs::write(&file, seen.text()).map_err(Error::file("write", &file))?;
        bench.evidence.note(&format!("{of}: processes seen"), seen.summary());
        let found: BTreeSet<String> = planted.here(&file)?.union(&generated.here(&file)?).cloned().collect();
        let seen_one = if found.is_empty() { seen.summary() } else { list(&found) };
        bench.check(&format!("{of}: no secret in arguments or environments"), found.is_empty(), seen_one);
        bench.check(&format!("{of}: enough was seen"), seen.rounds > 500 && !seen.lines.is_empty(), seen.summary());
    }
    Ok(())
}

/// Files here and on the hosts, and journals.
fn written(bench: &Bench, state: &Path, planted: &Secrets, generated: &Secrets) -> Result<(), Error> {
    for (what, secrets) in [("planted", planted), ("generated", generated)] {
        for (place, path) in [("the installer's state", state), ("the evidence", &bench.evidence.path(""))] {
            let found = secrets.here(path)?;
            bench.check(&format!("no {what} secret in {place}"), found.is_empty(), list(&found));
        }
        for host in [HOST, BASTION] {
            let found = secrets.in_journal(&bench.driver, host)?;
            bench.check(&format!("no {what} secret in the journal of node{host}"), found.is_empty(), list(&found));
        }
        let found = secrets.on_host(&bench.driver, HOST, "ops")?;
        bench.check(
            &format!("no {what} secret on the host that others than root can read"),
            found.is_empty(),
            list(&found),
        );
    }
    for host in [HOST, BASTION] {
        let found = planted.on_host(&bench.driver, host, "root")?;
        bench.check(&format!("no planted secret on node{host}"), found.is_empty(), list(&found));
    }
    // That it would be found: the host has what it needs, for root alone.
    let found = generated.on_host(&bench.driver, HOST, "root")?;
    bench.evidence.save("secrets-for-root.txt", &found.iter().map(|line| format!("{line}\n")).collect::<String>());
    let pull = found.iter().any(|line| line.starts_with("registry/pull.login in /etc/containerd/"));
    bench.check("root's own files hold what the host needs", pull, format!("{} findings", found.len()));
    Ok(())
}

/// The host's own journal says who came in from where, and the bastion's the same.
fn logins(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    let log = |host| driver.must(host, "journalctl -b -u ssh --no-pager -o cat | grep Accepted | sort | uniq -c; true");
    let (target, gate) = (log(HOST)?, log(BASTION)?);
    let by_password = format!("password for pw from {}", driver.address(BASTION)?);
    bench.check("pw came by password from the bastion", target.contains(&by_password), target.trim());
    bench.check(
        "the operator came to the bastion as plain",
        gate.contains("publickey for plain from 10.77.0.1 "),
        gate.trim(),
    );
    Ok(())
}

fn list(found: &BTreeSet<String>) -> String {
    found.iter().take(8).cloned().collect::<Vec<_>>().join("; ")
}
