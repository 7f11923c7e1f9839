//! Where firewalld runs it stays on, and lets through what this host's roles listen on, from the site's hosts and from pods.
//!
//! Two policies and a few address sets, all files of ferry's own in `/etc/firewalld`: no zone of the operator's is changed,
//! and what a zone allows is still allowed, because the policies only add (`target="CONTINUE"`). The ports come from
//! [`PORTS`](crate::preflight::PORTS), the table that preflight dials. firewalld knows policies since 0.9.
//!
//! A reload of firewalld 1.3 empties the iptables tables, too, whatever its backend (seen): kube-proxy and the daemons of
//! Calico and flannel write theirs anew within half a minute, the CNI plugins of a bridge network do not. So ferry reloads
//! once and changes later what runs, and where the network has no daemon the masquerading of pods is firewalld's own rule.

use std::fmt::Write as _;
use std::net::IpAddr;

use ferry_bundle_format::Digest;

use super::context::{Context, StepBuildError};
use crate::action::{Action, File, Run, Subject};
use crate::facts::{Facts, Protocol};
use crate::plan::Step;
use crate::preflight::{From, PORTS};
use crate::site::file::{Encapsulation, EndpointKind, NetworkKind, Role};
use crate::site::{Host, Site};

/// firewalld's folder for what is the administrator's.
const FOLDER: &str = "/etc/firewalld";
/// The policy for what ends on the host.
const TO_HOST: &str = "ferry-in";
/// The policy for what the host passes on.
const TO_PODS: &str = "ferry-pods";

/// Fails, and names the zone, where rules exist that a reload would lose.
const NOTHING_TRANSIENT: &str = r#"words() { sed -e 1d -e '/^  interfaces:/d' | tr -s ' \t' '\n\n' | sort; }
for zone in $({ firewall-cmd --get-default-zone; firewall-cmd --get-active-zones | sed -n 's/^\([^ ][^ ]*\).*/\1/p'; } | sort -u); do
    if [ "$(firewall-cmd --zone="$zone" --list-all | words)" != "$(firewall-cmd --permanent --zone="$zone" --list-all | words)" ]; then
        echo "firewalld has rules in zone $zone that were made at run time only, and a reload would lose them: keep them with \`firewall-cmd --runtime-to-permanent\`, or drop them with \`firewall-cmd --reload\`" >&2
        exit 1
    fi
done
"#;

/// What runs becomes what the files say, without a reload. Needs `$sets` and `$policies`.
const IN_PLACE: &str = r#"t=$(mktemp -d /run/ferry-firewall.XXXXXX); trap 'rm -rf "$t"' EXIT
for set in $sets; do
    sed -n 's|.*<entry>\(.*\)</entry>.*|\1|p' /etc/firewalld/ipsets/$set.xml | sort >$t/wanted
    firewall-cmd --ipset=$set --get-entries | sort >$t/now
    comm -23 $t/wanted $t/now | while read -r one; do firewall-cmd -q --ipset=$set --add-entry="$one"; done
    comm -13 $t/wanted $t/now | while read -r one; do firewall-cmd -q --ipset=$set --remove-entry="$one"; done
done
for policy in $policies; do
    firewall-offline-cmd --policy=$policy --list-rich-rules | sort >$t/wanted
    firewall-cmd --policy=$policy --list-rich-rules | sort >$t/now
    comm -23 $t/wanted $t/now | while read -r one; do firewall-cmd -q --policy=$policy --add-rich-rule="$one"; done
    comm -13 $t/wanted $t/now | while read -r one; do firewall-cmd -q --policy=$policy --remove-rich-rule="$one"; done
done
"#;

/// Whether ferry's rules can be written: firewalld 0.9 or newer.
pub(crate) fn knows_policies(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (0, 9)
}

/// The step of a host where firewalld runs.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Result<Option<Step>, StepBuildError> {
    Ok(actions(context.site, host, context.facts_of(host)?).map(|actions| {
        Step::new("hosts.firewall", &host.name, "firewalld lets the site's hosts and pods through", actions)
    }))
}

