//! Packets between pods and hosts: every node to every node, TCP and UDP, 64 bytes and as large as the MTU allows.
//!
//! The large size is asked over UDP, in one packet that may not be split on its way (Linux sets DF on it), because small
//! packets and pings pass where large ones are lost.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::arena::{Arena, DATA_PORT, Pod};
use super::context::{Context, Unseen, output};
use super::finding::Finding;
use super::probe::{self, Said, words};
use crate::host::Command;

const FIX: &str = "see the pod network's pods in kube-system, the MTU (`network.mtu`), routes between the hosts, and that no \
                   firewall drops packets of the pod range";
/// How the probe says ECONNRESET and EPIPE: there was a connection, and it was hung up. A closed port is ECONNREFUSED.
const HUNG_UP: [&str; 2] = ["os error 104", "os error 32)"];
/// The small size.
const SMALL: usize = 64;
/// An MTU that every network has that is of use here, for where none can be read.
const MTU: usize = 1400;
/// The larger of the heads of IP and UDP (IPv6): 40 and 8 bytes. IPv4's is 20 bytes smaller.
const HEADS: [usize; 2] = [28, 48];

/// What is asked of every pod in `pods`: both sizes, both protocols.
fn commands(token: &str, pods: &[Pod], large: usize) -> Vec<Vec<String>> {
    let target =
        |protocol: &str, pod: &Pod| format!("{protocol}:{}", std::net::SocketAddr::new(pod.address, DATA_PORT));
    [SMALL, large]
        .into_iter()
        .map(|size| {
            let mut command = words(&format!("dial --token {token} --timeout 5000 --size {size}"));
            command.extend(pods.iter().flat_map(|pod| [target("tcp", pod), target("udp", pod)]));
            command
        })
        .collect()
}

/// One finding for each way, from what the probe said of both sizes.
fn findings(from: &str, pods: &[Pod], large: usize, said: &[Said]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for pod in pods {
        let (mut lines, mut lost) = (Vec::new(), 0);
        for (size, said) in [SMALL, large].into_iter().zip(said) {
            let address = pod.address.to_string();
            let found: Vec<_> = said.lines.iter().filter(|line| line.host.as_deref() == Some(&address)).collect();
            for line in &found {
                let protocol = line.protocol.as_deref().unwrap_or("?");
                if line.ok {
                    lines.push(format!("{protocol} {size} B: {:.1} ms", line.ms.unwrap_or_default()));
                } else {
                    lost += 1;
                    lines.push(format!("{protocol} {size} B: {}", line.why()));
                }
            }
            if found.len() < 2 {
                lost += 1;
                lines.push(format!("{size} B: the probe did not say ({})", said.noise.trim()));
            }
        }
        let subject = format!("{from} → {}", pod.node);
        findings.push(Finding::judged(lost == 0, subject, lines.join("\n"), FIX));
    }
    findings
}

/// The payload of the largest packet that every node's pods can send: read from the interfaces that lead to the pods.
async fn large(context: &Context<'_>, arena: &Arena) -> usize {
    let look =
        arena.b.iter().filter_map(|pod| Some((pod, context.hosts.get(&pod.node)?))).map(|(pod, host)| async move {
            // Not from /sys: in a container that shows another network namespace's interfaces.
        let script = format!(
            "ip -o link show dev \"$(ip -o route get {} | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p')\" | sed -n 's/.* mtu \\([0-9]*\\).*/\\1/p'",
            pod.address
        );
        let text: Result<String, Unseen> = output(host, &Command::new(script)).await;
            text.ok().and_then(|text| text.trim().parse::<usize>().ok())
        });
    let read: BTreeSet<usize> = join_all(look).await.into_iter().flatten().collect();
    let mtu = read.first().copied().unwrap_or(MTU).min(9000);
    let heads = if arena.b.iter().any(|pod| pod.address.is_ipv6()) { HEADS[1] } else { HEADS[0] };
    mtu.saturating_sub(heads).max(SMALL)
}

