//! Everything that proves an identity in the cluster, made offline before a host is touched.
//!
//! Four authorities (cluster, front proxy, etcd, registry), the service-account key pair, leaf certificates for etcd, the
//! registry and the API server's way to etcd, a bootstrap token, and the registry's passwords. kubeadm makes the other leaf
//! certificates on the hosts, from the authorities placed there. Names in the vault are the paths below `/etc/kubernetes/`
//! where there is one. What is in the vault already is kept, but for leaf certificates whose names have changed in the site
//! file, or that end within 30 days: these are made again, and the files that change by that restart what reads them.

mod authority;

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine as _;
use ferry_bundle_format::lock::Timestamp;

use crate::site::file::{EndpointKind, Role};
use crate::site::{Host, Site};
use crate::vault::{Vault, VaultError};
use authority::Validity;
pub use authority::{Purpose, certificate_pin};

/// The user that reads from the registry.
pub const PULL_USER: &str = "ferry-pull";
/// The user that writes to the registry, over its loopback port only.
pub const PUSH_USER: &str = "ferry-push";

/// The vault's entry with the reader's login, as HTTP's basic authentication sends it.
pub const PULL_LOGIN: &str = "registry/pull.login";

/// The vault's entry with the reader's login, as curl reads it from a configuration.
pub const PULL_CONFIG: &str = "registry/pull.curl";

/// The vault's entry with the writer's login, as curl reads it from a configuration.
pub const PUSH_CONFIG: &str = "registry/push.curl";

/// The vault's entry with the password of those who share a virtual address.
pub const VRRP_PASSWORD: &str = "endpoint/vrrp.password";

/// Makes what the site needs and the vault does not hold yet, and saves the vault if anything was made. Gives the names of
/// certificates that were there and were made again.
pub fn prepare(site: &Site, vault: &mut Vault, now: Timestamp) -> Result<Vec<String>, VaultError> {
    let held: BTreeSet<String> = vault.names().map(str::to_owned).collect();
    let mut again = Vec::new();
    let days = site.kubernetes.certificate_days.get();
    let long = Validity { from: now, days: site.kubernetes.authority_years.get().saturating_mul(365) };
    let short = Validity { from: now, days };
    let mut made = false;
    for (name, subject) in [
        ("pki/ca", "kubernetes"),
        ("pki/front-proxy-ca", "front-proxy-ca"),
        ("pki/etcd/ca", "etcd-ca"),
        ("registry/ca", "ferry-registry-ca"),
    ] {
        made |= authority::ensure_authority(vault, name, subject, long)?;
    }
    made |= authority::ensure_key_pair(vault, "pki/sa")?;
    let mut leaf = |vault: &mut Vault, name: &str, by: &str, subject: &str, purpose, names: &[String]| {
        let new = authority::ensure_leaf(vault, name, by, subject, purpose, names, short)?;
        if new && held.contains(&format!("{name}.crt")) {
            again.push(name.to_owned());
        }
        made |= new;
        Ok::<_, VaultError>(())
    };
    for host in site.with(Role::Etcd) {
        for what in ["server", "peer"] {
            let name = format!("etcd/{}/{what}", host.name);
            leaf(vault, &name, "pki/etcd/ca", &host.name, Purpose::Both, &names(host))?;
        }
    }
    for (name, subject) in
        [("pki/apiserver-etcd-client", "kube-apiserver-etcd-client"), ("pki/etcd/healthcheck-client", "ferry-etcd")]
    {
        leaf(vault, name, "pki/etcd/ca", subject, Purpose::Client, &[])?;
    }
    for host in site.with(Role::Registry) {
        let mut subjects = names(host);
        subjects.push(site.registry.name.to_string());
        let name = format!("registry/{}", host.name);
        leaf(vault, &name, "registry/ca", &site.registry.name, Purpose::Server, &subjects)?;
    }
    made |= passwords(vault)?;
    if site.endpoint.kind == EndpointKind::Vip && !vault.holds(VRRP_PASSWORD) {
        // VRRP knows no more than eight characters.
        vault.put(VRRP_PASSWORD, random_text(8)?);
        made = true;
    }
    if made {
        vault.save()?;
    }
    Ok(again)
}

