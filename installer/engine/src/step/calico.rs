//! The pod network `calico`: its published manifest as the bundle carries it, with the site's settings laid over it.
//!
//! ```text
//! /etc/ferry/objects/calico/calico.yaml          the vendor's file, by its digest
//!                          node.json config.json what the site changes in it, for `kubectl apply -k`
//!                          kustomization.yaml    holds them together
//! /etc/ferry/objects/calico-pool.yaml            the pool of pod addresses, ferry's own: its encapsulation can be changed
//! ```
//! The vendor's file is read here only for what the settings depend on: which images it names, how it probes its daemon.
//! There is no Typha: each node's daemon asks the API itself, which Calico's documentation advises up to 50 nodes.

use std::path::Path;

use ferry_bundle_format::yaml;
use serde_json::{Value, json};

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::control_plane::{KUBECTL, SERVER_SIDE, objects as applied, objects_folder};
use super::network::up;
use crate::action::{Action, Content, File, Folder, Run, Subject};
use crate::site::file::{Encapsulation, Network};
use crate::site::types::Count;
use crate::site::{Host, Site};
use crate::supply::{Supply, SupplyError};

/// The manifest's name in the bundle.
const MANIFEST: &str = "calico.yaml";
/// The largest manifest that is read, in bytes: ten times the largest known.
const LARGEST: u64 = 8 << 20;
/// The pool's name is the one that Calico would give it.
const POOL: &str = "default-ipv4-ippool";
/// Calico's own prefix length of a block.
const BLOCK: u8 = 26;

/// What the published manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Published {
    /// The images that it names.
    images: Vec<String>,
    /// The commands of the daemon's liveness and readiness probes.
    probes: [Vec<String>; 2],
    /// Whether the settings that ferry changes are where it looks for them.
    configurable: bool,
}

/// Calico's objects, and that its daemon runs on every node.
pub(super) fn objects(context: &Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let arch = context.arch(host)?;
    let file = context.supply.file(MANIFEST, arch)?;
    let bytes = context.supply.bundle().blob_document(&file.digest, LARGEST).map_err(SupplyError::from)?;
    let published = read(&String::from_utf8_lossy(&bytes)).map_err(StepBuildError::Unsupported)?;
    let images = images(&published, &context.carried_images())?;
    let folder = format!("{FILES}/objects/calico");
    let document = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    let placed = |name: &str, content: Content| {
        let (path, owner) = (format!("{folder}/{name}"), "root:root".into());
        Action::File(File { path, mode: 0o644, owner, content })
    };
    let settings = [
        placed("node.json", Content::Text(document(&node(context.site, &published, offload_is_broken(context))))),
        placed("config.json", Content::Text(document(&config(&context.site.network)))),
        placed("kustomization.yaml", Content::Text(document(&kustomization(&images)))),
    ];
    let mut actions = vec![objects_folder(), Action::Folder(Folder::new(&folder, 0o755))];
    actions.push(placed(MANIFEST, Supply::content(file)));
    let inputs: Vec<String> = actions
        .iter()
        .chain(&settings)
        .filter_map(|action| match action {
            Action::File(file) => Some(file.content.digest().hex()[..8].to_owned()),
            _ => None,
        })
        .collect();
    actions.extend(settings);
    actions.push(Action::Run(
        Run::unless(
            "objects: Calico",
            Subject::Objects,
            format!("{KUBECTL} diff {SERVER_SIDE} -k {folder}"),
            format!("{KUBECTL} apply {SERVER_SIDE} -k {folder} # {}", inputs.join(" ")),
        )
        .within(240)
        .retried(2),
    ));
    actions.extend(pool(context.site));
    actions.push(up(context, "kube-system", "daemonset/calico-node"));
    actions.push(up(context, "kube-system", "deployment/calico-kube-controllers"));
    Ok(actions)
}