pub(super) async fn pods(context: &Context<'_>) -> Vec<Finding> {
    let (kubectl, arena) = match (context.kubectl(), context.arena().await) {
        (Ok(kubectl), Ok(arena)) => (kubectl, arena),
        (Err(why), _) | (_, Err(why)) => return vec![Finding::failed("", why, FIX)],
    };
    let large = large(context, arena).await;
    let commands = &commands(&context.token, &arena.b, large);
    let from = |pod: &'_ Pod| {
        let (node, name) = (pod.node.clone(), pod.name.clone());
        async move {
            match probe::in_pod(kubectl, &name, "web", commands).await {
                Ok(said) => findings(&node, &arena.b, large, &said),
                Err(why) => vec![Finding::failed(node, why, FIX)],
            }
        }
    };
    join_all(arena.a.iter().map(from)).await.into_iter().flatten().collect()
}

pub(super) async fn from_host(context: &Context<'_>) -> Vec<Finding> {
    let arena = match context.arena().await {
        Ok(arena) => arena,
        Err(why) => return vec![Finding::failed("", why, FIX)],
    };
    let large = large(context, arena).await;
    let commands = &commands(&context.token, &arena.b, large);
    context
        .each(crate::site::Host::is_node, |host, connection| async move {
            match probe::on_host(connection, commands).await {
                Ok(said) => findings(&host.name, &arena.b, large, &said),
                Err(why) => vec![Finding::failed(&host.name, why, FIX)],
            }
        })
        .await
}

/// Asks every kubelet for plain HTTP: it answers 400, because it speaks TLS only. So something real answers on a port that is
/// open anyway, and no listener is needed. It may hang up so early that the answer is lost: a connection that is reset was one.
pub(super) async fn to_host(context: &Context<'_>) -> Vec<Finding> {
    let (kubectl, arena) = match (context.kubectl(), context.arena().await) {
        (Ok(kubectl), Ok(arena)) => (kubectl, arena),
        (Err(why), _) | (_, Err(why)) => return vec![Finding::failed("", why, FIX)],
    };
    let nodes: Vec<_> = context.site.hosts.iter().filter(|host| host.is_node()).collect();
    let url = |host: &&crate::site::Host| format!("http://{}/", std::net::SocketAddr::new(host.internal, 10250));
    let commands: Vec<Vec<String>> =
        nodes.iter().map(|host| words(&format!("get {} --timeout 5000", url(host)))).collect();
    let (nodes, commands) = (&nodes, &commands);
    let from = |pod: &'_ Pod| {
        let (node, name) = (pod.node.clone(), pod.name.clone());
        async move {
            let said = match probe::in_pod(kubectl, &name, "web", commands).await {
                Ok(said) => said,
                Err(why) => return vec![Finding::failed(node, why, FIX)],
            };
            let judge = |(host, said): (&&crate::site::Host, &Said)| {
                let subject = format!("{node} → {}", host.name);
                match said.line() {
                    Ok(line) if line.ok => {
                        let (status, ms) = (line.status.unwrap_or_default(), line.ms.unwrap_or_default());
                        Finding::passed(
                            subject,
                            format!("the kubelet at {}:10250 answers ({status}) in {ms:.1} ms", host.internal),
                        )
                    }
                    Ok(line) if HUNG_UP.iter().any(|said| line.why().contains(said)) => {
                        Finding::passed(subject, format!("the kubelet at {}:10250 takes a connection", host.internal))
                    }
                    Ok(line) => Finding::failed(subject, format!("{}:10250: {}", host.internal, line.why()), FIX),
                    Err(why) => Finding::failed(subject, why, FIX),
                }
            };
            nodes.iter().zip(&said).map(judge).collect()
        }
    };
    join_all(arena.a.iter().map(from)).await.into_iter().flatten().collect()
}
