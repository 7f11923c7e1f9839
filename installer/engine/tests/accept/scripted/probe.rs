//! What `ferry-probe` says on a healthy network, for every command in a script; one thing can be made ill.

use std::cell::Cell;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ill {
    /// Nothing.
    Nothing,
    /// Names of the cluster are not known.
    ClusterNames,
    /// Names of the site are not known.
    SiteNames,
    /// Unknown names are asked for elsewhere, and nobody answers.
    UnknownNames,
    /// Large datagrams are lost.
    LargePackets,
    /// Kubelets are not reached.
    Hosts,
    /// One endpoint never answers.
    OneEndpoint,
    /// Some requests are not answered.
    SomeRequests,
}

/// The pods' addresses, `a` first.
pub(crate) const PODS: [&str; 2] = ["10.244.0.20", "10.244.0.21"];

/// Runs a script of probe commands.
pub(crate) fn run(script: &str, ill: Ill) -> (i32, String) {
    let turn = Cell::new(0_usize);
    let commands = script.lines().filter_map(|line| line.split_once("ferry-probe ")?.1.split_once(" 2>&1"));
    let said: String = commands.map(|(command, _)| one(command, ill, &turn)).collect();
    (0, said)
}

fn one(command: &str, ill: Ill, turn: &Cell<usize>) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let (ok, lines) = match words[0] {
        "resolve" => resolve(words[1], ill),
        "dial" => dial(&words, ill),
        "get" => get(words[1], ill, turn),
        other => panic!("no answer for {other}"),
    };
    format!("{lines}@ {}\n", u8::from(!ok))
}

fn resolve(name: &str, ill: Ill) -> (bool, String) {
    let (rcode, addresses) = match name {
        "kubernetes.default.svc.cluster.local" if ill == Ill::ClusterNames => ("SERVFAIL", vec![]),
        "kubernetes.default.svc.cluster.local" => ("NOERROR", vec!["10.96.0.1"]),
        "pods.ferry-accept.svc.cluster.local" => ("NOERROR", PODS.to_vec()),
        "extra.lab.local" if ill == Ill::SiteNames => ("NXDOMAIN", vec![]),
        "registry.lab.local" | "extra.lab.local" => ("NOERROR", vec!["10.77.0.11"]),
        name if name.ends_with(".apps.lab.local") => ("NOERROR", vec!["10.77.0.50"]),
        _ if ill == Ill::UnknownNames => {
            return (false, "{\"ok\":false,\"error\":\"no answer\",\"ms\":5000.1}\n".into());
        }
        _ => ("NXDOMAIN", vec![]),
    };
    let line = serde_json::json!({"name": name, "ok": true, "ms": 0.4, "rcode": rcode, "addresses": addresses});
    (rcode == "NOERROR", format!("{line}\n"))
}

fn dial(words: &[&str], ill: Ill) -> (bool, String) {
    let size: u64 = words[words.iter().position(|word| *word == "--size").unwrap() + 1].parse().unwrap();
    let mut all = true;
    let mut lines = String::new();
    for target in words.iter().filter(|word| word.starts_with("tcp:") || word.starts_with("udp:")) {
        let (protocol, rest) = target.split_once(':').unwrap();
        let (host, port) = rest.rsplit_once(':').unwrap();
        let ok = !(ill == Ill::LargePackets && protocol == "udp" && size > 1000);
        all &= ok;
        let line = if ok {
            serde_json::json!({"protocol": protocol, "host": host, "port": port, "size": size, "ok": true, "ms": 0.2})
        } else {
            serde_json::json!({"protocol": protocol, "host": host, "size": size, "ok": false, "error": "no answer"})
        };
        lines += &format!("{line}\n");
    }
    (all, lines)
}

fn get(url: &str, ill: Ill, turn: &Cell<usize>) -> (bool, String) {
    turn.set(turn.get() + 1);
    if url.ends_with(":10250/") {
        return match ill {
            Ill::Hosts => (false, "{\"ok\":false,\"error\":\"connection timed out\",\"ms\":5000}\n".into()),
            _ => (false, "{\"ok\":true,\"ms\":0.9,\"status\":400,\"body\":\"Client sent an HTTP request\"}\n".into()),
        };
    }
    if ill == Ill::SomeRequests && turn.get().is_multiple_of(5) {
        return (false, "{\"ok\":false,\"error\":\"connection timed out\",\"ms\":3000}\n".into());
    }
    let name = if ill == Ill::OneEndpoint || turn.get().is_multiple_of(2) { "a-amd64-x" } else { "b-amd64-y" };
    (true, format!("{{\"ok\":true,\"ms\":0.7,\"status\":200,\"body\":\"{name}\"}}\n"))
}