/// The names and addresses by which a host's own servers are called.
fn names(host: &Host) -> Vec<String> {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    vec![host.name.clone(), "localhost".into(), host.internal.to_string(), loopback.to_string()]
}

fn passwords(vault: &mut Vault) -> Result<bool, VaultError> {
    let mut made = false;
    if !vault.holds("kubeadm/token") {
        let text = random_text(22)?;
        vault.put("kubeadm/token", format!("{}.{}", &text[..6], &text[6..]));
        made = true;
    }
    for (place, user) in [("pull", PULL_USER), ("push", PUSH_USER)] {
        let name = format!("registry/{place}.password");
        if !vault.holds(&name) {
            let password = random_text(32)?;
            // The registry checks the hash at every request: a random password of 32 characters needs no slow hash.
            let hash = bcrypt::hash(&password, 5).map_err(|_| VaultError::Make("a password's hash".into()))?;
            vault.put(&name, password);
            vault.put(&format!("registry/{place}.htpasswd"), format!("{user}:{hash}\n"));
            made = true;
        }
    }
    // As containerd's files hold it: known, so that it is kept out of everything that is written down.
    if let (false, Some(password)) = (vault.holds(PULL_LOGIN), vault.get("registry/pull.password")) {
        let pair = format!("{PULL_USER}:{}", password.expose());
        vault.put(PULL_LOGIN, base64::engine::general_purpose::STANDARD.encode(pair));
        made = true;
    }
    for (name, user, of) in [(PULL_CONFIG, PULL_USER, "pull"), (PUSH_CONFIG, PUSH_USER, "push")] {
        if let (false, Some(password)) = (vault.holds(name), vault.get(&format!("registry/{of}.password"))) {
            vault.put(name, format!("user = \"{user}:{}\"\n", password.expose()));
            made = true;
        }
    }
    Ok(made)
}

