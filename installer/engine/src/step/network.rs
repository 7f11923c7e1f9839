//! The pod network: what all kinds of it share. Each kind has a file of its own: `host_routes`, `flannel`, `calico`.
//!
//! ```text
//!                on each node, before its kubelet         in the cluster
//! host-routes    bridge and routes, by a unit             each node's share of the pod addresses
//! flannel        bridge; the daemon makes the routes      shares, then the daemon
//! calico         nothing: its daemon brings its plugin    the published manifest with the site's settings, the pool
//! ```
//! A cluster keeps its kind: pods of two networks don't reach each other, so changing it is refused on each node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::control_plane::KUBECTL;
use super::rollout::Rollout;
use super::{calico, flannel, host_routes};
use crate::action::{Action, File, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::file::NetworkKind;
use crate::site::{Cidr, Host, Site};
use crate::vault::Vault;

/// Where the network's configuration for containerd lies, for the kinds that ferry writes it for.
const CONFLIST: &str = "/etc/cni/net.d/10-ferry.conflist";

/// The vault's entry with each node's place among the shares of the pod addresses.
const PLACES: &str = "network/places";

/// Gives every node a place among the shares of the pod addresses, and keeps it: a node that is there must not get
/// another one because a host came or went. A place that is free is given to the next.
pub(super) fn allot(context: &mut Context<'_>) {
    if context.site.network.kind == NetworkKind::Calico {
        // Its nodes take blocks of addresses as they need them.
        return;
    }
    let before = known(context.vault);
    let places = allotted(&before, context.site);
    if places != before {
        put(context.vault, &places);
    }
    context.places = places;
}

/// The places, with one for each node of the site. A host that is only not in the site file any more may still be a node of
/// the cluster, with pods that have its addresses: its place stays taken until it has left ([`forget`]).
fn allotted(before: &BTreeMap<String, u32>, site: &Site) -> BTreeMap<String, u32> {
    let mut places = before.clone();
    places.retain(|name, _| site.host(name).is_none_or(Host::is_node));
    for host in site.hosts.iter().filter(|host| host.is_node()) {
        if !places.contains_key(&host.name) {
            let taken: BTreeSet<u32> = places.values().copied().collect();
            // One of as many places as are taken, and one more, is free.
            let free = (0..=u32::MAX).find(|place| !taken.contains(place)).unwrap_or_default();
            places.insert(host.name.clone(), free);
        }
    }
    places
}

fn known(vault: &Vault) -> BTreeMap<String, u32> {
    vault.get(PLACES).and_then(|text| serde_json::from_str(text.expose()).ok()).unwrap_or_default()
}

fn put(vault: &mut Vault, places: &BTreeMap<String, u32>) {
    vault.put(PLACES, serde_json::to_string(places).unwrap_or_default());
}

/// Frees the place of a host that has left the cluster: the next node may get its pods' addresses.
pub(super) fn forget(vault: &mut Vault, host: &str) {
    let mut places = known(vault);
    if places.remove(host).is_some() {
        put(vault, &places);
    }
}

/// The share of the pod addresses that a node has.
pub(super) fn share(context: &Context<'_>, host: &Host) -> Option<Cidr> {
    let kubernetes = &context.site.kubernetes;
    kubernetes.pod_cidr.value.subnet(u128::from(*context.places.get(&host.name)?), kubernetes.node_prefix)
}

/// What a node needs before it can be ready.
pub(super) fn files(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let mut actions = vec![kept(context.site.network.kind)];
    actions.extend(match context.site.network.kind {
        NetworkKind::HostRoutes => host_routes::files(context, host)?,
        NetworkKind::Flannel => flannel::files(context, host)?,
        NetworkKind::Calico => Vec::new(),
    });
    let step = Step::new("runtime.network", &host.name, "the pod network's files", actions);
    Ok(vec![step])
}

/// The node's note of the kind that its pods are on; refuses another one. A node without a note that has ferry's bridge was
/// installed when there was no other kind.
fn kept(kind: NetworkKind) -> Action {
    let (kind, note) = (name(kind), format!("{FILES}/network"));
    let command = format!(
        "was=$(cat {note} 2>/dev/null || :)
[ -n \"$was\" ] || [ ! -e {CONFLIST} ] || was=host-routes
if [ -n \"$was\" ] && [ \"$was\" != {kind} ]; then
    echo \"the pods of this node are on $was, and a cluster keeps its kind of pod network: set network.kind: $was, or uninstall the cluster and install it anew\" >&2
    exit 1
fi
echo {kind} >{note}.part; sync {note}.part; mv -f {note}.part {note}"
    );
    let title = format!("the node's pod network is {kind}");
    let run = Run::unless(title, Subject::Other, format!("[ \"$(cat {note})\" = {kind} ]"), command);
    Action::Run(run.undone_by(format!("rm -f {note} {note}.part")))
}

/// The kind as the site file has it.
pub(crate) fn name(kind: NetworkKind) -> &'static str {
    match kind {
        NetworkKind::Calico => "calico",
        NetworkKind::Flannel => "flannel",
        NetworkKind::HostRoutes => "host-routes",
    }
}

/// containerd's configuration of a bridge on which pods have addresses of the node's own share; `hidden` if what leaves the
/// pods' range goes behind the node's address by the plugin's rule.
pub(super) fn bridge(
    context: &Context<'_>,
    host: &Host,
    mtu: Option<u32>,
    hidden: bool,
) -> Result<Action, StepBuildError> {
    let none = || StepBuildError::Unsupported(format!("{} gets no share of the pod addresses", host.name));
    let own = share(context, host).ok_or_else(none)?;
    let mut bridge = json!({
        "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": hidden, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": own.to_string()}]], "routes": [{"dst": "0.0.0.0/0"}]},
    });
    if let Some(mtu) = mtu {
        bridge["mtu"] = json!(mtu);
    }
    let list = json!({
        "cniVersion": "1.0.0", "name": "ferry",
        "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": true}}],
    });
    let text = serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    Ok(Action::File(File::text(CONFLIST, text)))
}

