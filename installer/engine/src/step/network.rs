//! The pod network. `host-routes`: a bridge on each node and one route to each other node's share of the pod addresses.

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

/// The share of the pod addresses that a node has: by its place among the nodes of the site file.
pub(super) fn share(site: &Site, host: &Host) -> Option<Cidr> {
    let place = site.hosts.iter().filter(|one| one.is_node()).position(|one| one.name == host.name)?;
    site.kubernetes.pod_cidr.value.subnet(u128::try_from(place).ok()?, site.kubernetes.node_prefix)
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
    let own = share(context.site, host).ok_or_else(none)?;
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
    if !others.is_empty() {
        actions.extend(routes(context.site, &others));
    }
    let mut step = Step::new("runtime.network", &host.name, "the pod network's files", actions);
    step.essential = is_essential(host);
    Ok(vec![step])
}

/// One route for each other node, and none of its traffic hidden behind this node's address. Set again at every boot.
fn routes(site: &Site, others: &[&Host]) -> Vec<Action> {
    let lines: String = others
        .iter()
        .filter_map(|other| Some(format!("ip route replace {} via {}\n", share(site, other)?, other.internal)))
        .collect();
    let pods = site.kubernetes.pod_cidr.value;
    let keep = format!(
        "iptables -w -t nat -C POSTROUTING -s {pods} -d {pods} -j ACCEPT 2>/dev/null || iptables -w -t nat -I POSTROUTING 1 -s {pods} -d {pods} -j ACCEPT\n"
    );
    let script = format!("#!/bin/sh\n# Routes to the pods of the other nodes.\nset -eu\n{lines}{keep}");
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
        let Some(own) = share(context.site, node) else { continue };
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
