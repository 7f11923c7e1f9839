//! Nodes: all there, ready and without pressure; versions; labels and taints as the site plans them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::context::{Context, Unseen};
use super::finding::Finding;
use crate::host::quote;
use crate::site::Host;
use crate::site::file::Role;

/// The label and taint of control-plane nodes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) items: Vec<Node>,
}

/// A node, as far as the checks look.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    pub(super) status: Status,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    taints: Vec<Taint>,
    unschedulable: bool,
}

#[derive(Debug, Deserialize)]
struct Taint {
    key: String,
    #[serde(default)]
    value: String,
    effect: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    pub(super) node_info: NodeInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeInfo {
    kubelet_version: String,
    container_runtime_version: String,
    pub(super) architecture: String,
}

/// All nodes.
pub(super) async fn list(context: &Context<'_>) -> Result<List, Unseen> {
    context.kubectl()?.json("get nodes -o json").await
}

/// A finding for every node of the site, from the node as the API shows it.
async fn every(context: &Context<'_>, judge: impl Fn(&Host, &Node) -> Finding) -> Vec<Finding> {
    let nodes = match list(context).await {
        Ok(list) => list.items,
        Err(why) => {
            return vec![Finding::failed("", why, "see that the API server runs on the first control-plane host")];
        }
    };
    let hosts = context.site.hosts.iter().filter(|host| host.is_node());
    let one = |host: &Host| match nodes.iter().find(|node| node.metadata.name == host.name) {
        Some(node) => judge(host, node),
        None => {
            Finding::failed(&host.name, "it is no node of the cluster", "run the installer again: it joins the host")
        }
    };
    let mut findings: Vec<Finding> = hosts.map(one).collect();
    let known: BTreeSet<&str> = context.site.hosts.iter().map(|host| host.name.as_str()).collect();
    for node in nodes.iter().filter(|node| !known.contains(node.metadata.name.as_str())) {
        let fix = "take the node out of the cluster, or write it into the site file";
        findings.push(Finding::failed(&node.metadata.name, "it is a node, but no host of the site", fix));
    }
    findings
}

pub(super) async fn ready(context: &Context<'_>) -> Vec<Finding> {
    let look = || async {
        let findings = every(context, well).await;
        (findings.iter().all(|finding| finding.fix.is_none()), findings)
    };
    context.until(context.needs.patience, look).await
}

fn well(host: &Host, node: &Node) -> Finding {
    let wanted = |kind: &str| if kind == "Ready" { "True" } else { "False" };
    let conditions = &node.status.conditions;
    let wrong: Vec<String> = conditions
        .iter()
        .filter(|one| one.status != wanted(&one.r#type))
        .map(|one| format!("{} is {}: {} {}", one.r#type, one.status, one.reason, one.message))
        .collect();
    let known = conditions.iter().any(|one| one.r#type == "Ready");
    if !known || !wrong.is_empty() || node.spec.unschedulable {
        let mut seen = if known { wrong } else { vec!["its kubelet has never reported".to_owned()] };
        if node.spec.unschedulable {
            seen.push("it is cordoned".to_owned());
        }
        let fix = "see `journalctl -u kubelet` on the host; pressure on a disk goes when it is emptied; `kubectl uncordon` opens a node";
        return Finding::failed(&host.name, seen.join("\n"), fix);
    }
    let kinds: Vec<&str> = conditions.iter().map(|one| one.r#type.as_str()).collect();
    Finding::passed(&host.name, format!("as they should be: {}", kinds.join(", ")))
}

pub(super) async fn versions(context: &Context<'_>) -> Vec<Finding> {
    every(context, |host, node| {
        let info = &node.status.node_info;
        let seen = format!("kubelet {}, {}", info.kubelet_version, info.container_runtime_version);
        let kubelet = context.needs.kubernetes.as_ref().is_none_or(|version| *version == info.kubelet_version);
        let wanted = context.needs.containerd.as_ref().map(|version| format!("containerd://{version}"));
        let bare = |text: &str| text.replace("://v", "://");
        let runtime = wanted.as_ref().is_none_or(|wanted| bare(wanted) == bare(&info.container_runtime_version));
        if kubelet && runtime {
            return Finding::passed(&host.name, seen);
        }
        let kubernetes = context.needs.kubernetes.as_deref().unwrap_or("any");
        let wanted = format!("; the bundle has kubelet {kubernetes}, {}", wanted.as_deref().unwrap_or("any"));
        Finding::failed(&host.name, seen + &wanted, "run the installer with this bundle again")
    })
    .await
}

pub(super) async fn marks(context: &Context<'_>) -> Vec<Finding> {
    every(context, |host, node| {
        let have: BTreeSet<String> = node.spec.taints.iter().map(shown).collect();
        let want = taints(host, context.site.kubernetes.schedule_control_plane);
        let (mut wrong, mut fixes) = (Vec::new(), BTreeSet::new());
        for taint in have.difference(&want) {
            wrong.push(format!("has the taint {taint}"));
            fixes.insert(if is_condition(taint) {
                "that taint is set by Kubernetes itself, and goes when what it names is mended (see nodes.ready)".to_owned()
            } else {
                // ferry sets the taints of the site file, and never takes away what somebody else has set.
                format!(
                    "somebody else has set that taint: `kubectl taint node {} {}`, or write it under `taints:` of {0} into the site file",
                    host.name,
                    quote(&format!("{taint}-"))
                )
            });
        }
        wrong.extend(want.difference(&have).map(|taint| format!("lacks the taint {taint}")));
        for (key, value) in labels(host) {
            match node.metadata.labels.get(&key) {
                Some(found) if *found == value => {}
                Some(found) => wrong.push(format!("has the label {key}={found}, not {value}")),
                None => wrong.push(format!("lacks the label {key}={value}")),
            }
        }
        if wrong.iter().any(|one| !one.starts_with("has the taint ")) {
            fixes.insert("run `ferry-install install` again: it sets the labels and taints of the site file".to_owned());
        }
        let seen = format!("taints: {}", have.into_iter().collect::<Vec<_>>().join(", "));
        let fix = fixes.into_iter().collect::<Vec<_>>().join("; ");
        Finding::judged(wrong.is_empty(), &host.name, if wrong.is_empty() { seen } else { wrong.join("\n") }, &fix)
    })
    .await
}

/// Whether Kubernetes sets and takes away a taint by itself, for a condition of the node.
fn is_condition(taint: &str) -> bool {
    taint.starts_with("node.kubernetes.io/") || taint.starts_with("node.cloudprovider.kubernetes.io/")
}

fn shown(taint: &Taint) -> String {
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    format!("{}{value}:{}", taint.key, taint.effect)
}

/// The taints that a node is to have: the site's own, and Kubernetes' for control-plane nodes that are no workers.
fn taints(host: &Host, schedule_control_plane: bool) -> BTreeSet<String> {
    let closed = host.is(Role::ControlPlane) && !host.is(Role::Worker) && !schedule_control_plane;
    let kept = closed.then(|| format!("{CONTROL_PLANE}:NoSchedule"));
    // `key=:Effect` and `key:Effect` are the same taint.
    host.taints.iter().map(|taint| taint.to_string().replacen("=:", ":", 1)).chain(kept).collect()
}

fn labels(host: &Host) -> BTreeMap<String, String> {
    let own = host.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let mut labels: BTreeMap<String, String> = own.collect();
    if host.is(Role::ControlPlane) {
        labels.insert(CONTROL_PLANE.to_owned(), String::new());
    }
    labels
}