/// Understands a published manifest; what is wrong with it is said in one line.
fn read(text: &str) -> Result<Published, String> {
    let mut published = Published::default();
    let (mut backend, mut daemon) = (false, false);
    for document in text.split("\n---") {
        // Definitions of resource kinds are most of the file, and say nothing that is asked for here.
        if !["DaemonSet", "Deployment", "ConfigMap"].iter().any(|kind| document.contains(&format!("kind: {kind}\n"))) {
            continue;
        }
        let object: Value = yaml::read_foreign(Path::new(MANIFEST), document)
            .map_err(|problems| format!("{MANIFEST} of the bundle can't be read: {problems}"))?;
        let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
        let pods = &object["spec"]["template"]["spec"];
        let containers = ["initContainers", "containers"].map(|key| pods[key].as_array().into_iter().flatten());
        for container in containers.into_iter().flatten() {
            published.images.extend(container["image"].as_str().map(str::to_owned));
            if (kind, container["name"].as_str()) == (Some("DaemonSet"), Some("calico-node")) {
                daemon = true;
                published.probes =
                    ["livenessProbe", "readinessProbe"].map(|probe| words(&container[probe]["exec"]["command"]));
            }
        }
        backend |= (kind, name) == (Some("ConfigMap"), Some("calico-config"))
            && ["calico_backend", "veth_mtu"].iter().all(|key| object["data"][key].is_string());
    }
    published.images.sort();
    published.images.dedup();
    published.configurable = backend && daemon;
    if published.configurable {
        return Ok(published);
    }
    Err(format!(
        "{MANIFEST} of the bundle is not Calico's published manifests/calico.yaml: it has no DaemonSet calico-node, or no ConfigMap calico-config with calico_backend and veth_mtu"
    ))
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Under which name the bundle carries each image of the manifest, where it is another one: vendors publish the same image
/// in several registries. Names in both are `registry/path:tag`.
fn images(published: &Published, carried: &[String]) -> Result<Vec<(String, String)>, StepBuildError> {
    let path = |name: &str| name.split_once('/').map_or(name, |(_, path)| path).to_owned();
    let (mut others, mut missing) = (Vec::new(), Vec::new());
    for name in &published.images {
        if carried.contains(name) {
            continue;
        }
        match carried.iter().find(|one| path(one) == path(name)) {
            Some(one) => others.push((name.clone(), one.clone())),
            None => missing.push(name.clone()),
        }
    }
    if missing.is_empty() {
        return Ok(others);
    }
    let (be, names) = (if missing.len() == 1 { "is" } else { "are" }, missing.join(", "));
    Err(StepBuildError::Unsupported(format!(
        "{MANIFEST} names what {be} not in the bundle: {names}; carry the component calico in the manifest's version, or list the images, and make the bundle anew"
    )))
}

/// Whether a node's card computes wrong checksums inside VXLAN, as preflight's `network.offload` finds it.
fn offload_is_broken(context: &Context<'_>) -> bool {
    let card = |host: &Host| Some(context.facts_of(host).ok()?.network.holding(host.internal)?.1.driver.clone());
    context.nodes().filter_map(card).any(|driver| driver == "vmxnet3")
}

/// What the site changes in the daemon. `broken`: checksums inside VXLAN are left to the kernel.
fn node(site: &Site, published: &Published, broken: bool) -> Value {
    let network = &site.network;
    // Each node by the address that the other hosts reach it by, which is what its kubelet says, too.
    let address = match &network.interface {
        Some(name) => format!("interface=^{}$", name.replace('.', "\\.")),
        None => "kubernetes-internal-ip".to_owned(),
    };
    let mut settings = vec![
        json!({"name": "IP_AUTODETECTION_METHOD", "value": address}),
        // The pool is an object of ferry's.
        json!({"name": "NO_DEFAULT_POOLS", "value": "true"}),
    ];
    let vxlan = network.encapsulation == Encapsulation::Vxlan;
    if vxlan && broken {
        settings.push(json!({"name": "FELIX_FEATUREDETECTOVERRIDE", "value": "ChecksumOffloadBroken=true"}));
    }
    let mut container = json!({"name": "calico-node", "env": settings});
    if vxlan {
        // Nothing speaks BGP then, so nothing that does is asked whether it is well.
        for (probe, command) in ["livenessProbe", "readinessProbe"].into_iter().zip(&published.probes) {
            let rest: Vec<&String> =
                command.iter().filter(|word| !word.trim_start_matches('-').starts_with("bird")).collect();
            if rest.len() < command.len() {
                container[probe] = json!({"exec": {"command": rest}});
            }
        }
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    })
}

/// What the site changes in Calico's own settings. MTU 0: each node's, less what the encapsulation adds.
fn config(network: &Network) -> Value {
    let backend = if network.encapsulation == Encapsulation::Vxlan { "vxlan" } else { "bird" };
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "calico-config", "namespace": "kube-system"},
        "data": {"calico_backend": backend, "veth_mtu": network.mtu.map_or(0, Count::get).to_string()},
    })
}

fn kustomization(images: &[(String, String)]) -> Value {
    let split =
        |name: &str| name.rsplit_once(':').map_or((name.to_owned(), String::new()), |(a, b)| (a.into(), b.into()));
    let images: Vec<Value> = images
        .iter()
        .map(|(name, carried)| {
            let (carried, tag) = split(carried);
            json!({"name": split(name).0, "newName": carried, "newTag": tag})
        })
        .collect();
    json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [MANIFEST],
        "patches": [{"path": "node.json"}, {"path": "config.json"}],
        "images": images,
    })
}

/// The pool of pod addresses. Its range and blocks are given away to nodes, so they stay; how packets travel can be changed.
fn pool(site: &Site) -> Vec<Action> {
    let (pods, block) = (site.kubernetes.pod_cidr.value, site.network.block_prefix.unwrap_or(BLOCK));
    let (ipip, vxlan) = match site.network.encapsulation {
        Encapsulation::Vxlan => ("Never", "Always"),
        Encapsulation::Ipip => ("Always", "Never"),
        Encapsulation::Bgp | Encapsulation::HostGw => ("Never", "Never"),
    };
    let text = format!(
        "apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata:
  name: {POOL}
spec:
  cidr: {pods}
  blockSize: {block}
  ipipMode: {ipip}
  vxlanMode: {vxlan}
  natOutgoing: true
  nodeSelector: all()
  allowedUses: [Workload, Tunnel]
"
    );
    let kinds = format!("{KUBECTL} wait --for=condition=Established crd/ippools.crd.projectcalico.org --timeout");
    let known = Run::unless(
        "Calico's kinds of objects are known",
        Subject::Wait,
        format!("{kinds}=1s"),
        format!("{kinds}=60s"),
    );
    let held = format!(
        "was=$({KUBECTL} get ippools.crd.projectcalico.org {POOL} --ignore-not-found -o jsonpath='{{.spec.cidr}} {{.spec.blockSize}}') || exit 1\n[ -z \"$was\" ] || [ \"$was\" = '{pods} {block}' ]"
    );
    let refuse = format!(
        "( {held}\n) || {{ echo 'nodes have addresses of the pool already, which keeps its range and blocks: set kubernetes.podCIDR and network.blockPrefix as they were; the site asks for {pods} in blocks of /{block}' >&2; exit 1; }}"
    );
    let same = Run::unless("the pool keeps its addresses", Subject::Objects, held, refuse).retried(1);
    let mut actions = vec![Action::Run(known), Action::Run(same)];
    actions.extend(applied(&format!("{FILES}/objects/calico-pool.yaml"), "Calico's pool", text));
    actions
}
