//! The site as a whole: numbers of hosts, and ports that its own services share.

use std::collections::BTreeMap;

use super::check::{Run, Seen};
use super::{Check, Severity, listens};
use crate::site::file::Role;

/// Two control planes are worse than one: either's loss stops both.
pub(super) const AVAILABILITY: Check = Check {
    id: "site.availability",
    title: "the number of control-plane and etcd hosts survives the loss of one, or does not pretend to",
    severity: Severity::Warn,
    limit: None,
    fix: "use one, three or five hosts for etcd, and one or at least three for the control plane: two or four survive no more",
    run: Run::Site(|whole| {
        let (masters, members) = (whole.site.with(Role::ControlPlane).count(), whole.site.with(Role::Etcd).count());
        let evidence = format!("{masters} control-plane, {members} etcd");
        Seen::judge(masters != 2 && members % 2 == 1 && (masters < 3 || members >= 3), evidence)
    }),
};

/// Two services of ferry's own on one port of one host.
pub(super) const PORTS: Check = Check {
    id: "site.ports",
    title: "no two services of the site use one port of a host",
    severity: Severity::Strict,
    limit: None,
    fix: "set registry.port and endpoint.port to ports that nothing else uses",
    run: Run::Site(|whole| {
        let mut shared = Vec::new();
        for host in &whole.site.hosts {
            let mut users: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
            for port in listens(whole.site, host) {
                users.entry(port.number(whole.site)).or_default().push(port.what);
            }
            for (port, users) in users.into_iter().filter(|(_, users)| users.len() > 1) {
                shared.push(format!("{} on {}: {}", port, host.name, users.join(" and ")));
            }
        }
        if shared.is_empty() { Seen::good("all different") } else { Seen::bad(shared.join("; ")) }
    }),
};
