//! SELinux, AppArmor, packet filters, and agents that watch over programs. They stay on: ferry adds what it needs.

use super::check::{Run, Seen};
use super::{Check, Severity, listens};
use crate::step::knows_policies;

/// Without the policy for containers an enforcing SELinux stops every one of them.
pub(super) const SELINUX: Check = Check {
    id: "security.selinux",
    title: "SELinux has the policy for containers, if it enforces",
    severity: Severity::Fail,
    limit: None,
    fix: "install container-selinux from the distribution's medium",
    run: Run::Host(|on| match (on.facts.security.selinux_enforcing, &on.facts.security.container_selinux) {
        (None, _) => Seen::skipped("no SELinux"),
        (Some(false), _) => Seen::good("permissive"),
        (Some(true), Some(policy)) => Seen::good(format!("enforcing, {policy}")),
        (Some(true), None) => Seen::bad("enforcing, without container-selinux"),
    }),
};

/// firewalld stays on, and lets through what the roles listen on: the plan writes policies, which firewalld knows since 0.9.
pub(super) const FIREWALLD: Check = Check {
    id: "security.firewalld",
    title: "firewalld lets the site's hosts and pods through",
    severity: Severity::Fail,
    limit: None,
    fix: "open the ports that network.reach names",
    run: Run::Host(|on| {
        if !on.facts.firewall.firewalld {
            return Seen::good("it does not run");
        }
        let zone = &on.facts.firewall.zone;
        let version = &on.facts.firewall.version;
        if knows_policies(version) {
            return Seen::planned(
                format!("version {version} runs, default zone {zone}"),
                "adds two policies of its own for the ports of this host's roles and for pods, and reloads it; zones stay as they are",
            );
        }
        if version.is_empty() {
            return Seen::bad_fixed_by(
                "it runs, and did not say its version in time",
                "try again when the host is less busy",
            );
        }
        let hosts = on.site().hosts.iter().map(|host| host.internal.to_string());
        let ranges = on.site().ranges().map(|(_, range)| range.to_string());
        let sources: String = hosts.chain(ranges).map(|source| format!(" --add-source={source}")).collect();
        Seen::bad_fixed_by(
            format!("version {version} runs, default zone {zone}: too old for policies"),
            format!(
                "leave it on and let the site through: firewall-cmd --permanent --zone=trusted{sources} && firewall-cmd --reload; then waive this check"
            ),
        )
    }),
};

/// What ferry writes no rules for has to let the ports through by itself.
pub(super) const PACKET_FILTER: Check = Check {
    id: "security.packet-filter",
    title: "no other packet filter drops what is not allowed",
    severity: Severity::Fail,
    limit: None,
    fix: "allow the ports in that filter, and forwarding for pods; or use firewalld",
    run: Run::Host(|on| {
        let firewall = &on.facts.firewall;
        if firewall.firewalld {
            return Seen::skipped("firewalld is in charge");
        }
        if on.is_ours() {
            return Seen::skipped("ferry has worked here: kube-proxy and the pod network have rules of their own");
        }
        let mut found: Vec<String> = firewall.dropping.clone();
        if firewall.ufw {
            found.insert(0, "ufw".into());
        }
        if found.is_empty() {
            return Seen::good("none");
        }
        let site = on.site();
        let open = listens(site, on.host).filter(|port| port.is_open(site));
        let ports: Vec<String> =
            open.map(|port| format!("{}/{}", port.number(site), super::listening::name(port.protocol))).collect();
        let fix = format!("allow {} from the site's hosts, and forwarding for pods; or use firewalld", ports.join(" "));
        Seen::bad_fixed_by(format!("active or dropping: {}", found.join(", ")), fix)
    }),
};

/// containerd asks for the parser and refuses containers without it.
pub(super) const APPARMOR: Check = Check {
    id: "security.apparmor",
    title: "AppArmor's parser is there, if AppArmor is on",
    severity: Severity::Warn,
    limit: None,
    fix: "install the package apparmor from the distribution's medium",
    run: Run::Host(|on| {
        if !on.facts.security.apparmor {
            return Seen::skipped("no AppArmor");
        }
        Seen::judge(on.facts.has("apparmor_parser"), "AppArmor is on")
    }),
};

/// Services that stop unknown programs or slow every file operation, and who makes them.
const AGENTS: [(&str, &str); 11] = [
    ("fapolicyd", "fapolicyd"),
    ("falcon-sensor", "CrowdStrike"),
    ("ds_agent", "Trend Micro"),
    ("mdatp", "Microsoft Defender"),
    ("sav-protect", "Sophos"),
    ("sophos", "Sophos"),
    ("clamav-daemon", "ClamAV"),
    ("clamd", "ClamAV"),
    ("cbagentd", "Carbon Black"),
    ("sentinelone", "SentinelOne"),
    ("titanagent", "Qingteng"),
];

pub(super) const AGENT: Check = Check {
    id: "security.agents",
    title: "no agent decides which programs may run",
    severity: Severity::Warn,
    limit: None,
    fix: "let the agent's owner allow /usr/local/bin, /opt/cni/bin, /var/lib/containerd and /var/lib/kubelet",
    run: Run::Host(|on| {
        let runs = |name: &str| {
            on.facts.services.iter().any(|service| service.starts_with(name)) || on.facts.processes.contains(name)
        };
        let mut found: Vec<&str> = AGENTS.iter().filter(|(name, _)| runs(name)).map(|(_, maker)| *maker).collect();
        found.dedup();
        if found.is_empty() { Seen::good("none known runs") } else { Seen::bad(found.join(", ")) }
    }),
};
