//! A site of two hosts on which every check passes, and all that is known of it.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::{Bind, Dialled, Findings, Fsync, HostMeasurement, Measurements, Needs, check, dials, listens};
use crate::facts::{Facts, debian, open_euler};
use crate::site::Site;

const TEXT: &str = "apiVersion: ferry.dev/v1
kind: Site
cluster: demo
vault: {passphrase: {env: FERRY_VAULT}}
hosts:
- {name: node1, address: 10.0.0.11, roles: [control-plane, worker, etcd, registry]}
- {name: node2, address: 10.0.0.12, roles: [worker]}
";

/// Two hosts: one with every role, one worker.
pub(crate) fn site() -> Site {
    site_with("")
}

/// The same, with more lines.
pub(crate) fn site_with(more: &str) -> Site {
    crate::site::read(Path::new("site.yaml"), &format!("{TEXT}{more}")).map_err(|error| error.to_string()).unwrap()
}

/// A site and all that is known of it.
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) facts: BTreeMap<String, Facts>,
    pub(crate) measurements: Measurements,
    pub(crate) needs: Needs,
}

impl World {
    /// All is well.
    pub(crate) fn healthy() -> Self {
        Self::of(site())
    }

    /// All is well, on a site with more lines.
    pub(crate) fn with(more: &str) -> Self {
        Self::of(site_with(more))
    }

    fn of(site: Site) -> Self {
        let mut one = debian();
        // etcd has a disk of its own.
        let etcd = &mut one.paths.get_mut("/var/lib/etcd").unwrap().space;
        (etcd.device, etcd.mounted_at) = ("/dev/vdb".into(), "/var/lib/etcd".into());
        let mut two = open_euler();
        // That host as its owner has made it ready.
        two.firewall.firewalld = false;
        if let Some(card) = two.network.interfaces.get_mut("ens192") {
            card.driver = "e1000".into();
        }
        // Whose clock has the control group version that is asked for: v2, as on the other.
        two.cgroups = one.cgroups.clone();
        for facts in [&mut one, &mut two] {
            facts.sshd.tunnel = Some(crate::host::Tunnel::Forwarding);
        }
        let facts = BTreeMap::from([("node1".to_owned(), one), ("node2".to_owned(), two)]);
        let measurements = Self::measured(&site);
        let needs = Needs {
            kubernetes: (1, 34),
            architectures: ["amd64".to_owned()].into(),
            registry_bytes: 4 << 30,
            image_bytes: 6 << 30,
            binary_bytes: 1 << 30,
            made_at: Some(1_795_000_000),
        };
        Self { site, facts, measurements, needs }
    }

    fn measured(site: &Site) -> Measurements {
        let host = |host: &crate::site::Host| {
            let bind = |(protocol, port)| Bind { protocol, port, error: None };
            let fsync = Fsync { p50_ms: 0.6, p99_ms: 2.5, max_ms: 9.0, writes: 10_030 };
            let binds = listens(site, host).map(|port| bind((port.protocol, port.number(site)))).collect();
            (host.name.clone(), HostMeasurement { binds, fsync: Some(fsync), problems: Vec::new() })
        };
        let sizes = [0, 1472];
        let dialled = dials(site)
            .into_iter()
            .flat_map(|dial| sizes.map(|bytes| Dialled { dial: dial.clone(), bytes, ms: Some(0.4), error: None }));
        let hosts = site.hosts.iter().map(host).collect();
        Measurements { hosts, dialled: dialled.collect(), ..Measurements::default() }
    }

    pub(crate) fn facts(&mut self, host: &str) -> &mut Facts {
        self.facts.get_mut(host).unwrap()
    }

    /// Both hosts' facts.
    pub(crate) fn all(&mut self, change: impl Fn(&mut Facts)) {
        self.facts.values_mut().for_each(change);
    }

    pub(crate) fn check(&self) -> Findings {
        check(&self.site, &self.facts, &self.measurements, &self.needs).unwrap()
    }
}
