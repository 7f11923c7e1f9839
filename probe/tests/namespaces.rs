//! Two network namespaces and a wire between them: a small MTU on the way, and a packet filter that drops.
//!
//! Needs root, `ip` and (for the filter) `nft`; without them it says so and proves nothing.
#![expect(clippy::print_stderr, reason = "a test that can't run says so")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PROBE: &str = env!("CARGO_BIN_EXE_ferry-probe");

fn sh(script: &str) -> bool {
    Command::new("sh").args(["-c", script]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A pair of namespaces that goes away with the test.
struct Wire {
    names: [String; 2],
    serving: Option<Child>,
}

impl Wire {
    fn make() -> Option<Self> {
        let id = std::process::id();
        let names = [format!("ferry-a-{id}"), format!("ferry-b-{id}")];
        let [a, b] = &names;
        let script = format!(
            "set -e; ip netns add {a}; ip netns add {b}
             ip link add fpa{id} netns {a} type veth peer name fpb{id} netns {b}
             ip -n {a} addr add 10.99.0.1/24 dev fpa{id}; ip -n {b} addr add 10.99.0.2/24 dev fpb{id}
             ip -n {a} link set fpa{id} up; ip -n {b} link set fpb{id} up; ip -n {a} link set lo up; ip -n {b} link set lo up"
        );
        let wire = Self { names, serving: None };
        sh(&script).then_some(wire)
    }

    fn inside(&self, which: usize, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.names[which], PROBE]).args(words);
        command
    }

    fn dial(&self, words: &[&str]) -> (bool, String) {
        let output = self.inside(0, &[&["dial", "--token", "T", "--timeout", "900"][..], words].concat()).output();
        let output = output.expect("the probe runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("text"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(child) = &mut self.serving {
            let _ = child.kill();
            let _ = child.wait();
        }
        for name in &self.names {
            sh(&format!("ip netns del {name}"));
        }
    }
}

#[test]
fn broken_wires_are_told_from_whole_ones() {
    let Some(mut wire) = Wire::make() else {
        eprintln!("not run: network namespaces can't be made here");
        return;
    };
    let words = ["serve", "--listen", "tcp:6443", "--listen", "udp:4789", "--for", "120", "--token", "T"];
    let mut child = wire.inside(1, &words).stdout(Stdio::piped()).spawn().expect("the probe runs");
    let mut reader = BufReader::new(child.stdout.take().expect("piped"));
    wire.serving = Some(child);
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(reader.read_line(&mut line).expect("a line") > 0, "it never got ready");
    }
    let (tcp, udp) = ("tcp:10.99.0.2:6443", "udp:10.99.0.2:4789");
    let (ok, text) = wire.dial(&["--size", "1450", tcp, udp]);
    assert!(ok, "{text}");

    // Something on the way that loses packets over 1,400 bytes: small ones pass, big ones do not.
    let [_, b] = wire.names.clone();
    let filter = format!(
        "ip netns exec {b} nft 'add table inet t; add chain inet t i {{ type filter hook input priority 0; }}; \
         add rule inet t i meta length > 1400 drop'"
    );
    if !sh(&filter) {
        eprintln!("not run: packet filters can't be set here");
        return;
    }
    assert!(wire.dial(&[tcp, udp]).0);
    let (ok, text) = wire.dial(&["--size", "1450", udp]);
    assert!(!ok && text.contains("\"ok\":false"), "{text}");

    // A filter that drops one port.
    assert!(sh(&format!("ip netns exec {b} nft 'flush chain inet t i; add rule inet t i udp dport 4789 drop'")));
    let (ok, text) = wire.dial(&[tcp, udp]);
    assert!(!ok && text.lines().next().is_some_and(|line| line.contains("\"ok\":true")), "{text}");
    assert!(text.lines().nth(1).is_some_and(|line| line.contains("\"ok\":false")), "{text}");
}
