//! What tries to leave: counted, noted and dropped by the packet filter of the lab's namespace.
//!
//! ```text
//! host ──► bridge ──► prerouting:  not for the lab's network?  count, note source, destination, port; drop
//! operator in the lab ─► output:   the same
//! between hosts, on the bridge:    port 53?                    count, note; let pass
//! ```
//! IPv6 beyond the link counts as well. A rule that asks for what a frame does not have (an ARP's port) lets the next rule
//! decide, so each kind of frame is let go by itself. Zero means something because [`self_test`] makes it rise.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::driver::Driver;
use super::lab::Lab;
use super::network::BRIDGE;
use crate::error::Error;
use crate::program::Program;

const TABLE: &str = "ferry_egress";

/// What has tried to leave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Egress {
    /// Packets for elsewhere, and DNS queries to anywhere.
    pub packets: u64,
    /// Who wanted where, as far as it was noted (the first 4,096 pairs).
    pub attempts: Vec<Attempt>,
}

/// Packets of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Source address.
    pub from: String,
    /// Destination address.
    pub to: String,
    /// `tcp`, `udp`, `icmp` or a number.
    pub protocol: String,
    /// Destination port, where the protocol has ports.
    pub port: Option<u64>,
    /// How many.
    pub packets: u64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {}", self.from, self.to, self.protocol)?;
        if let Some(port) = self.port {
            write!(f, "/{port}")?;
        }
        write!(f, ": {} packets", self.packets)
    }
}

fn rules(lab: &Lab) -> String {
    let subnet = lab.subnet();
    let sets = "
        set ports { type ipv4_addr . ipv4_addr . inet_proto . inet_service; size 4096; flags dynamic; counter; }
        set others { type ipv4_addr . ipv4_addr . inet_proto; size 4096; flags dynamic; counter; }
        set six { type ipv6_addr . ipv6_addr . inet_proto; size 4096; flags dynamic; counter; }";
    let note = "
            meta protocol ip meta l4proto { tcp, udp } update @ports { ip saddr . ip daddr . meta l4proto . th dport }
            meta protocol ip meta l4proto != { tcp, udp } update @others { ip saddr . ip daddr . meta l4proto }";
    let leaving = format!(
        "
            ip daddr {{ {subnet}, 127.0.0.0/8, 224.0.0.0/4, 255.255.255.255 }} accept
            ip6 daddr {{ ::1, fe80::/10, ff00::/8 }} accept
            counter name total{note}
            meta protocol ip6 update @six {{ ip6 saddr . ip6 daddr . meta l4proto }}
            drop"
    );
    format!(
        "table inet {TABLE} {{
        counter total {{ }}{sets}
        chain hosts {{ type filter hook prerouting priority -400; policy accept;
            iifname != \"{BRIDGE}\" accept{leaving}
        }}
        chain operator {{ type filter hook output priority -400; policy accept;
            oifname != \"{BRIDGE}\" accept{leaving}
        }}
    }}
    table bridge {TABLE} {{
        counter total {{ }}{sets}
        chain names {{ type filter hook prerouting priority -400; policy accept;
            meta protocol != {{ ip, ip6 }} accept
            ip daddr != {subnet} accept
            ip frag-off & 0x1fff != 0 accept
            meta l4proto != {{ tcp, udp }} accept
            th dport != 53 accept
            counter name total{note}
        }}
    }}
    "
    )
}

/// Puts the filters in place, with nothing counted.
pub(super) fn install(lab: &Lab) -> Result<(), Error> {
    let gone = ["inet", "bridge"].map(|family| format!("table {family} {TABLE}\ndelete table {family} {TABLE}\n"));
    let script = format!("{}{}", gone.concat(), rules(lab));
    Program::inside(lab.name(), "nft").args(["-f", "-"]).input(script).run()?;
    Ok(())
}

/// Reads what was counted.
pub(super) fn read(lab: &Lab) -> Result<Egress, Error> {
    let mut egress = Egress::default();
    for family in ["inet", "bridge"] {
        let text = Program::inside(lab.name(), "nft").args(["-j", "list", "table", family, TABLE]).run()?;
        parse(&text, &mut egress)?;
    }
    egress.attempts.sort_by(|a, b| (&a.from, &a.to, a.port).cmp(&(&b.from, &b.to, b.port)));
    Ok(egress)
}

fn parse(text: &str, egress: &mut Egress) -> Result<(), Error> {
    let unreadable = |why: &str| Error::Asked(format!("can't read what nft lists: {why}"));
    let document: Value = serde_json::from_str(text).map_err(|error| unreadable(&error.to_string()))?;
    for item in document["nftables"].as_array().ok_or_else(|| unreadable("no list"))? {
        if let Some(packets) = item["counter"]["packets"].as_u64() {
            egress.packets += packets;
        }
        for element in item["set"]["elem"].as_array().into_iter().flatten() {
            let element = &element["elem"];
            let fields = element["val"]["concat"].as_array().ok_or_else(|| unreadable("an element without fields"))?;
            let word =
                |at: usize| fields.get(at).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            egress.attempts.push(Attempt {
                from: word(0).unwrap_or_default(),
                to: word(1).unwrap_or_default(),
                protocol: word(2).unwrap_or_default(),
                port: fields.get(3).and_then(Value::as_u64),
                packets: element["counter"]["packets"].as_u64().unwrap_or_default(),
            });
        }
    }
    Ok(())
}

/// Makes a host and the operator try to leave and sees that it is counted; forgets it again.
pub fn self_test(driver: &dyn Driver, host: u8) -> Result<Egress, Error> {
    driver.forget_egress()?;
    let before = driver.egress()?;
    let tries = "timeout 1 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443'; echo x | timeout 1 socat - UDP:8.8.8.8:53; true";
    driver.must(host, tries)?;
    let _ = driver.beside("timeout").args(["1", "bash", "-c", "exec 3<>/dev/tcp/9.9.9.9/443"]).ended()?;
    let seen = driver.egress()?;
    let address = driver.address(host)?.to_string();
    let noted = |from: Option<&str>, to: &str, port: u64| {
        let matches = |attempt: &Attempt| {
            from.is_none_or(|from| attempt.from == from) && attempt.to == to && attempt.port == Some(port)
        };
        seen.attempts.iter().any(matches)
    };
    let all =
        noted(Some(&address), "1.1.1.1", 443) && noted(Some(&address), "8.8.8.8", 53) && noted(None, "9.9.9.9", 443);
    if before.packets != 0 || seen.packets < 3 || !all {
        return Err(Error::Check(format!("attempts to leave are not counted: before {before:?}, after {seen:?}")));
    }
    driver.forget_egress()?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nft_lists_is_read() {
        let text = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "inet", "name": "packets", "table": "t", "handle": 1, "packets": 7, "bytes": 420}},
            {"set": {"name": "ports", "elem": [
                {"elem": {"val": {"concat": ["10.77.0.11", "8.8.8.8", "udp", 53]}, "counter": {"packets": 3, "bytes": 1}}}]}},
            {"set": {"name": "others", "elem": [
                {"elem": {"val": {"concat": ["10.77.0.11", "1.1.1.1", "icmp"]}, "counter": {"packets": 4, "bytes": 1}}}]}}]}"#;
        let mut egress = Egress::default();
        parse(text, &mut egress).unwrap();
        let lines: Vec<String> = egress.attempts.iter().map(ToString::to_string).collect();
        assert_eq!(egress.packets, 7);
        assert_eq!(lines, ["10.77.0.11 -> 8.8.8.8 udp/53: 3 packets", "10.77.0.11 -> 1.1.1.1 icmp: 4 packets"]);
    }
}