/// None where firewalld does not run, or does not know policies: preflight has said what to do by hand.
fn actions(site: &Site, host: &Host, facts: &Facts) -> Option<Vec<Action>> {
    if !facts.firewall.firewalld || !knows_policies(&facts.firewall.version) {
        return None;
    }
    let files: Vec<File> = files(site, host)
        .into_iter()
        .map(|(name, text)| File::text(format!("{FOLDER}/{name}.xml"), text).mode(0o640))
        .collect();
    let inputs: Vec<String> = files.iter().map(|file| format!("{} {}", file.path, file.content.digest())).collect();
    let inputs = Digest::of(inputs.join("\n").as_bytes()).hex()[..16].to_owned();
    let names = |folder: &str| {
        let start = format!("{FOLDER}/{folder}");
        let short = |file: &File| Some(file.path.strip_prefix(&start)?.trim_end_matches(".xml").to_owned());
        files.iter().filter_map(short).collect::<Vec<_>>().join(" ")
    };
    let known = format!("firewall-cmd --get-policies | tr ' ' '\\n' | grep -qx {TO_HOST}");
    let read = Run::unless(
        "firewalld applies ferry's rules",
        Subject::Other,
        known.clone(),
        format!(
            "sets='{}'; policies='{}' # {inputs}\nfirewall-cmd --check-config >/dev/null\nif {known}; then\n{IN_PLACE}else\n{NOTHING_TRANSIENT}firewall-cmd --reload >/dev/null\nfi",
            names("ipsets/"),
            names("policies/")
        ),
    )
    .within(300);
    let mut actions = vec![Action::Run(Run::unless(
        "firewalld's folders",
        Subject::Other,
        format!("[ -d {FOLDER}/policies ] && [ -d {FOLDER}/ipsets ]"),
        format!("mkdir -p -m 750 {FOLDER}/policies {FOLDER}/ipsets"),
    ))];
    actions.extend(files.into_iter().map(Action::File));
    // The rules go before the files, so that firewalld is told once: `undo` of a file finds nothing left.
    let forget = format!(
        "rm -f {FOLDER}/policies/ferry-*.xml {FOLDER}/ipsets/ferry-*.xml\n! firewall-cmd --state >/dev/null 2>&1 || firewall-cmd --reload >/dev/null"
    );
    actions.push(Action::Run(read.stamped().undone_by(forget)));
    Some(actions)
}

/// Hosts from which a port is reached, as a set of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Hosts,
    Nodes,
    Role(Role),
}

impl Group {
    fn of(from: From) -> Option<Self> {
        match from {
            From::Itself => None,
            From::Role(role) => Some(Self::Role(role)),
            From::Nodes => Some(Self::Nodes),
            From::Hosts => Some(Self::Hosts),
        }
    }

    fn holds(self, host: &Host) -> bool {
        match self {
            Self::Hosts => true,
            Self::Nodes => host.is_node(),
            Self::Role(role) => host.is(role),
        }
    }

    /// At most 31 letters, as sets of the kernel have it.
    fn name(self, family: &str) -> String {
        let name = match self {
            Self::Hosts => "hosts",
            Self::Nodes => "nodes",
            Self::Role(Role::ControlPlane) => "control-planes",
            Self::Role(Role::Worker) => "workers",
            Self::Role(Role::Etcd) => "etcd",
            Self::Role(Role::Registry) => "registries",
        };
        format!("ferry-{name}-{family}")
    }
}

/// `ipv4` or `ipv6`, as rules have it.
fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "ipv4" } else { "ipv6" }
}

