//! Names, as pods resolve them, on every node: the cluster's, the site's, and such as nobody knows.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::arena::{HEADLESS, NAMESPACE, Pod};
use super::context::{Context, Unseen, output};
use super::finding::Finding;
use super::probe::{self, Line, words};
use crate::host::Command;
use crate::site::file::Role;
use crate::site::types::DnsName;

const FIX: &str = "see the CoreDNS pods' logs and its Corefile (ConfigMap kube-system/coredns), and that UDP and TCP port 53 \
                   reach it from that node";

/// A name, and what it must resolve to: all of these (empty: anything), or one of them.
struct Question {
    name: String,
    all: Vec<IpAddr>,
    one_of: Vec<IpAddr>,
    tcp: bool,
}

impl Question {
    fn command(&self) -> Vec<String> {
        let mut command = words(&format!("resolve {} --timeout 3000", self.name));
        command.extend(self.tcp.then(|| "--tcp".to_owned()));
        command
    }

    fn judge(&self, line: &Line) -> (bool, String) {
        let transport = if self.tcp { "TCP" } else { "UDP" };
        let found: BTreeSet<&IpAddr> = line.addresses.iter().collect();
        let complete = self.all.iter().all(|address| found.contains(address));
        let chosen = self.one_of.is_empty() || self.one_of.iter().any(|address| found.contains(address));
        let well = line.ok && line.rcode.as_deref() == Some("NOERROR") && !found.is_empty() && complete && chosen;
        let addresses: Vec<String> = found.iter().map(ToString::to_string).collect();
        let answer = match &line.rcode {
            Some(rcode) => format!("{rcode} {}", addresses.join(" ")),
            None => line.why().to_owned(),
        };
        let wanted: Vec<String> = self.all.iter().chain(&self.one_of).map(ToString::to_string).collect();
        let wanted = if well { String::new() } else { format!(", expected {}", wanted.join(" ")) };
        (well, format!("{} {transport}: {answer} in {:.0} ms{wanted}", self.name, line.ms.unwrap_or_default()))
    }
}

/// Asks the same questions in a pod of every node.
async fn everywhere(context: &Context<'_>, questions: &[Question]) -> Vec<Finding> {
    let (kubectl, arena) = match (context.kubectl(), context.arena().await) {
        (Ok(kubectl), Ok(arena)) => (kubectl, arena),
        (Err(why), _) | (_, Err(why)) => return vec![Finding::failed("", why, FIX)],
    };
    let commands: Vec<Vec<String>> = questions.iter().map(Question::command).collect();
    let commands = &commands;
    let ask = |pod: &'_ Pod| {
        let (node, name) = (pod.node.clone(), pod.name.clone());
        async move {
            let said = match probe::in_pod(kubectl, &name, "web", commands).await {
                Ok(said) => said,
                Err(why) => return Finding::failed(node, why, FIX),
            };
            let judged = questions.iter().zip(&said).map(|(question, said)| match said.line() {
                Ok(line) => question.judge(line),
                Err(why) => (false, format!("{}: {why}", question.name)),
            });
            let judged: Vec<(bool, String)> = judged.collect();
            let lines: Vec<&str> = judged.iter().map(|one| one.1.as_str()).collect();
            Finding::judged(judged.iter().all(|one| one.0), node, lines.join("\n"), FIX)
        }
    };
    join_all(arena.a.iter().map(ask)).await
}

pub(super) async fn cluster(context: &Context<'_>) -> Vec<Finding> {
    let domain = &context.site.kubernetes.dns_domain;
    let first: Vec<IpAddr> = context.site.kubernetes.service_cidr.value.nth(1).into_iter().collect();
    let pods: Vec<IpAddr> = match context.arena().await {
        Ok(arena) => arena.pods().map(|pod| pod.address).collect(),
        Err(why) => return vec![Finding::failed("", why, FIX)],
    };
    let mut questions = Vec::new();
    for tcp in [false, true] {
        let api = format!("kubernetes.default.svc.{domain}");
        questions.push(Question { name: api, all: first.clone(), one_of: Vec::new(), tcp });
        let headless = format!("{HEADLESS}.{NAMESPACE}.svc.{domain}");
        // An answer over UDP may be cut to what fits: all addresses are wanted over TCP, or where there are few.
        let all = if tcp || pods.len() <= 8 { pods.clone() } else { Vec::new() };
        questions.push(Question { name: headless, all, one_of: pods.clone(), tcp });
    }
    // An answer given before the name server knew of all pods is kept for up to 30 s, the lifetime of the cluster's names.
    let look = || async {
        let findings = everywhere(context, &questions).await;
        (findings.iter().all(|finding| finding.fix.is_none()), findings)
    };
    context.until(Duration::from_secs(45).min(context.needs.patience), look).await
}

