//! Attempts to leave the site, as each host's connection tracking knows them: looked at before and after the other checks.
//!
//! Every connection has a line with where it goes first: `… SYN_SENT src=A dst=B … [UNREPLIED] …`. What goes to a public
//! address is an attempt; so is what goes unanswered to an address that is neither the site's nor of a network the host is in.
//! Entries of unanswered packets live for 30 s (UDP) to 120 s (TCP), so short attempts long ago are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures_util::future::join_all;

use super::context::{Context, Unseen, output};
use super::finding::Finding;
use crate::host::Command;
use crate::site::Cidr;

/// Prints the host's own networks, a line of dashes, and its connections.
const LOOK: &str = "ip -o route show table all scope link 2>/dev/null | awk '{print $1}'; ip -6 -o route show 2>/dev/null | awk '{print $1}'
echo -----
if [ -r /proc/net/nf_conntrack ]; then cat /proc/net/nf_conntrack
elif command -v conntrack >/dev/null 2>&1; then conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null || true
else exit 3; fi";

/// Where packets of each host went, or why that is not known.
pub(super) type Flows = BTreeMap<String, Result<BTreeSet<String>, Unseen>>;

/// Attempts that every host knows of now.
pub(super) async fn look(context: &Context<'_>) -> Flows {
    let inside = &ranges(context);
    let hosts = context.site.hosts.iter().filter_map(|host| Some((&host.name, context.hosts.get(&host.name)?)));
    let look = hosts.map(|(name, host)| async move {
        let text = output(host, &Command::root(LOOK)).await;
        (name.clone(), text.map(|text| attempts(&text, inside)))
    });
    join_all(look).await.into_iter().collect()
}

/// The site's own ranges and addresses.
fn ranges(context: &Context<'_>) -> Vec<Cidr> {
    let site = context.site;
    let single = |address: &IpAddr| Cidr::holding(*address, if address.is_ipv4() { 32 } else { 128 });
    let mut ranges: Vec<Cidr> = site.ranges().iter().map(|one| one.1).collect();
    ranges.extend(site.hosts.iter().map(|host| single(&host.internal)));
    ranges
        .extend(site.dns.upstream.iter().chain(site.dns.names.values()).chain(site.dns.wildcards.values()).map(single));
    ranges.extend(site.time.servers.iter().filter_map(|server| server.parse().ok()).map(|one: IpAddr| single(&one)));
    ranges
}

fn attempts(text: &str, inside: &[Cidr]) -> BTreeSet<String> {
    let (networks, flows) = text.split_once("-----\n").unwrap_or(("", text));
    let networks: Vec<Cidr> =
        networks.lines().filter_map(|line| line.parse().ok()).filter(|one: &Cidr| one.prefix() > 0).collect();
    let known = |address: IpAddr| inside.iter().chain(&networks).any(|range| range.contains(address));
    flows.lines().filter_map(|line| attempt(line, known)).collect()
}

fn attempt(line: &str, known: impl Fn(IpAddr) -> bool) -> Option<String> {
    let first = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    let to: IpAddr = first("dst=")?.parse().ok()?;
    let unanswered = line.contains("[UNREPLIED]") || line.contains("SYN_SENT");
    if is_local(to) || known(to) || (!unanswered && is_private(to)) {
        return None;
    }
    let protocol = line.split_whitespace().find(|word| ["tcp", "udp", "icmp", "icmpv6", "sctp"].contains(word))?;
    let state = if unanswered { "unanswered" } else { "answered" };
    let (from, port) = (first("src=").unwrap_or("?"), first("dport=").unwrap_or("-"));
    Some(format!("{protocol} {from} to {to} port {port}, {state}"))
}

/// Never leaves the network that it is sent in.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let usual = v4.is_loopback() || v4.is_link_local() || v4.is_multicast();
            usual || v4.is_broadcast() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unicast_link_local(),
    }
}

/// May be the site's own, somewhere else.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

pub(super) async fn none(context: &Context<'_>) -> Vec<Finding> {
    let after = look(context).await;
    let one = |host: &crate::site::Host| match (context.flows.get(&host.name), after.get(&host.name)) {
        (_, None) => Finding::failed(&host.name, "it is not connected", "connect the host, or take it out of the site"),
        (_, Some(Err(why))) => {
            Finding::skipped(&host.name, format!("connection tracking can't be read on this host: {why}"))
        }
        (before, Some(Ok(after))) => {
            let mut all = after.clone();
            all.extend(before.and_then(|seen| seen.as_ref().ok()).into_iter().flatten().cloned());
            let lines: Vec<String> = all.into_iter().collect();
            let fix =
                "find who sends it (`ss -tunp` on the host, the source's pod) and point it to a service of the site";
            let evidence = if lines.is_empty() { "no attempt is known".to_owned() } else { lines.join("\n") };
            Finding::judged(lines.is_empty(), &host.name, evidence, fix)
        }
    };
    context.site.hosts.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_from_traffic() {
        let inside: Vec<Cidr> = vec!["10.96.0.0/16".parse().unwrap()];
        let text = "default\n10.77.0.0/24\n-----\n\
            ipv4     2 tcp      6 119 SYN_SENT src=10.244.0.9 dst=93.184.216.34 sport=1 dport=443 [UNREPLIED] src=93.184.216.34 dst=10.77.0.11 sport=443 dport=1 mark=0 use=2\n\
            ipv4     2 udp      17 29 src=10.77.0.11 dst=10.9.9.9 sport=1 dport=53 [UNREPLIED] src=10.9.9.9 dst=10.77.0.11 sport=53 dport=1\n\
            ipv4     2 tcp      6 99 ESTABLISHED src=10.77.0.11 dst=10.9.9.8 sport=1 dport=22 src=10.9.9.8 dst=10.77.0.11 sport=22 dport=1 [ASSURED]\n\
            ipv4     2 udp      17 29 src=10.77.0.11 dst=10.77.0.200 sport=1 dport=53 [UNREPLIED] src=10.77.0.200 dst=10.77.0.11 sport=53 dport=1\n\
            tcp      6 99 ESTABLISHED src=10.77.0.11 dst=10.96.0.1 sport=1 dport=443 src=10.77.0.11 dst=10.77.0.11 sport=6443 dport=1 [ASSURED]\n\
            udp      17 29 src=fe80::1 dst=ff02::fb sport=5353 dport=5353 [UNREPLIED] src=ff02::fb dst=fe80::1 sport=5353 dport=5353\n";
        let found: Vec<String> = attempts(text, &inside).into_iter().collect();
        assert_eq!(
            found,
            ["tcp 10.244.0.9 to 93.184.216.34 port 443, unanswered", "udp 10.77.0.11 to 10.9.9.9 port 53, unanswered"]
        );
    }
}
