//! The site's registry: guarded, and of use to every node with nothing cached.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use ferry_bundle_format::Arch;

use super::context::{Context, Unseen, output};
use super::finding::Finding;
use super::images::{self, Listed};
use super::nodes;
use super::workload;
use super::{http, tls};
use crate::host::{Command, Host, quote};
use crate::pki::PULL_USER;
use crate::site::file::Role;

/// How containerd is asked about the images of Kubernetes.
const CTR: &str = "/usr/local/bin/ctr -n k8s.io";
const FIX: &str = "see the registry's configuration and its unit on that host; run the installer again";
/// The label that keeps an image.
const PIN: &str = "io.cri-containerd.pinned=pinned";

pub(super) async fn guarded(context: &Context<'_>) -> Vec<Finding> {
    context
        .each(
            |host| host.is(Role::Registry),
            |host, connection| async move { vec![refusals(context, &host.name, host.internal, connection).await] },
        )
        .await
}

/// Nobody, and somebody with a wrong password.
async fn refusals(context: &Context<'_>, subject: &str, address: IpAddr, connection: &dyn Host) -> Finding {
    let wrong = base64::engine::general_purpose::STANDARD.encode(format!("{PULL_USER}:{}", context.token));
    let mut seen = Vec::new();
    for (who, authorization) in [("nobody", None), ("a wrong password", Some(format!("Basic {wrong}")))] {
        match ask(context, connection, address, authorization.as_deref()).await {
            Ok(status) => seen.push((status == 401, format!("{who}: {status}"))),
            Err(why) => return Finding::failed(subject, why, FIX),
        }
    }
    let evidence: Vec<String> = seen.iter().map(|one| one.1.clone()).collect();
    Finding::judged(seen.iter().all(|one| one.0), subject, evidence.join(", ") + " (401 refuses)", FIX)
}

async fn ask(
    context: &Context<'_>,
    connection: &dyn Host,
    address: IpAddr,
    authorization: Option<&str>,
) -> Result<u16, Unseen> {
    let registry = &context.site.registry;
    let (mut stream, served) = tls::connect(connection, &address.to_string(), registry.port, &registry.name).await?;
    served.verify(&context.needs.registry_ca, &[registry.name.to_string()])?;
    Ok(http::get(&mut stream, &registry.authority(), "/v2/", authorization).await?.0)
}

pub(super) async fn pull(context: &Context<'_>) -> Vec<Finding> {
    let limit = context.site.threshold("registry.pull", 30.0);
    let archs = match nodes::list(context).await {
        Ok(list) => list.items,
        Err(why) => return vec![Finding::failed("", why, "see that the API server runs")],
    };
    let archs = &archs;
    context
        .each(crate::site::Host::is_node, |host, connection| async move {
            let node = archs.iter().find(|node| node.metadata.name == host.name);
            let arch = node.and_then(|node| arch(&node.status.node_info.architecture));
            let digest = arch.and_then(|arch| context.needs.probe.get(&arch));
            let Some(digest) = digest else {
                return vec![Finding::failed(
                    &host.name,
                    "there is no image of the probe for it",
                    "run the installer again",
                )];
            };
            let image = workload::image(&context.site.registry.authority(), digest);
            let fix =
                "see /etc/containerd/certs.d on the host, and that the registry's name and port are reached from there";
            vec![match pull_anew(connection, &image, &digest.to_string()).await {
                Err(why) => Finding::failed(&host.name, why, fix),
                Ok(took) => {
                    let evidence = format!("{image} in {:.1} s; the limit is {limit} s", took.as_secs_f64());
                    Finding::judged(took.as_secs_f64() <= limit, &host.name, evidence, fix)
                }
            }]
        })
        .await
}

/// Takes an image and its content away, and pulls it. What was pinned is pinned again.
async fn pull_anew(host: &dyn Host, image: &str, digest: &str) -> Result<Duration, Unseen> {
    let held: Vec<Listed> = images::parse(&output(host, &Command::root(images::LIST)).await?);
    let held: Vec<&Listed> = held.iter().filter(|one| one.digest == digest).collect();
    let names: Vec<String> = held.iter().map(|one| quote(&one.name)).collect();
    if !names.is_empty() {
        let script = format!("{CTR} images rm --sync {} >/dev/null 2>&1", names.join(" "));
        output(host, &Command::root(script)).await?;
    }
    let absent = format!("! {CTR} content ls -q 2>/dev/null | grep -qx {digest}");
    let still = "the image's content is still there after its names were removed";
    output(host, &Command::root(absent)).await.map_err(|_| still.to_owned())?;
    let begin = Instant::now();
    let script = format!("{CTR} images pull --hosts-dir /etc/containerd/certs.d {} 2>&1 | tail -c 2000", quote(image));
    // Without `pipefail` in every sh, what came is looked at instead of the status.
    let said = output(host, &Command::root(script).within(Duration::from_secs(120))).await?;
    let took = begin.elapsed();
    let there = images::parse(&output(host, &Command::root(images::LIST)).await?);
    if !there.iter().any(|one| one.name == image && one.digest == digest) {
        return Err(format!("it can't be pulled: {}", said.trim()));
    }
    if held.iter().any(|one| one.pinned) {
        // The runtime gives what was pulled a second name, that of its config.
        let names = there.iter().filter(|one| one.digest == digest);
        let script: String =
            names.map(|one| format!("{CTR} images label {} {PIN} >/dev/null 2>&1\n", quote(&one.name))).collect();
        output(host, &Command::root(script)).await?;
    }
    Ok(took)
}

/// The architecture that Kubernetes calls by this name: Go's, as ours.
pub(super) fn arch(name: &str) -> Option<Arch> {
    Arch::ALL.into_iter().find(|arch| arch.as_str() == name)
}