pub(super) async fn site(context: &Context<'_>) -> Vec<Finding> {
    let site = context.site;
    let registries: Vec<IpAddr> = site.with(Role::Registry).map(|host| host.internal).collect();
    let exact = |name: &str, address: &IpAddr| Question {
        name: name.to_owned(),
        all: vec![*address],
        one_of: Vec::new(),
        tcp: false,
    };
    let name = site.registry.name.to_string();
    let mut questions = vec![Question { name, all: Vec::new(), one_of: registries, tcp: false }];
    questions.extend(site.dns.names.iter().map(|(name, address)| exact(name, address)));
    let below = |(zone, address): (&DnsName, &IpAddr)| exact(&format!("{}.{zone}", context.token), address);
    questions.extend(site.dns.wildcards.iter().map(below));
    everywhere(context, &questions).await
}

pub(super) async fn unknown(context: &Context<'_>) -> Vec<Finding> {
    let limit = context.site.threshold("dns.unknown", 2.0);
    let (kubectl, arena) = match (context.kubectl(), context.arena().await) {
        (Ok(kubectl), Ok(arena)) => (kubectl, arena),
        (Err(why), _) | (_, Err(why)) => return vec![Finding::failed("", why, FIX)],
    };
    let without = without_servers(context).await;
    let without = &without;
    let name = format!("{}.nowhere.example", context.token);
    let patience = (limit * 1000.0).round().max(1.0) + 3000.0;
    let command = &[words(&format!("resolve {name} --timeout {patience:.0}"))];
    let ask = |pod: &'_ Pod| {
        let (node, pod) = (pod.node.clone(), pod.name.clone());
        async move {
            let said = probe::in_pod(kubectl, &pod, "web", command).await;
            let line =
                said.and_then(|said| said.first().map_or(Err("nothing was said".into()), |one| one.line().cloned()));
            match line {
                Err(why) => Finding::failed(node, why, FIX),
                Ok(line) => {
                    let ms = line.ms.unwrap_or(f64::INFINITY);
                    let rcode = line.rcode.as_deref().unwrap_or(line.why());
                    let well = matches!(rcode, "NXDOMAIN" | "SERVFAIL") && ms <= limit * 1000.0;
                    let evidence = format!("{rcode} in {ms:.0} ms; the limit is {limit} s{}", without.get_note(&node));
                    Finding::judged(
                        well,
                        node,
                        evidence,
                        "a site without name servers needs a Corefile that does not forward; run the installer again",
                    )
                }
            }
        }
    };
    join_all(arena.a.iter().map(ask)).await
}

/// Hosts whose resolv.conf names no server: there the check proves that CoreDNS does without.
struct Without(BTreeSet<String>);

impl Without {
    fn get_note(&self, node: &str) -> &'static str {
        if self.0.contains(node) { "; the host itself has no name server" } else { "" }
    }
}

async fn without_servers(context: &Context<'_>) -> Without {
    let hosts = context.site.hosts.iter().filter_map(|host| Some((host, context.hosts.get(&host.name)?)));
    let look = hosts.map(|(host, connection)| async move {
        let count: Result<String, Unseen> =
            output(connection, &Command::new("grep -c '^nameserver' /etc/resolv.conf || true")).await;
        count.is_ok_and(|count| count.trim() == "0").then(|| host.name.clone())
    });
    Without(join_all(look).await.into_iter().flatten().collect())
}
