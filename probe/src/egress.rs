//! `egress`: connections that leave private address ranges, as connection tracking knows them.
//!
//! A line of `/proc/net/nf_conntrack` holds `src= dst= sport= dport=` of the way there first. Not every kernel shows the
//! file; then it says so and counts nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;

use crate::Verdict;
use crate::arguments::Arguments;
use crate::json::Line;

const FILE: &str = "/proc/net/nf_conntrack";

pub(crate) fn run(arguments: Arguments) -> Verdict {
    arguments.end()?;
    let Ok(text) = fs::read_to_string(FILE) else {
        Line::new().yes("known", false).text("why", format!("{FILE} can't be read")).print();
        return Ok(true);
    };
    let outside: BTreeSet<String> = text.lines().filter_map(leaving).collect();
    let none = outside.is_empty();
    Line::new().yes("known", true).number("connections", outside.len() as u128).texts("to", outside).print();
    Ok(none)
}

/// `protocol address:port`, if the connection of that line leaves.
fn leaving(line: &str) -> Option<String> {
    let protocol = line.split_whitespace().nth(2)?;
    let first = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    let to: IpAddr = first("dst=")?.parse().ok()?;
    (!is_inside(to)).then(|| format!("{protocol} {to}:{}", first("dport=").unwrap_or("-")))
}

/// Private (RFC 1918, RFC 4193), shared (RFC 6598), loopback, link-local and group addresses, and those for documents.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let usual = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast();
            usual || shared || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            let usual = v6.is_loopback() || v6.is_multicast() || v6.is_unspecified();
            usual || v6.is_unique_local() || v6.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_is_told_from_what_stays() {
        let line = |to: &str| {
            let words = format!("ipv4 2 tcp 6 117 SYN_SENT src=10.0.0.11 dst={to} sport=4711 dport=443");
            leaving(&(words + " [UNREPLIED] src=1.1.1.1 dst=10.0.0.11 sport=443 dport=4711"))
        };
        assert_eq!(line("93.184.216.34"), Some("tcp 93.184.216.34:443".into()));
        for inside in ["10.96.0.1", "192.168.1.1", "172.16.9.9", "127.0.0.1", "169.254.1.1", "100.64.0.1"] {
            assert_eq!(line(inside), None, "{inside}");
        }
        assert_eq!(line("2001:4860:4860::8888"), Some("tcp 2001:4860:4860::8888:443".into()));
        assert!(line("fd00::1").is_none() && leaving("").is_none());
    }
}