/// What the cluster is told of the network, and what it runs for it.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Result<Step, StepBuildError> {
    let (title, actions) = match context.site.network.kind {
        NetworkKind::HostRoutes => ("each node's pod addresses", shares(context)),
        NetworkKind::Flannel => {
            ("flannel", shares(context).into_iter().chain(flannel::objects(context, host)?).collect())
        }
        NetworkKind::Calico => ("Calico", calico::objects(context, host)?),
    };
    Ok(Step::new("cluster.network", &host.name, title, actions))
}

/// Each node's object names its share, as the plan has it.
fn shares(context: &Context<'_>) -> Vec<Action> {
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
    actions
}

/// Waits until a workload of the network is up on every node that could be reached.
pub(super) fn up(context: &Context<'_>, namespace: &str, what: &str) -> Action {
    Rollout { namespace, what }.action(context, format!("{what} is up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_when_its_host_has_left_and_not_before() {
        let mut site = crate::preflight::tests::site::site();
        let nodes: Vec<String> =
            site.hosts.iter().filter(|host| host.is_node()).map(|host| host.name.clone()).collect();
        let first = allotted(&BTreeMap::new(), &site);
        assert_eq!(first.len(), nodes.len());
        let gone = nodes.last().cloned().unwrap();
        // Taken out of the site file only: it may still be a node, with pods that have these addresses.
        site.hosts.retain(|host| host.name != gone);
        let mut later = allotted(&first, &site);
        assert_eq!(later, first);
        let mut new = site.hosts.iter().find(|host| host.is_node()).cloned().unwrap();
        new.name = "new".into();
        site.hosts.push(new);
        assert!(!first.values().any(|place| *place == allotted(&later, &site)["new"]));
        // It has left.
        later.remove(&gone);
        assert_eq!(allotted(&later, &site)["new"], first[&gone]);
    }
}
