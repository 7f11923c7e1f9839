//! The sections about the network: links, addresses, routes, sockets, resolvers, `/etc/hosts`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::frame::Frame;
use super::model_network::{Interface, Names, Network, Protocol, Route, Socket};
use super::parse::words;
use crate::site::Cidr;

/// Kinds of routes as `ip route` writes them before the destination.
const KINDS: [&str; 9] =
    ["unicast", "local", "broadcast", "multicast", "anycast", "blackhole", "unreachable", "prohibit", "throw"];

pub(super) fn network(frame: &Frame<'_>) -> Network {
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    for line in frame.lines("links") {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap_or_default();
        let (name, mac, mtu, state, physical, driver) = (next(), next(), next(), next(), next(), next());
        let interface = Interface {
            mac: mac.to_lowercase(),
            mtu: mtu.parse().unwrap_or_default(),
            state: state.to_owned(),
            physical: physical == "yes",
            driver: driver.to_owned(),
            addresses: Vec::new(),
        };
        interfaces.insert(name.to_owned(), interface);
    }
    let seen: BTreeMap<&str, Link<'_>> = frame.lines("ip-links").iter().filter_map(|line| link(line)).collect();
    if !seen.is_empty() {
        // `/sys` may be that of another network namespace; `ip` always speaks of the one it runs in.
        interfaces.retain(|name, _| seen.contains_key(name.as_str()));
        for (name, link) in seen {
            let interface = interfaces.entry(name.to_owned()).or_default();
            if interface.mac != link.mac {
                (interface.physical, interface.driver) = (false, String::new());
            }
            (interface.mac, interface.mtu, interface.state) = (link.mac, link.mtu, link.state.to_lowercase());
        }
    }
    for line in frame.lines("addresses") {
        // `4: eth0    inet 192.0.2.2/24 …`, `7: cali1@if3    inet6 …`
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, name, "inet" | "inet6", address, ..] = fields.as_slice() else { continue };
        let name = name.split('@').next().unwrap_or(name);
        let (address, prefix) = address.split_once('/').unwrap_or((address, ""));
        if let (Ok(address), Some(interface)) = (address.parse::<IpAddr>(), interfaces.get_mut(name)) {
            let whole = if address.is_ipv4() { 32 } else { 128 };
            interface.addresses.push((address, prefix.parse().unwrap_or(whole)));
        }
    }
    let four = frame.lines("routes4").iter().filter_map(|line| route(line, Ipv4Addr::UNSPECIFIED.into()));
    let six = frame.lines("routes6").iter().filter_map(|line| route(line, Ipv6Addr::UNSPECIFIED.into()));
    let mut routes: Vec<Route> = four.chain(six).collect();
    if routes.is_empty() {
        routes = frame.lines("proc-route").iter().filter_map(|line| proc_route(line)).collect();
    }
    Network { interfaces, routes }
}

/// An interface, as `ip` says.
struct Link<'a> {
    mac: String,
    mtu: u32,
    state: &'a str,
}

/// A line of `ip -o link show`: `2: eth0@if5: <UP,…> mtu 1500 … state UP …\    link/ether 52:54:… brd …`.
fn link(line: &str) -> Option<(&str, Link<'_>)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let name = fields.get(1)?.trim_end_matches(':').split('@').next()?;
    let after = |wanted: fn(&str) -> bool| {
        fields.iter().position(|word| wanted(word)).and_then(|at| fields.get(at + 1)).copied()
    };
    let mtu = after(|word| word == "mtu")?.parse().ok()?;
    let state = after(|word| word == "state").unwrap_or("unknown");
    // Tunnels have none. The backslash that stands for the line's end touches the word after it in some versions.
    let mac = after(|word| word.trim_start_matches('\\').starts_with("link/")).unwrap_or_default();
    Some((name, Link { mac: mac.to_lowercase(), mtu, state }))
}

