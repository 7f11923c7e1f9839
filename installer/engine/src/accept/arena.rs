//! Where measurements in the cluster are made: two pods of the probe on every node, and two Services over them.
//!
//! ```text
//! node 1: a b    a-pods measure, b-pods are measured, so that a pod reaches another pod on its own node, too
//! node 2: a b    each: `http` on 8080 (container `web`) and `serve` on 9001, TCP and UDP (container `data`)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize;

use super::context::{Context, Unseen};
use super::{volume, workload};

/// The namespace of everything that the checks make.
pub const NAMESPACE: &str = "ferry-accept";
/// Where a pod answers web requests.
pub(super) const WEB_PORT: u16 = 8080;
/// Where a pod answers measurements.
pub(super) const DATA_PORT: u16 = 9001;
/// The Service over all pods.
pub(super) const SERVICE: &str = "web";
/// The Service that resolves to all pods.
pub(super) const HEADLESS: &str = "pods";

/// The pods and Services.
#[derive(Debug, Clone)]
pub(super) struct Arena {
    /// The pods that measure, by node.
    pub(super) a: Vec<Pod>,
    /// The pods that are measured, by node.
    pub(super) b: Vec<Pod>,
    /// The address of the Service.
    pub(super) service: IpAddr,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pod {
    pub(super) node: String,
    pub(super) name: String,
    pub(super) address: IpAddr,
}

impl Arena {
    /// All pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.a.iter().chain(&self.b)
    }
}

#[derive(Debug, Deserialize)]
struct List<T> {
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPod {
    metadata: RawName,
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Debug, Deserialize)]
struct RawName {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(default)]
    node_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<IpAddr>,
    conditions: Vec<RawCondition>,
}

#[derive(Debug, Deserialize)]
struct RawCondition {
    r#type: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct RawSlice {
    #[serde(default)]
    endpoints: Vec<RawEndpoint>,
}

#[derive(Debug, Deserialize)]
struct RawEndpoint {
    #[serde(default)]
    addresses: Vec<IpAddr>,
    #[serde(default)]
    conditions: RawReady,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawReady {
    ready: Option<bool>,
}

/// Makes namespace, pods and Services, and waits until all pods are ready and the Services know it.
pub(super) async fn open(context: &Context<'_>) -> Result<Arena, Unseen> {
    let kubectl = context.kubectl()?;
    if context.needs.probe.is_empty() {
        return Err("the digest of the probe's image is not known".into());
    }
    kubectl.apply(&[workload::namespace()]).await?;
    let authority = context.site.registry.authority();
    let mut objects = vec![workload::service(SERVICE, false), workload::service(HEADLESS, true)];
    for (arch, digest) in &context.needs.probe {
        let image = workload::image(&authority, digest);
        objects.extend(["a", "b"].map(|side| workload::pods(side, *arch, &image, &context.token)));
    }
    kubectl.apply(&objects).await?;
    let nodes = context.site.hosts.iter().filter(|host| host.is_node()).count();
    let look = || async {
        match kubectl.json::<List<RawPod>>(&format!("get pods -n {NAMESPACE} -l side -o json")).await {
            Ok(list) => {
                let (a, b) = (ready(&list, "a"), ready(&list, "b"));
                (a.len() >= nodes && b.len() >= nodes, Ok((a, b)))
            }
            Err(why) => (false, Err(why)),
        }
    };
    let (a, b) = context.until(context.needs.patience, look).await?;
    if a.len() < nodes || b.len() < nodes {
        let state = state(context).await;
        return Err(format!("of {nodes} nodes, {} and {} run a pod that is ready\n{state}", a.len(), b.len()));
    }
    let wanted: BTreeSet<IpAddr> = a.iter().chain(&b).map(|pod| pod.address).collect();
    let known = || async {
        let slices = format!("get endpointslices -n {NAMESPACE} -l kubernetes.io/service-name -o json");
        let found = kubectl.json::<List<RawSlice>>(&slices).await.map(|list| endpoints(&list));
        (found.as_ref().is_ok_and(|found| found.is_superset(&wanted)), found)
    };
    let found = context.until(context.needs.patience, known).await?;
    if !found.is_superset(&wanted) {
        return Err(format!("the Services know {} of {} pods", found.intersection(&wanted).count(), wanted.len()));
    }
    let service =
        kubectl.text(&format!("get service -n {NAMESPACE} {SERVICE} -o jsonpath={{.spec.clusterIP}}")).await?;
    let service = service.trim().parse().map_err(|_| format!("the Service has the address {service:?}"))?;
    Ok(Arena { a, b, service })
}

fn endpoints(list: &List<RawSlice>) -> BTreeSet<IpAddr> {
    let all = list.items.iter().flat_map(|slice| &slice.endpoints);
    let ready = all.filter(|endpoint| endpoint.conditions.ready != Some(false));
    ready.flat_map(|endpoint| endpoint.addresses.iter().copied()).collect()
}

fn ready(list: &List<RawPod>, side: &str) -> Vec<Pod> {
    let is_ready = |pod: &&RawPod| {
        let well = |one: &RawCondition| one.r#type == "Ready" && one.status == "True";
        pod.metadata.labels.get("side").is_some_and(|found| found == side) && pod.status.conditions.iter().any(well)
    };
    let pod = |pod: &RawPod| {
        let (node, name) = (pod.spec.node_name.clone(), pod.metadata.name.clone());
        pod.status.pod_ip.map(|address| Pod { node, name, address })
    };
    let mut pods: Vec<Pod> = list.items.iter().filter(is_ready).filter_map(pod).collect();
    pods.sort();
    pods
}

/// What stands in the namespace and what happened there, as evidence.
pub(super) async fn state(context: &Context<'_>) -> String {
    let Ok(kubectl) = context.kubectl() else { return String::new() };
    let objects = kubectl.text(&format!("get pods,pvc -n {NAMESPACE} -o wide")).await.unwrap_or_else(|why| why);
    let events = format!(
        "get events -n {NAMESPACE} --sort-by=.lastTimestamp -o custom-columns=\
                          AT:.lastTimestamp,KIND:.involvedObject.kind,NAME:.involvedObject.name,WHY:.reason,TEXT:.message"
    );
    let events = kubectl.text(&events).await.unwrap_or_else(|why| why);
    let lines: Vec<&str> = events.lines().collect();
    format!("{objects}\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
}

/// Takes the namespace away, and waits until it is gone; not while a host is away, whose pods would not go.
pub(super) async fn close(context: &Context<'_>) -> Result<(), Unseen> {
    let whole = context.gone().next().is_none();
    let wait = if whole { "--wait=true --timeout=90s" } else { "--wait=false" };
    let delete = format!("delete namespace {NAMESPACE} --ignore-not-found {wait}");
    context.kubectl()?.slow(&delete, 120).await?;
    if whole {
        volume::sweep(context).await;
    }
    Ok(())
}
