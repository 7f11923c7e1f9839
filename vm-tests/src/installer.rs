//! The command lines of the shipped programs, in one place: `ferry-bundle` as the maker calls it, `ferry-install` as
//! a technician on site does, and the site file that he writes.

use std::path::Path;

use crate::error::Error;
use crate::hosts::Driver;
use crate::program::Program;

/// The passphrase of the cluster's vault; planted, so that it can be looked for where it must not be.
pub const VAULT_PASSPHRASE: &str = "vm-tests-planted-Vx7-vault-passphrase";

/// The passphrase of the signing key.
pub const KEY_PASSPHRASE: &str = "vm-tests-planted-Kq3-key-passphrase";

/// What no host of the bed can have, allowed for as a customer would: by name and with the reason. The disk is shared
/// with whatever else the machine does, builds above all.
pub const WAIVERS: &str = "thresholds: {disk.fsync: 1000, etcd.fsync: 1000, etcd.commit: 1000}
waivers:
- {check: time.source, reason: \"the hosts share the machine's clock and may not set it\"}
- {check: time.synchronized, reason: \"the hosts share the machine's clock and may not set it\"}
";

/// What a site file says beside its hosts.
#[derive(Debug, Clone)]
pub struct SiteOptions {
    /// The user to log in as.
    pub user: &'static str,
    /// Lines below `ssh:`, indented by two.
    pub ssh: String,
    /// More lines at the end of the file.
    pub more: String,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self { user: "root", ssh: String::new(), more: WAIVERS.into() }
    }
}

/// A host of a site of several.
#[derive(Debug, Clone, Copy)]
pub struct HostLine {
    /// Its number in the lab.
    pub host: u8,
    /// Its name.
    pub name: &'static str,
    /// Its roles, as the site file has them.
    pub roles: &'static str,
}

/// How a site reaches its API and its pods, as the scenarios have it that are about something else.
pub const USUAL: &str = "endpoint: {kind: local, port: 8443}\nnetwork: {kind: host-routes}\n";

/// The site file of several hosts, each with its host key pinned, and with a balancer of the API on every node.
pub fn site(driver: &dyn Driver, cluster: &str, hosts: &[HostLine], options: &SiteOptions) -> Result<String, Error> {
    site_shaped(driver, cluster, hosts, options, USUAL)
}

/// Likewise, with lines about the endpoint and the pod network.
pub fn site_shaped(
    driver: &dyn Driver,
    cluster: &str,
    hosts: &[HostLine],
    options: &SiteOptions,
    shape: &str,
) -> Result<String, Error> {
    let mut text = format!(
        "apiVersion: ferry.dev/v1
kind: Site
cluster: {cluster}
vault: {{passphrase: {{env: FERRY_VAULT}}}}
ssh:
  user: {}
  auth:
  - key: {{file: {}}}
{}hosts:
",
        options.user,
        driver.identity().display(),
        options.ssh,
    );
    for HostLine { host, name, roles } in hosts {
        let (address, key) = (driver.address(*host)?, fingerprint(&driver.host_key(*host)?)?);
        text.push_str(&format!("- {{name: {name}, address: {address}, roles: [{roles}], hostKey: \"{key}\"}}\n"));
    }
    text.push_str(shape);
    text.push_str("dns: {}\n");
    text.push_str(&options.more);
    Ok(text)
}

/// The site file of one host that does everything, with its host key pinned.
pub fn single_node_site(driver: &dyn Driver, host: u8, options: &SiteOptions) -> Result<String, Error> {
    let address = driver.address(host)?;
    let fingerprint = fingerprint(&driver.host_key(host)?)?;
    let identity = driver.identity();
    Ok(format!(
        "apiVersion: ferry.dev/v1
kind: Site
cluster: single
vault: {{passphrase: {{env: FERRY_VAULT}}}}
ssh:
  user: {}
  auth:
  - key: {{file: {}}}
{}hosts:
- name: node{host}
  address: {address}
  roles: [control-plane, worker, etcd, registry]
  hostKey: {fingerprint}
network: {{kind: host-routes}}
dns: {{}}
{}",
        options.user,
        identity.display(),
        options.ssh,
        options.more
    ))
}

/// A public key's fingerprint as OpenSSH prints it.
pub fn fingerprint(key: &str) -> Result<String, Error> {
    let printed = Program::new("ssh-keygen").args(["-l", "-f", "-"]).input(key).run()?;
    let word = printed.split_whitespace().nth(1).unwrap_or_default();
    Ok(word.to_owned())
}

/// `ferry-install VERB SITE --bundle …`, beside the hosts and with nothing to ask.
pub fn with_bundle(driver: &dyn Driver, program: &Path, verb: &str, site: &Path, bundle: &Path, key: &Path) -> Program {
    install(driver, program, verb)
        .arg(site)
        .arg("--bundle")
        .arg(bundle)
        .arg("--trust")
        .arg(key)
        .args(["--yes", "--verbose"])
        .arg("--state")
        .arg(state_of(site))
}

/// `ferry-install nodes VERB SITE HOST… --bundle …`, likewise.
pub fn nodes(
    driver: &dyn Driver,
    program: &Path,
    verb: &str,
    site: &Path,
    bundle: &Path,
    key: &Path,
    words: &[&str],
) -> Program {
    install(driver, program, "nodes")
        .arg(verb)
        .arg(site)
        .args(words)
        .arg("--bundle")
        .arg(bundle)
        .arg("--trust")
        .arg(key)
        .args(["--yes", "--verbose"])
        .arg("--state")
        .arg(state_of(site))
}

/// `ferry-install VERB`.
pub fn install(driver: &dyn Driver, program: &Path, verb: &str) -> Program {
    let program = program.display().to_string();
    driver.beside(&program).arg(verb).env("FERRY_VAULT", VAULT_PASSPHRASE)
}

/// Where ferry-install keeps what it knows of a site.
#[must_use]
pub fn state_of(site: &Path) -> std::path::PathBuf {
    site.with_extension("ferry")
}

/// `ferry-bundle VERB`.
#[must_use]
pub fn bundle(program: &Path, verb: &str) -> Program {
    Program::new(program).args(["--plain", verb]).env("FERRY_KEY_PASSPHRASE", KEY_PASSPHRASE)
}
