//! Whether the ports are free that ferry's own services will listen on.

use super::check::{OnHost, Run, Seen};
use super::{Check, Severity, listens};
use crate::facts::Protocol;

/// NodePorts, by Kubernetes' default.
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// By what the system lists.
pub(super) const FREE: Check = Check {
    id: "ports.free",
    title: "nothing listens on ports that will be needed",
    severity: Severity::Fail,
    limit: None,
    fix: "stop what listens there, or give it another port",
    run: Run::Host(|on| {
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: the ports are its own");
        }
        let wanted: Vec<(Protocol, u16, &str)> = wanted(on);
        let taken: Vec<String> = wanted
            .iter()
            .filter_map(|(protocol, port, what)| {
                let found =
                    on.facts.sockets.iter().find(|socket| (socket.protocol, socket.port) == (*protocol, *port))?;
                let by = if found.process.is_empty() { "something" } else { &found.process };
                Some(format!("{by} listens on {port}/{} ({what})", name(*protocol)))
            })
            .collect();
        if taken.is_empty() { Seen::good(format!("{} ports", wanted.len())) } else { Seen::bad(taken.join("; ")) }
    }),
};

/// By having them for a moment: what no list shows may still be taken.
pub(super) const BIND: Check = Check {
    id: "ports.bind",
    title: "the ports can be had",
    severity: Severity::Fail,
    limit: None,
    fix: "find what holds the port (ss -lntup), or what forbids it (SELinux, ip_local_reserved_ports)",
    run: Run::Host(|on| {
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: the ports are its own");
        }
        let binds = on.measured().map(|measured| measured.binds.as_slice()).unwrap_or_default();
        if binds.is_empty() {
            return on.not_measured();
        }
        let failed: Vec<String> = binds
            .iter()
            .filter_map(|bind| Some(format!("{}/{}: {}", bind.port, name(bind.protocol), bind.error.as_ref()?)))
            .collect();
        if failed.is_empty() { Seen::good(format!("{} ports", binds.len())) } else { Seen::bad(failed.join("; ")) }
    }),
};

/// A client's port that lies among the NodePorts takes one away at random.
pub(super) const NODE_PORT_RANGE: Check = Check {
    id: "ports.node-ports",
    title: "NodePorts and the ports of outgoing connections are apart",
    severity: Severity::Warn,
    limit: None,
    fix: "sysctl net.ipv4.ip_local_port_range=\"32768 60999\"",
    run: Run::Host(|on| {
        if !on.host.is_node() {
            return Seen::skipped("no kubelet runs here");
        }
        let range = on.facts.sysctls.get("net.ipv4.ip_local_port_range").cloned().unwrap_or_default();
        let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u16>().ok());
        let (Some(first), Some(last)) = (ends.next(), ends.next()) else {
            return Seen::skipped("the kernel does not say its range");
        };
        Seen::judge(first > *NODE_PORTS.end() || last < *NODE_PORTS.start(), format!("outgoing: {first} to {last}"))
    }),
};

fn wanted(on: &OnHost<'_>) -> Vec<(Protocol, u16, &'static str)> {
    let site = on.site();
    listens(site, on.host).map(|port| (port.protocol, port.number(site), port.what)).collect()
}

pub(super) fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}
