//! Namespaces and cables: a bridge without uplink in the lab's namespace, and one namespace a host.
//!
//! The hosts have a default route to the bridge, which leads nowhere: what wants to leave is sent, seen and dropped
//! by `egress`. The lab's own namespace has one too, so that the operator's programs are seen as well.

use std::path::Path;
use std::time::Duration;

use super::egress;
use super::lab::{HostPlace, Lab};
use crate::error::Error;
use crate::program::Program;

pub(super) const BRIDGE: &str = "br0";

fn ip<const N: usize>(args: [&str; N]) -> Result<String, Error> {
    Program::new("ip").args(args).run()
}

fn exists(namespace: &str) -> bool {
    Path::new("/run/netns").join(namespace).exists()
}

/// The bridge and the counters; what is there stays.
pub(super) fn lab_up(lab: &Lab) -> Result<(), Error> {
    let name = lab.name();
    // The filters come last: where they are, all is.
    if exists(name) && egress::read(lab).is_ok() {
        return Ok(());
    }
    lab_down(lab)?;
    ip(["netns", "add", name])?;
    ip(["-n", name, "link", "set", "lo", "up"])?;
    ip(["-n", name, "link", "add", BRIDGE, "type", "bridge"])?;
    ip(["-n", name, "addr", "add", &format!("{}/24", lab.gateway()), "dev", BRIDGE])?;
    ip(["-n", name, "link", "set", BRIDGE, "up"])?;
    ip(["-n", name, "route", "add", "default", "dev", BRIDGE])?;
    // Else frames between hosts would pass the filters for what leaves.
    for filter in ["iptables", "ip6tables", "arptables"] {
        let key = format!("net.bridge.bridge-nf-call-{filter}=0");
        Program::inside(name, "sysctl").args(["-q", "-w", &key]).run()?;
    }
    egress::install(lab)
}

/// Removes the lab's namespaces, and with them cables, routes and filters.
pub(super) fn lab_down(lab: &Lab) -> Result<(), Error> {
    let prefix = format!("{}-h", lab.name());
    let listed = ip(["netns", "list"])?;
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let of_host = name.strip_prefix(&prefix).is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
        if name == lab.name() || of_host {
            ip(["netns", "del", name])?;
        }
    }
    Ok(())
}

/// A fresh namespace with a cable to the bridge, as after power on: no rules, no routes but these.
pub(super) fn host_up(lab: &Lab, host: &HostPlace) -> Result<(), Error> {
    host_down(lab, host)?;
    let (name, link) = (host.namespace.as_str(), host.link.as_str());
    ip(["netns", "add", name])?;
    // The MTU of a wire (what a kernel gives by itself differs), and the same card after each power cut: the others
    // remember it.
    let near = ["-n", lab.name(), "link", "add", link, "mtu", "1500", "type", "veth", "peer", "name", "eth0"];
    let card = format!("02:fe:0a:4d:00:{:02x}", 10 + host.number);
    Program::new("ip").args(near).args(["mtu", "1500", "address", &card, "netns", name]).run()?;
    ip(["-n", lab.name(), "link", "set", link, "master", BRIDGE, "up"])?;
    ip(["-n", name, "link", "set", "lo", "up"])?;
    ip(["-n", name, "addr", "add", &format!("{}/24", host.address), "brd", "+", "dev", "eth0"])?;
    ip(["-n", name, "link", "set", "eth0", "up"])?;
    ip(["-n", name, "route", "add", "default", "via", &lab.gateway().to_string()])?;
    Ok(())
}

/// Removes the host's namespace and cable.
pub(super) fn host_down(lab: &Lab, host: &HostPlace) -> Result<(), Error> {
    let link = || Program::new("ip").args(["-n", lab.name(), "link", "show", &host.link]).succeeds();
    if link() {
        // It may go by itself at the same moment, with the namespace of its other end.
        let _ = Program::new("ip").args(["-n", lab.name(), "link", "del", &host.link]).ended();
    }
    if exists(&host.namespace) {
        ip(["netns", "del", &host.namespace])?;
    }
    for _ in 0..40 {
        if !link() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Error::TimedOut { what: format!("removing the cable {}", host.link), seconds: 2 })
}
