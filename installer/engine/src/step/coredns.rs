//! CoreDNS that works in a site without a name server: names it does not know are refused at once, not after a time-out.
//!
//! Its ConfigMap is placed before kubeadm installs the addon, which keeps one that is there: the default would ask
//! `/etc/resolv.conf`, and with that empty CoreDNS does not start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::base::{FILES, PROGRAMS};
use super::context::Context;
use super::control_plane::{KUBECTL, objects, objects_folder};
use super::rollout::Rollout;
use crate::action::{Action, Run, Subject};
use crate::plan::Step;
use crate::site::file::{EndpointKind, Role};
use crate::site::{Host, Site};

/// The step that gives the cluster its names.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Step {
    let file: String = corefile(context.site).lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: coredns\n  namespace: kube-system\ndata:\n  Corefile: |\n{file}"
    );
    let mut actions = vec![objects_folder()];
    actions.extend(objects(&format!("{FILES}/objects/coredns.yaml"), "CoreDNS's configuration", text));
    // A connection to a Service that begins before kube-proxy's rules stand goes astray, and hangs until it times out.
    let synced = format!("{PROGRAMS}/ferry-probe get http://127.0.0.1:10256/healthz");
    actions.push(Action::Run(
        Run::unless(
            "kube-proxy has set up Services",
            Subject::Wait,
            synced.clone(),
            format!("for i in $(seq 120); do {synced} && exit 0; sleep 1; done; {KUBECTL} -n kube-system get pods -o wide >&2; exit 1"),
        )
        .within(180),
    ));
    // On all of them, because CoreDNS may start on any.
    let rollout = Rollout { namespace: "kube-system", what: "daemonset/kube-proxy" };
    actions.push(rollout.action(context, "kube-proxy runs on every node that could be reached"));
    actions.push(Action::Run(
        Run::unless(
            "kubeadm phase addon coredns",
            Subject::Kubeadm,
            format!("{KUBECTL} -n kube-system get deployment coredns && {KUBECTL} -n kube-system get service kube-dns"),
            "/usr/local/bin/kubeadm init phase addon coredns --config /etc/ferry/kubeadm.yaml".to_owned(),
        )
        .within(120)
        .retried(2),
    ));
    Step::new("cluster.names", &host.name, "CoreDNS", actions)
}

fn corefile(site: &Site) -> String {
    let domain = &site.kubernetes.dns_domain;
    let others = if site.dns.upstream.is_empty() {
        "template ANY ANY . {\n       rcode NXDOMAIN\n    }".to_owned()
    } else {
        let servers: Vec<String> = site.dns.upstream.iter().map(ToString::to_string).collect();
        format!("forward . {} {{\n       max_concurrent 1000\n    }}\n    cache 30", servers.join(" "))
    };
    let mut text = format!(
        ".:53 {{
    errors
    health {{
       lameduck 5s
    }}
    ready
    prometheus :9153
    {others}
    reload
    loadbalance
}}
{domain}:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
       pods insecure
       ttl 30
    }}
    prometheus :9153
    cache 30
    loadbalance
}}
{hosts}",
        hosts = hosts(site)
    );
    for (zone, address) in &site.dns.wildcards {
        text.push_str(&wildcard(zone, *address));
    }
    text
}

/// The site's own names, for pods, in a block of their own: beside `template` in one block they would never be asked. As `/etc/hosts` has them, but for the API's, which on hosts may be a loopback address.
fn hosts(site: &Site) -> String {
    let mut names: BTreeMap<&str, IpAddr> = BTreeMap::new();
    for host in &site.hosts {
        names.insert(&host.name, host.internal);
    }
    if let Some(registry) = site.with(Role::Registry).next() {
        names.insert(&site.registry.name, registry.internal);
    }
    let master = site.with(Role::ControlPlane).next().map(|host| host.internal);
    let api = match site.endpoint.kind {
        EndpointKind::Direct | EndpointKind::Local => master,
        EndpointKind::Vip | EndpointKind::External => site.endpoint.address.as_ref().and_then(|text| text.parse().ok()),
    };
    if let Some(address) = api {
        names.insert(&site.endpoint.name, address);
    }
    for (name, address) in &site.dns.names {
        names.insert(name.as_str(), *address);
    }
    let zones: Vec<String> = names.keys().map(|name| format!("{name}:53")).collect();
    let lines: String = names.iter().map(|(name, address)| format!("       {address} {name}\n")).collect();
    format!("{} {{\n    errors\n    hosts {{\n{lines}       ttl 60\n    }}\n}}\n", zones.join(" "))
}

/// Every name of a zone has one address; questions for other types are answered with nothing, not with an error.
fn wildcard(zone: &str, address: IpAddr) -> String {
    let (have, other) = if address.is_ipv4() { ("A", "AAAA") } else { ("AAAA", "A") };
    format!(
        "{zone}:53 {{
    errors
    template IN {have} {zone} {{
       answer \"{{{{ .Name }}}} 60 IN {have} {address}\"
    }}
    template IN {other} {zone} {{
       rcode NOERROR
    }}
    cache 30
}}
"
    )
}
