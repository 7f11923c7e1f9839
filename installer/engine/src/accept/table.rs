//! Every check: its id (also the name of its waiver and threshold), what it checks, and the function that looks.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::context::Context;
use super::finding::Finding;
use super::{
    api, backup, certificates, clock, dns, egress, etcd, images, network_daemon, nodes, pod_network, pods, registry,
    service, volume,
};

/// A check.
pub struct Check {
    /// `topic.name`.
    pub id: &'static str,
    /// What it checks, as a statement that holds if it passes.
    pub title: &'static str,
    /// Whether it needs pods of ours in the cluster.
    pub arena: bool,
    pub(super) look: Look,
}

type Look = for<'a> fn(&'a Context<'_>) -> BoxFuture<'a, Vec<Finding>>;

/// A row: a check that only looks, or (`arena`) one that needs pods of ours.
macro_rules! rows {
    ($($id:literal $title:literal $arena:literal $look:path;)*) => {
        &[$(Check { id: $id, title: $title, arena: $arena, look: |context| $look(context).boxed() }),*]
    };
}

/// Every check, in the order in which they are made: the last ones have watched the others.
pub const CHECKS: &[Check] = rows! {
    "nodes.ready"       "every host of the site is a node, Ready, without pressure"   false nodes::ready;
    "nodes.versions"    "kubelets and runtimes have the bundle's versions"            false nodes::versions;
    "nodes.marks"       "labels and taints are as planned"                            false nodes::marks;
    "pods.ready"        "all pods of the system are ready"                            false pods::ready;
    "api.ready"         "the API is ready on each control-plane address"              false api::ready;
    "api.endpoint"      "every host reaches the API by its name"                      false api::endpoint;
    "etcd.health"       "every member of etcd is healthy; there is one leader"        false etcd::health;
    "etcd.alarms"       "etcd has raised no alarm"                                    false etcd::alarms;
    "etcd.hash"         "all members hold the same data"                              false etcd::hash;
    "certificates.expiry" "served certificates are valid for long enough"             false certificates::expiry;
    "certificates.names"  "served certificates name their servers and chain to the authority" false certificates::names;
    "clock.skew"        "the hosts' clocks agree"                                     false clock::skew;
    "clock.source"      "the hosts' clocks follow a time server"                      false clock::source;
    "images.running"    "only images of the bundle run"                               false images::running;
    "images.pinned"     "the bundle's images are kept from garbage collection"        false images::pinned;
    "registry.guarded"  "the registry refuses who has no right"                       false registry::guarded;
    "registry.pull"     "every node pulls by digest what it does not have"            false registry::pull;
    "dns.cluster"       "pods on every node resolve the cluster's names"              true  dns::cluster;
    "dns.unknown"       "unknown names fail fast"                                     true  dns::unknown;
    "dns.site"          "pods on every node resolve the site's names"                 true  dns::site;
    "network.daemon"    "the pod network's daemon is well on every node"              false network_daemon::well;
    "network.pods"      "pods reach pods on every node, small and large packets"      true  pod_network::pods;
    "network.from-host" "every host reaches the pods of every node"                   true  pod_network::from_host;
    "network.to-host"   "pods on every node reach every host"                         true  pod_network::to_host;
    "service.pods"      "pods reach a Service, and each request is answered"          true  service::from_pods;
    "service.hosts"     "hosts reach a Service, and all its endpoints answer"         true  service::from_hosts;
    "volume.data"       "a volume binds, and keeps its data from pod to pod"          true  volume::data;
    "backup.timer"      "etcd is backed up by a timer"                                false backup::timer;
    "backup.snapshot"   "the newest snapshot of etcd is young and readable"           false backup::snapshot;
    "etcd.fsync"        "etcd's log reaches the disk fast enough"                     false etcd::fsync;
    "etcd.commit"       "etcd's database commits fast enough"                         false etcd::commit;
    "etcd.leader"       "etcd's leader has stayed during these checks"                false etcd::leader;
    "pods.steady"       "no pod of the system has started again during these checks"  false pods::steady;
    "egress.none"       "nothing has tried to leave the site"                         false egress::none;
};

/// The names among these that choose no check: neither an id nor a topic.
#[must_use]
pub fn unknown(names: &[String]) -> Vec<&str> {
    let chooses = |name: &str| CHECKS.iter().any(|check| is_below(check.id, name));
    names.iter().map(String::as_str).filter(|name| !chooses(name)).collect()
}

/// What checks are about: the first word of their ids, in the order of the table.
#[must_use]
pub fn topics() -> Vec<&'static str> {
    let mut topics: Vec<&str> = CHECKS.iter().filter_map(|check| check.id.split('.').next()).collect();
    topics.dedup();
    topics
}

/// Whether `name` is this id, or its topic.
pub(super) fn is_below(id: &str, name: &str) -> bool {
    id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_have_a_topic() {
        let mut ids: Vec<_> = CHECKS.iter().map(|check| check.id).collect();
        assert!(ids.iter().all(|id| id.split('.').count() == 2));
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CHECKS.len());
    }

    #[test]
    fn a_name_that_chooses_nothing_is_known_before_anything_is_checked() {
        let names = ["dns", "etcd.health", "dnss", "dns.", "", "etcd.health.x", "DNS"].map(str::to_owned);
        assert_eq!(unknown(&names), ["dnss", "dns.", "", "etcd.health.x", "DNS"]);
        assert!(topics().contains(&"dns") && !topics().contains(&"dns.cluster"));
    }
}