/// A line of `ip route show table all`; routes to the host's own addresses and to groups are left out.
fn route(line: &str, any: IpAddr) -> Option<Route> {
    let mut fields = line.split_whitespace().peekable();
    let kind = fields.next_if(|word| KINDS.contains(word)).unwrap_or("unicast");
    if ["local", "broadcast", "multicast", "anycast"].contains(&kind) {
        return None;
    }
    let to = match fields.next()? {
        "default" => Cidr::holding(any, 0),
        range if range.contains('/') => range.parse().ok()?,
        address => {
            let address: IpAddr = address.parse().ok()?;
            Cidr::holding(address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let rest: Vec<&str> = fields.collect();
    let after = |key: &str| rest.iter().position(|word| *word == key).and_then(|at| rest.get(at + 1)).copied();
    Some(Route {
        kind: kind.to_owned(),
        to,
        via: after("via").and_then(|text| text.parse().ok()),
        device: after("dev").map(str::to_owned),
        table: after("table").unwrap_or("main").to_owned(),
    })
}

/// A line of `/proc/net/route`, for hosts without `ip`: addresses in hexadecimal, bytes in the host's (little) order.
fn proc_route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let address = |at: usize| {
        let bits = u32::from_str_radix(fields.get(at)?, 16).ok()?;
        Some(Ipv4Addr::from(bits.to_le_bytes()))
    };
    let (to, via, mask) = (address(1)?, address(2)?, address(7)?);
    let prefix = u8::try_from(mask.to_bits().count_ones()).ok()?;
    Some(Route {
        kind: "unicast".into(),
        to: Cidr::holding(to.into(), prefix),
        via: Some(IpAddr::V4(via)).filter(|via| !via.is_unspecified()),
        device: fields.first().map(|name| (*name).to_owned()),
        table: "main".into(),
    })
}

pub(super) fn sockets(frame: &Frame<'_>) -> Vec<Socket> {
    let names = processes(frame);
    let mut sockets = Vec::new();
    for (section, protocol) in [("sockets", Protocol::Tcp), ("sockets.udp", Protocol::Udp)] {
        for line in frame.lines(section) {
            // `tcp    0: 0100007F:1F90 00000000:0000 0A …`
            let Some((address, port)) = line.split_whitespace().nth(2).and_then(hexadecimal) else { continue };
            let process = names.get(&(protocol, port)).cloned().unwrap_or_default();
            sockets.push(Socket { protocol, address, port, process });
        }
    }
    sockets
}

fn hexadecimal(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_le_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

/// Names of processes by what they listen on, from `ss`: `tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",…))`.
fn processes(frame: &Frame<'_>) -> BTreeMap<(Protocol, u16), String> {
    let rows = frame.lines("ss").iter().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let protocol = match *fields.first()? {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        };
        let port = fields.get(4)?.rsplit_once(':')?.1.parse().ok()?;
        let name = line.split_once("((\"")?.1.split_once('"')?.0;
        Some(((protocol, port), name.to_owned()))
    });
    rows.collect()
}

pub(super) fn names(frame: &Frame<'_>) -> Names {
    let servers = |key: &str| -> Vec<String> {
        let lines = frame.values("resolv", key).filter_map(|line| line.strip_prefix("nameserver"));
        lines.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
    };
    let search = frame.values("resolv", "line").filter_map(|line| {
        line.strip_prefix("search").or_else(|| line.strip_prefix("domain")).filter(|rest| rest.starts_with([' ', '\t']))
    });
    let hosts = frame.lines("hosts").iter().filter_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut fields = line.split_whitespace();
        let address = fields.next()?.parse().ok()?;
        Some((address, fields.map(str::to_owned).collect::<Vec<_>>())).filter(|(_, names)| !names.is_empty())
    });
    Names {
        resolv_conf: frame.value("resolv", "there") == "yes",
        resolv_conf_target: frame.value("resolv", "target").to_owned(),
        nameservers: servers("line"),
        search: search.last().map(words).unwrap_or_default(),
        upstream: servers("upstream"),
        wildcard: frame.values("identity", "wildcard").filter_map(|text| text.parse().ok()).collect(),
        hosts: hosts.collect(),
        nsswitch: frame.first("nsswitch").trim_start_matches("hosts:").trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_all_kinds_are_read() {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let read = |line: &str| route(line, any).map(|r| (r.kind, r.to.to_string(), r.via, r.device, r.table));
        let some = |kind: &str, to: &str, via: Option<&str>, device: Option<&str>, table: &str| {
            let via = via.map(|text| text.parse().unwrap());
            Some((kind.to_owned(), to.to_owned(), via, device.map(str::to_owned), table.to_owned()))
        };
        let default = "default via 192.0.2.1 dev eth0 proto dhcp metric 100";
        assert_eq!(read(default), some("unicast", "0.0.0.0/0", Some("192.0.2.1"), Some("eth0"), "main"));
        assert_eq!(
            read("10.9.0.0/16 via 10.0.0.9 dev e1 table 100"),
            some("unicast", "10.9.0.0/16", Some("10.0.0.9"), Some("e1"), "100")
        );
        assert_eq!(read("10.9.0.7 dev cali1 scope link"), some("unicast", "10.9.0.7/32", None, Some("cali1"), "main"));
        assert_eq!(read("blackhole 10.244.1.0/26 proto bird"), some("blackhole", "10.244.1.0/26", None, None, "main"));
        assert_eq!(read("local 127.0.0.0/8 dev lo table local"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn ip_is_believed_before_another_namespaces_sysfs() {
        let text = "== ferry-facts 1\n== links\n|eth0 02:fc:00:00:00:01 1400 up yes virtio_net\n|ifb0 aa:bb:cc:dd:ee:ff 1500 down no \n\
            == ip-links\n|1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT\\    link/loopback 00:00:00:00:00:00 brd 0\n\
            |2: eth0@if7: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP mode DEFAULT\\    link/ether 26:5A:95:07:41:dd brd f\n== end\n";
        let found = network(&Frame::read(text).unwrap()).interfaces;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eth0", "lo"]);
        let eth = &found["eth0"];
        assert_eq!((eth.mac.as_str(), eth.mtu, eth.state.as_str()), ("26:5a:95:07:41:dd", 1500, "up"));
        assert!(!eth.physical && eth.driver.is_empty());
    }

    #[test]
    fn addresses_in_hexadecimal_are_read() {
        assert_eq!(hexadecimal("0100007F:1F90"), Some(("127.0.0.1".parse().unwrap(), 8080)));
        assert_eq!(hexadecimal("00000000000000000000000001000000:0016"), Some(("::1".parse().unwrap(), 22)));
        assert_eq!(hexadecimal("0100:1"), None);
        let route = proc_route("eth0 000200C0 00000000 0001 0 0 0 00FFFFFF 0 0 0").unwrap();
        assert_eq!((route.to.to_string().as_str(), route.via), ("192.0.2.0/24", None));
    }
}