/// Name below firewalld's folder, without its ending, and text.
fn files(site: &Site, host: &Host) -> Vec<(String, String)> {
    let mut families: Vec<&str> = site.hosts.iter().map(|one| family(one.internal)).collect();
    families.sort_unstable();
    families.dedup();
    let mut to_host = String::new();
    let mut accept = |group: Group, what: &str| {
        for family in &families {
            let _ = writeln!(
                to_host,
                "  <rule family=\"{family}\"><source ipset=\"{}\"/>{what}<accept/></rule>",
                group.name(family)
            );
        }
    };
    for port in PORTS.iter().filter(|port| port.is_on(site, host) && port.is_open(site)) {
        let Some(group) = Group::of(port.from) else { continue };
        let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
        accept(group, &format!("<port port=\"{}\" protocol=\"{protocol}\"/>", port.number(site)));
    }
    if super::time::masters(site).iter().any(|one| one.name == host.name) {
        accept(Group::Hosts, "<port port=\"123\" protocol=\"udp\"/>");
    }
    for (group, number) in protocols(site, host) {
        accept(group, &format!("<protocol value=\"{number}\"/>"));
    }
    let mut to_pods = String::new();
    let pods = site.kubernetes.pod_cidr.value;
    if host.is_node() {
        for (_, range) in site.ranges() {
            let rule = format!(
                "  <rule family=\"{}\"><source address=\"{range}\"/><accept/></rule>\n",
                if range.to_string().contains(':') { "ipv6" } else { "ipv4" }
            );
            to_host.push_str(&rule);
            to_pods.push_str(&rule);
        }
        let family = if pods.to_string().contains(':') { "ipv6" } else { "ipv4" };
        if site.network.kind == NetworkKind::HostRoutes {
            let _ = writeln!(
                to_pods,
                "  <rule family=\"{family}\"><source address=\"{pods}\"/><destination address=\"{pods}\" invert=\"True\"/><masquerade/></rule>"
            );
        }
        if families.contains(&family) {
            let set = Group::Hosts.name(family);
            let _ = writeln!(
                to_pods,
                "  <rule family=\"{family}\"><source ipset=\"{set}\"/><destination address=\"{pods}\"/><accept/></rule>"
            );
        }
    }
    let mut files = Vec::new();
    // All of them, whether this host's rules name them or not: a new set can't be had without a reload.
    for group in [Group::Hosts, Group::Nodes, Group::Role(Role::ControlPlane), Group::Role(Role::Etcd)] {
        for family in &families {
            let of = site.hosts.iter().filter(|one| group.holds(one)).map(|one| one.internal);
            let entries = of.filter(|address| self::family(*address) == *family);
            files.push((format!("ipsets/{}", group.name(family)), set(family, entries)));
        }
    }
    files.push((format!("policies/{TO_HOST}"), policy("what ends on this host", "HOST", &to_host)));
    if !to_pods.is_empty() {
        files.push((
            format!("policies/{TO_PODS}"),
            policy("what this host passes on to and from pods", "ANY", &to_pods),
        ));
    }
    files
}

/// IP protocols without ports: IP in IP between nodes, and VRRP (RFC 5798) between hosts that share a virtual address.
fn protocols(site: &Site, host: &Host) -> Vec<(Group, u8)> {
    let mut found = Vec::new();
    if host.is_node() && site.network.kind == NetworkKind::Calico && site.network.encapsulation == Encapsulation::Ipip {
        found.push((Group::Nodes, 4));
    }
    if site.endpoint.kind == EndpointKind::Vip && host.is(Role::ControlPlane) {
        found.push((Group::Role(Role::ControlPlane), 112));
    }
    found
}

fn set(family: &str, addresses: impl Iterator<Item = IpAddr>) -> String {
    let family = if family == "ipv4" { "inet" } else { "inet6" };
    let entries: String = addresses.map(|address| format!("  <entry>{address}</entry>\n")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- ferry's: written anew by every apply. -->\n<ipset type=\"hash:ip\">\n  <option name=\"family\" value=\"{family}\"/>\n{entries}</ipset>\n"
    )
}

