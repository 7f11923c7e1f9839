//! The pod network `host-routes`: a bridge on each node and one route to each other node's share of the pod addresses.

use super::base::PROGRAMS;
use super::context::{Context, StepBuildError, unit};
use super::network::{bridge, share};
use crate::action::{Action, File};
use crate::site::Host;
use crate::site::types::Count;

/// What a node needs before it can be ready: pods leave the site's networks behind the node's own address.
pub(super) fn files(context: &Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let mut actions = vec![bridge(context, host, context.site.network.mtu.map(Count::get), true)?];
    let others: Vec<&Host> = context.site.hosts.iter().filter(|one| one.is_node() && one.name != host.name).collect();
    actions.extend(routes(context, &others));
    Ok(actions)
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
