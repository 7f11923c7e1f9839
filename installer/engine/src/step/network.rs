//! The pod network. `host-routes`: a bridge on each node and one route to each other node's share of the pod addresses.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::base::{PROGRAMS, is_essential};
use super::context::{Context, StepBuildError, unit};
use super::control_plane::KUBECTL;
use crate::action::{Action, File, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::file::NetworkKind;
use crate::site::{Cidr, Host, Site};

/// Where the network's configuration for containerd lies.
const CONFLIST: &str = "/etc/cni/net.d/10-ferry.conflist";

/// The vault's entry with each node's place among the shares of the pod addresses.
const PLACES: &str = "network/places";

/// Gives every node a place among the shares of the pod addresses, and keeps it: a node that is there must not get
/// another one because a host came or went. A place that is free is given to the next.
pub(super) fn allot(context: &mut Context<'_>) {
    let known = context.vault.get(PLACES).and_then(|text| serde_json::from_str(text.expose()).ok());
    let mut places: BTreeMap<String, u32> = known.unwrap_or_default();
    let before = places.clone();
    places.retain(|name, _| context.site.host(name).is_some_and(Host::is_node));
    for host in context.site.hosts.iter().filter(|host| host.is_node()) {
        if !places.contains_key(&host.name) {
            let taken: BTreeSet<u32> = places.values().copied().collect();
            let free = (0..=u32::MAX).find(|place| !taken.contains(place)).unwrap_or_default();
            places.insert(host.name.clone(), free);
        }
    }
    if places != before {
        context.vault.put(PLACES, serde_json::to_string(&places).unwrap_or_default());
    }
    context.places = places;
}

/// The share of the pod addresses that a node has.
fn share(context: &Context<'_>, host: &Host) -> Option<Cidr> {
    let kubernetes = &context.site.kubernetes;
    kubernetes.pod_cidr.value.subnet(u128::from(*context.places.get(&host.name)?), kubernetes.node_prefix)
}

fn unsupported(site: &Site) -> Result<(), StepBuildError> {
    let kind = match site.network.kind {
        NetworkKind::HostRoutes => return Ok(()),
        NetworkKind::Calico => "calico",
        NetworkKind::Flannel => "flannel",
    };
    Err(StepBuildError::Unsupported(format!("network.kind {kind} is not built by this version; use host-routes")))
}

/// What a node needs before it can be ready.
pub(super) fn files(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    unsupported(context.site)?;
    let none = || StepBuildError::Unsupported(format!("{} gets no share of the pod addresses", host.name));
    let own = share(context, host).ok_or_else(none)?;
    let mut bridge = json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": own.to_string()}]], "routes": [{"dst": "0.0.0.0/0"}]},
    });
    if let Some(mtu) = context.site.network.mtu {
        bridge["mtu"] = json!(mtu);
    }
    let list = json!({
        "cniVersion": "1.0.0", "name": "ferry",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": true}}],
    });
    let text = serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    let mut actions = vec![Action::File(File::text(CONFLIST, text))];
    let others: Vec<&Host> = context.site.hosts.iter().filter(|one| one.is_node() && one.name != host.name).collect();
    actions.extend(routes(context, &others));
    let mut step = Step::new("runtime.network", &host.name, "the pod network's files", actions);
    step.essential = is_essential(host);
    Ok(vec![step])
}

/// One route for each other node, and none of its traffic hidden behind this node's address. Set again at every boot.
fn routes(context: &Context<'_>, others: &[&Host]) -> Vec<Action> {
    let lines: String = others
        .iter()
        .filter_map(|other| Some(format!("ip route replace {} via {}\n", share(context, other)?, other.internal)))
        .collect();
    let pods = context.site.kubernetes.pod_cidr.value;
    // Routes to hosts that have left.
    let known: Vec<String> = others.iter().filter_map(|other| Some(share(context, other)?.to_string())).collect();
    let gone = format!(
        "ip route show root {pods} | awk '/ via / {{print $1}}' | while read -r to; do case ' {} ' in *\" $to \"*) ;; *) ip route del \"$to\" ;; esac; done\n",
        known.join(" ")
    );
    let keep = format!(
        "iptables -w -t nat -C POSTROUTING -s {pods} -d {pods} -j ACCEPT 2>/dev/null || iptables -w -t nat -I POSTROUTING 1 -s {pods} -d {pods} -j ACCEPT\n"
    );
    let script = format!("#!/bin/sh\n# Routes to the pods of the other nodes.\nset -eu\n{lines}{gone}{keep}");
    let service = format!(
        "[Unit]\nDescription=Routes to the pods of the other nodes\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={PROGRAMS}/pod-routes\n\n[Install]\nWantedBy=multi-user.target\n"
    );
    let reads = vec![
        Action::File(File::text(format!("{PROGRAMS}/pod-routes"), script).mode(0o755)),
        Action::File(File::text("/etc/systemd/system/ferry-pod-routes.service", service)),
    ];
    let run = unit("ferry-pod-routes.service", true, &reads);
    reads.into_iter().chain([run]).collect()
}

/// What the cluster is told of the network.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Step {
    let mut actions = Vec::new();
    for node in context.nodes() {
        let Some(own) = share(context, node) else { continue };
        let (name, own) = (quote(&node.name), own.to_string());
        actions.push(Action::Run(
            Run::unless(
                format!("pod addresses {own} for {}", node.name),
                Subject::Objects,
                format!("[ \"$({KUBECTL} get node {name} -o jsonpath='{{.spec.podCIDR}}')\" = {own} ]"),
                format!(
                    "{KUBECTL} patch node {name} -p '{{\"spec\":{{\"podCIDR\":\"{own}\",\"podCIDRs\":[\"{own}\"]}}}}'"
                ),
            )
            .retried(3),
        ));
    }
    Step::new("cluster.network", &host.name, "each node's pod addresses", actions)
}
