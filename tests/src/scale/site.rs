//! The site: three control-plane hosts with etcd, one registry, and workers.

use std::fmt::Write as _;

/// A host of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its address among the hosts.
    pub internal: String,
    /// Its roles, as the site file has them.
    pub roles: &'static str,
    /// Its place, from 0.
    pub number: usize,
}

/// The password of all hosts.
pub const PASSWORD: &str = "planted-password";

/// So many hosts; at least five.
#[must_use]
pub fn entries(count: usize) -> Vec<Entry> {
    let entry = |number: usize| {
        let (name, roles) = match number {
            0..3 => (format!("cp{}", number + 1), "control-plane, etcd"),
            3 => ("registry1".to_owned(), "registry"),
            _ => (format!("w{:04}", number - 3), "worker"),
        };
        Entry { name, internal: format!("10.20.{}.{}", number / 200, number % 200 + 1), roles, number }
    };
    (0..count).map(entry).collect()
}

/// The site file of hosts that listen on these ports of 127.0.0.1.
#[must_use]
pub fn text(entries: &[Entry], ports: &[u16]) -> String {
    let mut text = String::from(
        "apiVersion: ferry.dev/v1\nkind: Site\ncluster: scale\nvault: {identity: identity}\n\
         ssh: {user: root, auth: [{password: {prompt: password}}]}\n\
         network: {kind: host-routes}\nstorage: {kind: none}\nkubernetes: {podCIDR: 10.64.0.0/12, serviceCIDR: 10.96.0.0/16}\nhosts:\n",
    );
    for (entry, port) in entries.iter().zip(ports) {
        let _ = writeln!(
            text,
            "- {{name: {}, address: 127.0.0.1, internalAddress: {}, roles: [{}], ssh: {{port: {port}}}}}",
            entry.name, entry.internal, entry.roles
        );
    }
    text
}
