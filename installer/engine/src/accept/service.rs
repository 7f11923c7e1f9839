//! A Service over several endpoints, from pods and from the hosts' own network: every request is answered, by all of them.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::arena::{Arena, Pod};
use super::context::Context;
use super::finding::Finding;
use super::probe::{self, Said, words};

const FIX: &str =
    "see the kube-proxy pods' logs on that node, and `iptables-save` (or `nft list ruleset`) for the Service";
const SLOW: &str = "see what keeps the node busy (`top`, `iostat`); a slow test machine may set `service.pods` and `service.hosts` under `thresholds`";
/// Requests from a pod. That all of 12 go to one of two endpoints by chance happens once in 2,048 times.
const FROM_POD: usize = 12;
/// Requests from a host for each endpoint, at most 200: that one of `n` endpoints is missed by chance with `16 n` requests is
/// rarer than once in a million times `n`.
const FROM_HOST: usize = 16;

fn commands(arena: &Arena, count: usize) -> Vec<Vec<String>> {
    let url = format!("http://{}/hostname", std::net::SocketAddr::new(arena.service, 80));
    vec![words(&format!("get {url} --timeout 3000")); count]
}

/// The most milliseconds that a request may take: one that takes a second has been sent again by TCP, because its first packet
/// was lost.
const LIMIT: f64 = 1000.0;

/// `wanted` different endpoints must have answered, and every request must have had an answer within `limit` milliseconds.
fn judge(subject: &str, said: &[Said], wanted: usize, limit: f64) -> Finding {
    let (mut names, mut faults, mut slowest) = (BTreeSet::new(), Vec::new(), 0.0_f64);
    for one in said {
        match one.line() {
            Ok(line) if line.ok && line.status == Some(200) => {
                names.extend(line.body.clone());
                slowest = slowest.max(line.ms.unwrap_or_default());
            }
            Ok(line) => faults.push(line.status.map_or_else(|| line.why().to_owned(), |status| status.to_string())),
            Err(why) => faults.push(why),
        }
    }
    let mut evidence = format!(
        "{} requests, {} unanswered, {} endpoints of {wanted} at least, slowest {slowest:.1} ms, the limit is {limit} ms",
        said.len(),
        faults.len(),
        names.len()
    );
    let names_enough = names.len() >= wanted;
    let well = faults.is_empty() && names_enough && slowest < limit;
    if !well {
        faults.dedup();
        evidence +=
            &format!("; these answered: {}\n{}", names.into_iter().collect::<Vec<_>>().join(", "), faults.join("\n"));
    }
    let slow = faults.is_empty() && names_enough && slowest >= limit;
    Finding::judged(well, subject, evidence, if slow { SLOW } else { FIX })
}

pub(super) async fn from_pods(context: &Context<'_>) -> Vec<Finding> {
    let (kubectl, arena) = match (context.kubectl(), context.arena().await) {
        (Ok(kubectl), Ok(arena)) => (kubectl, arena),
        (Err(why), _) | (_, Err(why)) => return vec![Finding::failed("", why, FIX)],
    };
    let limit = context.site.threshold("service.pods", LIMIT);
    let commands = &commands(arena, FROM_POD);
    let from = |pod: &'_ Pod| {
        let (node, name) = (pod.node.clone(), pod.name.clone());
        async move {
            match probe::in_pod(kubectl, &name, "web", commands).await {
                Ok(said) => judge(&node, &said, 2, limit),
                Err(why) => Finding::failed(node, why, FIX),
            }
        }
    };
    join_all(arena.a.iter().map(from)).await
}

pub(super) async fn from_hosts(context: &Context<'_>) -> Vec<Finding> {
    let arena = match context.arena().await {
        Ok(arena) => arena,
        Err(why) => return vec![Finding::failed("", why, FIX)],
    };
    let endpoints = arena.pods().count();
    let count = (FROM_HOST * endpoints).min(200);
    // With more endpoints than requests can tell apart, half of them are proof enough.
    let wanted = if endpoints * FROM_HOST <= 200 { endpoints } else { endpoints / 2 };
    let limit = context.site.threshold("service.hosts", LIMIT);
    let commands = &commands(arena, count);
    context
        .each(crate::site::Host::is_node, |host, connection| async move {
            vec![match probe::on_host(connection, commands).await {
                Ok(said) => judge(&host.name, &said, wanted, limit),
                Err(why) => Finding::failed(&host.name, why, FIX),
            }]
        })
        .await
}
