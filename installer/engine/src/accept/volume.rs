//! A volume of the default class: bound in time, 64 MiB written and synced, and read again by another pod.

use std::time::{Duration, Instant};

use ferry_bundle_format::Arch;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::arena::{self, NAMESPACE};
use super::context::{Context, Unseen};
use super::finding::Finding;
use super::workload;
use crate::host::{Command, Host as _, quote};
use crate::site::file::StorageKind;

const FIX: &str =
    "see the pods of the storage provisioner and the events above; the default StorageClass must be marked so";
const CLAIM: &str = "data";
/// The seed of the bytes: those of an earlier run would not pass.
const SEED_SPAN: u64 = 1 << 31;

pub(super) async fn data(context: &Context<'_>) -> Vec<Finding> {
    if context.site.storage.kind == StorageKind::None {
        return vec![Finding::skipped("", "the site has no volumes by ferry")];
    }
    let limit = context.site.threshold("volume.bind", 60.0);
    match measure(context, limit).await {
        Ok((well, evidence)) => vec![Finding::judged(well, "", evidence, FIX)],
        Err(why) => {
            let state = arena::state(context).await;
            vec![Finding::failed("", format!("{why}\n{state}"), FIX)]
        }
    }
}

/// Takes away the folders of volumes that these checks, or earlier ones that were cut off, have left on the nodes: a host
/// that loses its power while a volume is made makes the folder once more when it is back, and nobody knows of it then. Only
/// once the namespace is gone; the folders' names say that they belonged to it.
pub(super) async fn sweep(context: &Context<'_>) {
    if context.site.storage.kind != StorageKind::LocalPath {
        return;
    }
    let script = format!("rm -rf -- {}/pvc-*_{NAMESPACE}_*", quote(&context.site.storage.path));
    let nodes = context.site.hosts.iter().filter(|host| host.is_node());
    let connected = nodes.filter_map(|host| context.hosts.get(&host.name));
    let command = Command::root(script).within(Duration::from_secs(30));
    // What could not be taken away stays until the next time.
    join_all(connected.map(|host| host.run(&command))).await;
}

async fn measure(context: &Context<'_>, limit: f64) -> Result<(bool, String), Unseen> {
    context.arena().await?;
    let kubectl = context.kubectl()?;
    let (arch, digest) = context.needs.probe.iter().next().ok_or("the probe's image is not known")?;
    let image = workload::image(&context.site.registry.authority(), digest);
    let seed = context.token.bytes().fold(7_u64, |sum, byte| (sum * 31 + u64::from(byte)) % SEED_SPAN);
    let begin = Instant::now();
    let writer = pod("writer", *arch, &image, "write", seed);
    kubectl.apply(&[workload::claim(CLAIM), writer]).await?;
    let patience = Duration::try_from_secs_f64(limit.clamp(1.0, 600.0)).unwrap_or_default();
    let bound = || async {
        let phase = kubectl.text(&format!("get pvc -n {NAMESPACE} {CLAIM} -o jsonpath={{.status.phase}}")).await;
        (phase.as_deref() == Ok("Bound"), phase)
    };
    let phase = context.until(patience, bound).await?;
    let took = begin.elapsed().as_secs_f64();
    if phase != "Bound" {
        return Err(format!("after {took:.0} s the claim is {phase}"));
    }
    let written = finish(context, "writer").await?;
    kubectl.slow(&format!("delete pod -n {NAMESPACE} writer --wait=true --timeout=60s"), 90).await?;
    kubectl.apply(&[pod("reader", *arch, &image, "check", seed)]).await?;
    let read = finish(context, "reader").await?;
    Ok((took <= limit, format!("bound after {took:.1} s; the limit is {limit} s\n{written}\n{read}")))
}

fn pod(name: &str, arch: Arch, image: &str, verb: &str, seed: u64) -> Value {
    workload::volume_pod(name, arch, image, CLAIM, &json!(["volume", verb, "/data", "--seed", seed.to_string()]))
}

/// Waits until a pod has ended, and gives what it said. An error if it has not ended well.
async fn finish(context: &Context<'_>, name: &str) -> Result<String, Unseen> {
    let kubectl = context.kubectl()?;
    let ended = || async {
        let phase = kubectl.text(&format!("get pod -n {NAMESPACE} {name} -o jsonpath={{.status.phase}}")).await;
        (matches!(phase.as_deref(), Ok("Succeeded" | "Failed")), phase)
    };
    let phase = context.until(Duration::from_secs(120).min(context.needs.patience), ended).await?;
    let said = kubectl.text(&format!("logs -n {NAMESPACE} {name}")).await.unwrap_or_else(|why| why);
    if phase == "Succeeded" { Ok(said.trim().to_owned()) } else { Err(format!("{name} is {phase}: {}", said.trim())) }
}
