//! Looks at a cluster without asking ferry: over plain SSH, with `kubectl`, `ctr` and the host's own tools.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bench, Bundle};
use crate::error::Error;
use crate::hosts::{Driver, Egress};

/// The cluster's own addresses by default: packets for them that leave are a fault of the cluster's making, not an
/// attempt to reach a network outside.
const CLUSTER_RANGES: [(&str, u8); 2] = [("10.244.0.0", 16), ("10.96.0.0", 12)];

const WORKLOAD: &str = include_str!("../../hosts/workload.yaml");

/// A command on the host over plain SSH as root; its standard output.
pub(super) fn ssh(driver: &dyn Driver, host: u8, command: &str) -> Result<String, Error> {
    driver.ssh(host, "root")?.arg(command).run()
}

pub(super) fn kubectl(driver: &dyn Driver, host: u8, words: &str) -> Result<String, Error> {
    ssh(driver, host, &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {words}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// Everything that must hold of a node with everything.
pub(super) fn all(bench: &Bench, host: u8, bundle: &Bundle) -> Result<(), Error> {
    nodes(bench, host, 1)?;
    pods(bench, host)?;
    images(bench, host, bundle)?;
    workload(bench, host).map(drop)
}

/// Everything that must hold of a cluster of several hosts: `nodes` of them, seen from the control plane on `host`. Says when
/// the workload had come to its end.
pub(super) fn several(bench: &Bench, host: u8, nodes_expected: usize, bundle: &Bundle) -> Result<Instant, Error> {
    nodes(bench, host, nodes_expected)?;
    pods(bench, host)?;
    images(bench, host, bundle)?;
    workload(bench, host)
}

/// `expected` nodes, all ready, of the bundle's versions, and one of them at least takes pods.
pub(super) fn nodes(bench: &Bench, host: u8, expected: usize) -> Result<(), Error> {
    let list = json(&kubectl(&bench.driver, host, "get nodes -o json")?);
    let nodes = list["items"].as_array().cloned().unwrap_or_default();
    bench.check("all nodes are there", nodes.len() == expected, format!("{} nodes", nodes.len()));
    let free = nodes.iter().filter(|node| node["spec"]["taints"].is_null()).count();
    bench.check("pods find a node", free > 0, format!("{free} nodes without a taint"));
    for node in &nodes {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let conditions: Vec<(String, String)> = node["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| {
                (one["type"].as_str().unwrap_or_default().into(), one["status"].as_str().unwrap_or_default().into())
            })
            .collect();
        let fit = !conditions.is_empty()
            && conditions.iter().all(|(kind, status)| status == if kind == "Ready" { "True" } else { "False" });
        bench.check("the node is Ready and under no pressure", fit, format!("{name}: {conditions:?}"));
        let info = &node["status"]["nodeInfo"];
        let versions = format!(
            "{} {}",
            info["kubeletVersion"].as_str().unwrap_or(""),
            info["containerRuntimeVersion"].as_str().unwrap_or("")
        );
        let expected = "v1.34.4 containerd://v2.2.7";
        bench.check(
            "versions are the bundle's",
            versions == expected || versions == "v1.34.4 containerd://2.2.7",
            versions,
        );
    }
    Ok(())
}

fn pods(bench: &Bench, host: u8) -> Result<(), Error> {
    let list = json(&kubectl(&bench.driver, host, "get pods -A -o json")?);
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    for pod in &pods {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let ready = pod["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|one| one["type"] == "Ready" && one["status"] == "True");
        if !ready && pod["status"]["phase"] != "Succeeded" {
            wrong.push(name.to_owned());
        }
    }
    let seen = if wrong.is_empty() { format!("{} pods", pods.len()) } else { wrong.join(", ") };
    bench.check("all pods are ready", wrong.is_empty() && pods.len() >= 6, seen);
    Ok(())
}

/// Images of Kubernetes itself must be on the node with the digests that the origin has.
fn images(bench: &Bench, host: u8, bundle: &Bundle) -> Result<(), Error> {
    let listed = ssh(&bench.driver, host, "ctr -n k8s.io images ls 2>/dev/null")?;
    for (reference, digest) in bundle.images.iter().filter(|(reference, _)| reference.starts_with("registry.k8s.io/")) {
        let there = listed.lines().any(|line| {
            let repository = reference.rsplit_once(':').map_or(reference.as_str(), |(name, _)| name);
            let path = repository.trim_start_matches("registry.k8s.io/");
            line.contains(path) && line.contains(digest.as_str())
        });
        bench.check("an image is on the node by its digest", there, format!("{reference} {digest}"));
    }
    Ok(())
}

/// Two pods behind a Service, names, and a volume that keeps what was written when its pod is gone. Says when that was seen.
fn workload(bench: &Bench, host: u8) -> Result<Instant, Error> {
    let driver = &bench.driver;
    let apply = driver.ssh(host, "root")?.arg("kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -");
    bench.step("cluster: apply a workload", || apply.input(WORKLOAD).run())?;
    let result = bench.step("cluster: wait for it", || {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let phase = kubectl(driver, host, "-n vm-tests get pod tries -o jsonpath={.status.phase}")?;
            if phase == "Succeeded" || phase == "Failed" || Instant::now() > deadline {
                return Ok(phase);
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    })?;
    let ended = Instant::now();
    let log = kubectl(driver, host, "-n vm-tests logs tries -c tries 2>&1 || true")?;
    bench.evidence.save("workload.log", &log);
    bench.check("the workload's tries succeed", result == "Succeeded", log.lines().last().unwrap_or(&result));
    for what in
        ["two endpoints answer", "names resolve", "an unknown name is refused at once", "a volume keeps its content"]
    {
        bench.check(what, log.lines().any(|line| line == format!("ok: {what}")), "");
    }
    bench
        .step("cluster: remove it", || kubectl(driver, host, "delete namespace vm-tests --wait=true --timeout=60s"))?;
    Ok(ended)
}

/// What has tried to leave: nothing for a network outside.
pub(super) fn egress(bench: &Bench) -> Result<(), Error> {
    let egress = bench.driver.egress()?;
    let lines: String = egress.attempts.iter().map(|attempt| format!("{attempt}\n")).collect();
    bench.evidence.save("egress.txt", &format!("{} packets\n{lines}", egress.packets));
    let (cluster, outside) = divided(&egress);
    bench.evidence.note("packets for the cluster's own addresses that left", cluster);
    bench.check("nothing has tried to reach a network outside", outside == 0, lines.replace('\n', "; "));
    Ok(())
}

/// Packets for the cluster's own addresses, and all others. What was counted but not noted is counted as other.
fn divided(egress: &Egress) -> (u64, u64) {
    let own = |to: &str| to.parse().is_ok_and(|to| CLUSTER_RANGES.iter().any(|range| within(to, *range)));
    let of_cluster: u64 = egress.attempts.iter().filter(|one| own(&one.to)).map(|one| one.packets).sum();
    let others = egress.attempts.iter().any(|one| !own(&one.to));
    // A set counts the packets after the one that made its element on some kernels: only what was noted for other
    // addresses makes the rest count as such.
    if others || egress.attempts.is_empty() {
        (of_cluster, egress.packets.saturating_sub(of_cluster))
    } else {
        (egress.packets, 0)
    }
}

fn within(address: std::net::Ipv4Addr, (network, prefix): (&str, u8)) -> bool {
    let network: std::net::Ipv4Addr = network.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
    let mask = u32::MAX << (32 - u32::from(prefix));
    u32::from(address) & mask == u32::from(network) & mask
}

/// What an install that changes nothing must leave as it was: files with their times, units with their starts, images.
pub(super) fn snapshot(driver: &dyn Driver, host: u8) -> Result<String, Error> {
    driver.must(
        host,
        "find /etc /usr/local /opt /lib/systemd/system /var/lib/ferry -xdev \\( -type f -o -type l \\) \
            ! -path '*/lease*' ! -path '/etc/mtab' -printf '%p %m %u:%g %s %T@\\n' | sort
        for unit in containerd kubelet etcd ferry-registry registry; do
            echo \"$unit $(systemctl show $unit -p ActiveEnterTimestampMonotonic -p MainPID | tr '\\n' ' ')\"
        done
        ctr -n k8s.io images ls -q 2>/dev/null | sort
        sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4\\.(ip_forward|conf\\.(all|default))|bridge)' | sort",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Attempt;

    #[test]
    fn the_clusters_own_addresses_are_told_from_others() {
        let attempt = |to: &str, packets| Attempt {
            from: "10.77.0.11".into(),
            to: to.into(),
            protocol: "tcp".into(),
            port: Some(443),
            packets,
        };
        let own = Egress { packets: 31, attempts: vec![attempt("10.96.0.1", 30)] };
        assert_eq!(divided(&own), (31, 0));
        let both = Egress { packets: 33, attempts: vec![attempt("10.111.0.1", 30), attempt("10.112.0.1", 3)] };
        assert_eq!(divided(&both), (30, 3));
        assert_eq!(divided(&Egress { packets: 2, attempts: Vec::new() }), (0, 2));
    }
}
