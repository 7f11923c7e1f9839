//! The pod network `flannel`: its daemon carries packets between nodes, by VXLAN or by routes of one network (`host-gw`).
//!
//! Each node's share of the pod addresses is the plan's, as with `host-routes`, so containerd's configuration is written
//! beforehand: a bridge with the standard plugins. flannel's own plugin, which would write the same at run time, is not needed.

use ferry_bundle_format::Digest;
use serde_json::json;

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::control_plane::{objects as applied, objects_folder};
use super::network::{bridge, up};
use crate::action::Action;
use crate::site::file::Encapsulation;
use crate::site::types::Count;
use crate::site::{Host, Site};

/// The image of the daemon.
const IMAGE: &str = "ghcr.io/flannel-io/flannel";
/// What VXLAN over IPv4 adds to a packet, in bytes (RFC 7348: Ethernet 14, VXLAN 8, UDP 8, IPv4 20).
const VXLAN: u32 = 50;

/// What a node needs before it can be ready.
pub(super) fn files(context: &Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let facts = context.facts_of(host)?;
    let named = context.site.network.interface.as_deref().and_then(|name| facts.network.interfaces.get(name));
    let carries = named.or_else(|| facts.network.holding(host.internal).map(|(_, interface, _)| interface));
    let rest = carries.map(|interface| interface.mtu.saturating_sub(added(context.site))).filter(|mtu| *mtu > 0);
    Ok(vec![bridge(context, host, context.site.network.mtu.map(Count::get).or(rest), false)?])
}

/// The bytes that the way between hosts adds to a packet.
fn added(site: &Site) -> u32 {
    if site.network.encapsulation == Encapsulation::Vxlan { VXLAN } else { 0 }
}

/// The daemon, and that it runs on every node.
pub(super) fn objects(context: &Context<'_>, host: &Host) -> Result<Vec<Action>, StepBuildError> {
    let image = context.supply.image(IMAGE, context.arch(host)?)?.name.to_string();
    let mut actions = vec![objects_folder()];
    actions.extend(applied(&format!("{FILES}/objects/flannel.yaml"), "flannel", manifest(context.site, &image)));
    actions.push(up(context, "kube-system", "daemonset/ferry-flannel"));
    Ok(actions)
}

fn manifest(site: &Site, image: &str) -> String {
    let way = if site.network.encapsulation == Encapsulation::Vxlan { "vxlan" } else { "host-gw" };
    let pods = site.kubernetes.pod_cidr.value.to_string();
    let settings = json!({"Network": pods, "EnableNFTables": false, "Backend": {"Type": way}}).to_string();
    // The address by which the other hosts reach this one, unless the site names an interface: never the first one found.
    let interface = site.network.interface.as_deref().unwrap_or("$(NODE_ADDRESS)");
    let digest = Digest::of(settings.as_bytes()).hex()[..12].to_owned();
    let words =
        [("{net-conf}", settings.as_str()), ("{settings}", &digest), ("{image}", image), ("{interface}", interface)];
    words.iter().fold(include_str!("flannel.yaml").to_owned(), |text, (word, value)| text.replace(word, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::site_with;

    #[test]
    fn the_daemon_gets_the_sites_settings() {
        let text = manifest(&site_with("network: {kind: flannel}\n"), "ghcr.io/flannel-io/flannel:v0.28.4");
        for documents in text.split("\n---\n") {
            let value: serde_json::Value =
                ferry_bundle_format::yaml::read_foreign(std::path::Path::new("flannel.yaml"), documents)
                    .map_err(|error| error.to_string())
                    .unwrap();
            assert!(value["kind"].is_string(), "{documents}");
        }
        assert!(text.contains(r#""Backend":{"Type":"vxlan"}"#) && text.contains(r#""Network":"10.244.0.0/16""#));
        assert!(
            text.contains("\"--iface=$(NODE_ADDRESS)\"") && text.contains("image: ghcr.io/flannel-io/flannel:v0.28.4")
        );
        let other = site_with("network: {kind: flannel, encapsulation: host-gw, interface: eth1}\n");
        let other = manifest(&other, "x");
        assert!(other.contains(r#""Type":"host-gw""#) && other.contains("\"--iface=eth1\""));
        let settings = |text: &str| text.lines().find(|line| line.contains("ferry.dev/settings")).map(str::to_owned);
        assert_ne!(settings(&text), settings(&other), "pods start again when a setting changes");
    }
}