/// Random lower case letters and digits, 5 bits each.
fn random_text(length: usize) -> Result<String, VaultError> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Make("random numbers".into()))?;
    Ok(bytes.iter().map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Secret;
    use crate::vault::VaultKey;
    use std::process::Command;

    const SITE: &str = "apiVersion: ferry.dev/v1\nkind: Site\ncluster: demo\nvault: {identity: id}\nhosts:\n- {name: one, address: 10.0.0.11, roles: [control-plane, worker, etcd, registry]}\n";

    #[test]
    fn a_leaf_is_made_again_when_its_names_change_or_it_ends_soon() {
        let folder = tempfile::tempdir().unwrap();
        let identity = ferry_bundle_format::sign::secret::generate_identity().0;
        let key = VaultKey::Identity(Secret::new(identity.as_str()));
        let mut vault = Vault::open(&folder.path().join("vault.age"), key).unwrap();
        let site =
            |text: &str| crate::site::read(std::path::Path::new("site.yaml"), text).map_err(|e| e.to_string()).unwrap();
        let at = |days: i64| Timestamp::from_unix(1_790_000_000 + days * 86_400);
        let of = |vault: &Vault, name: &str| vault.get(name).unwrap().expose().to_owned();
        assert!(prepare(&site(SITE), &mut vault, at(0)).unwrap().is_empty());
        let (authority, first) = (of(&vault, "registry/ca.crt"), of(&vault, "registry/one.crt"));
        // 365 days: on the last day but 31 nothing is made, a day later all leaves are.
        assert!(prepare(&site(SITE), &mut vault, at(330)).unwrap().is_empty());
        assert_eq!(of(&vault, "registry/one.crt"), first);
        let again = prepare(&site(SITE), &mut vault, at(336)).unwrap();
        let all = [
            "etcd/one/server",
            "etcd/one/peer",
            "pki/apiserver-etcd-client",
            "pki/etcd/healthcheck-client",
            "registry/one",
        ];
        assert_eq!(again, all);
        assert!(of(&vault, "registry/one.crt") != first && of(&vault, "registry/ca.crt") == authority);
        assert!(prepare(&site(SITE), &mut vault, at(337)).unwrap().is_empty());
        // Another address, another name: only what stands for them.
        let moved = SITE.replace("10.0.0.11", "10.0.0.12");
        assert_eq!(prepare(&site(&moved), &mut vault, at(337)).unwrap(), [all[0], all[1], all[4]]);
        let named = format!("{moved}registry: {{name: images.demo.local}}\n");
        assert_eq!(prepare(&site(&named), &mut vault, at(337)).unwrap(), ["registry/one"]);
        assert!(prepare(&site(&named), &mut vault, at(337)).unwrap().is_empty());
        // A life of few days is not made again by each run.
        let short = format!("{named}kubernetes: {{certificateDays: 9}}\n");
        vault.forget(|name| name.starts_with("registry/one"));
        assert!(prepare(&site(&short), &mut vault, at(337)).unwrap().is_empty());
        assert!(!prepare(&site(&short), &mut vault, at(342)).unwrap().contains(&"registry/one".to_owned()));
        assert!(prepare(&site(&short), &mut vault, at(345)).unwrap().contains(&"registry/one".to_owned()));
        // What can't be read is made again, too.
        vault.put("registry/one.crt", "no certificate");
        assert_eq!(prepare(&site(&short), &mut vault, at(345)).unwrap(), ["registry/one"]);
    }

    #[test]
    fn openssl_accepts_what_was_made_and_a_second_time_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let identity = ferry_bundle_format::sign::secret::generate_identity().0;
        let path = folder.path().join("vault.age");
        let mut vault = Vault::open(&path, VaultKey::Identity(Secret::new(identity.as_str()))).unwrap();
        let site = crate::site::read(std::path::Path::new("site.yaml"), SITE).map_err(|e| e.to_string()).unwrap();
        let now = Timestamp::from_unix(1_790_000_000);
        prepare(&site, &mut vault, now).unwrap();
        let before = std::fs::read(&path).unwrap();
        prepare(&site, &mut vault, now).unwrap();
        assert_eq!(before, std::fs::read(&path).unwrap());
        for name in [
            "pki/etcd/ca.crt",
            "etcd/one/server.crt",
            "pki/ca.crt",
            "registry/ca.crt",
            "registry/one.crt",
            "pki/sa.key",
            "pki/sa.pub",
        ] {
            let file = folder.path().join(name.replace('/', "_"));
            std::fs::write(&file, vault.get(name).unwrap().expose()).unwrap();
        }
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        openssl(&[
            "verify",
            "-attime",
            "1790000300",
            "-x509_strict",
            "-CAfile",
            "pki_etcd_ca.crt",
            "-verify_ip",
            "10.0.0.11",
            "etcd_one_server.crt",
        ]);
        openssl(&[
            "verify",
            "-attime",
            "1790000300",
            "-x509_strict",
            "-CAfile",
            "registry_ca.crt",
            "-verify_hostname",
            "registry.demo.local",
            "registry_one.crt",
        ]);
        assert_eq!(openssl(&["pkey", "-in", "pki_sa.key", "-pubout"]), vault.get("pki/sa.pub").unwrap().expose());
        let spki = Command::new("sh").current_dir(folder.path()).args(["-c", "openssl x509 -pubkey -noout -in pki_ca.crt | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1"]).output().unwrap();
        let pin = certificate_pin(vault.get("pki/ca.crt").unwrap().expose()).unwrap();
        assert_eq!(pin, format!("sha256:{}", String::from_utf8_lossy(&spki.stdout).trim()));
    }
}