fn policy(what: &str, to: &str, rules: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- ferry's: written anew by every apply. It only adds to what the zones allow. -->\n<policy priority=\"-100\" target=\"CONTINUE\">\n  <short>ferry: {what}</short>\n  <ingress-zone name=\"ANY\"/>\n  <egress-zone name=\"{to}\"/>\n{rules}</policy>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::open_euler;
    use crate::preflight::listens;
    use crate::preflight::tests::site::{site, site_with};

    fn of(site: &Site, host: &str, name: &str) -> String {
        let found = files(site, site.host(host).unwrap()).into_iter().find(|(one, _)| one == name);
        found.map(|(_, text)| text).unwrap_or_default()
    }

    #[test]
    fn each_open_port_of_a_host_has_its_rule_and_no_other_has() {
        let site = site();
        for host in &site.hosts {
            let text = of(&site, &host.name, "policies/ferry-in");
            let open: Vec<u16> =
                listens(&site, host).filter(|port| port.is_open(&site)).map(|port| port.number(&site)).collect();
            for port in &open {
                assert_eq!(text.matches(&format!("port=\"{port}\"")).count(), 1, "{port} in {text}");
            }
            assert_eq!(text.matches("<port ").count(), open.len());
        }
        let worker = of(&site, "node2", "policies/ferry-in");
        assert!(!worker.contains("\"2379\"") && !worker.contains("\"6443\"") && !worker.contains("ferry-etcd"));
    }

    #[test]
    fn etcd_is_open_to_its_peers_and_to_control_planes_only() {
        let site = site();
        let text = of(&site, "node1", "policies/ferry-in");
        assert!(text.contains("<source ipset=\"ferry-control-planes-ipv4\"/><port port=\"2379\" protocol=\"tcp\"/>"));
        assert!(text.contains("<source ipset=\"ferry-etcd-ipv4\"/><port port=\"2380\" protocol=\"tcp\"/>"));
        let set = of(&site, "node1", "ipsets/ferry-control-planes-ipv4");
        assert!(set.contains("<entry>10.0.0.11</entry>") && !set.contains("10.0.0.12"));
        assert_eq!(of(&site, "node1", "ipsets/ferry-hosts-ipv4").matches("<entry>").count(), 2);
    }

    #[test]
    fn pods_are_let_through_both_ways_on_nodes() {
        let text = of(&site(), "node2", "policies/ferry-pods");
        assert!(text.contains("<source address=\"10.244.0.0/16\"/><accept/>") && text.contains("name=\"ANY\""));
        assert!(text.contains("<source ipset=\"ferry-hosts-ipv4\"/><destination address=\"10.244.0.0/16\"/><accept/>"));
        assert!(!text.contains("masquerade"), "Calico does that itself");
        let bare = site_with("network: {kind: host-routes}\n");
        assert!(of(&bare, "node2", "policies/ferry-pods").contains("invert=\"True\"/><masquerade/>"));
    }

    #[test]
    fn protocols_without_ports_follow_the_site() {
        let site = site_with("network: {encapsulation: ipip}\nendpoint: {kind: vip, address: 10.0.0.100}\n");
        assert!(of(&site, "node2", "policies/ferry-in").contains("<protocol value=\"4\"/>"));
        assert!(of(&site, "node1", "policies/ferry-in").contains("<protocol value=\"112\"/>"));
        assert!(!of(&site, "node2", "policies/ferry-in").contains("<protocol value=\"112\"/>"));
    }

    #[test]
    fn nothing_is_planned_where_it_does_not_run_or_is_too_old() {
        let site = site();
        let mut facts = open_euler();
        assert!(facts.firewall.firewalld && actions(&site, &site.hosts[1], &facts).is_some());
        facts.firewall.version = "0.8.2".into();
        assert!(actions(&site, &site.hosts[1], &facts).is_none());
        facts.firewall.version = "2.1.1".into();
        assert!(actions(&site, &site.hosts[1], &facts).is_some());
        let all = format!("{:?}", actions(&site, &site.hosts[0], &facts));
        for group in PORTS.iter().filter_map(|port| Group::of(port.from)) {
            assert!(all.contains(&format!("ipsets/{}.xml", group.name("ipv4"))), "{group:?} has a set");
        }
        facts.firewall.firewalld = false;
        assert!(actions(&site, &site.hosts[1], &facts).is_none());
    }
}
