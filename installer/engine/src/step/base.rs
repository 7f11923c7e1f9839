//! Every host: ferry's folders and probe, names, kernel settings.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::context::{Context, StepBuildError};
use crate::action::{Action, Block, Content, File, Folder, Run, Subject};
use crate::facts::Facts;
use crate::host::quote;
use crate::plan::Step;
use crate::preflight::{Sysctl, Wanted, wanted_sysctls};
use crate::site::file::{EndpointKind, Role};
use crate::site::{Host, Site};
use crate::supply::Supply;

/// Where ferry's programs lie on a host.
pub(super) const PROGRAMS: &str = "/usr/local/lib/ferry";
/// Where ferry's files lie on a host.
pub(super) const FILES: &str = "/etc/ferry";

/// Kernel modules that every node needs (kubeadm documentation; nf_conntrack for kube-proxy).
const MODULES: [&str; 3] = ["overlay", "br_netfilter", "nf_conntrack"];

/// The steps of the stage `hosts`.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let mut place = vec![Action::Folder(Folder::new(FILES, 0o755)), Action::Folder(Folder::new(PROGRAMS, 0o755))];
    place.extend(Some(probe(context, host)?).filter(|probe| !is_fetched(probe)));
    let authority = context.public("registry/ca.crt")?;
    place.push(Action::File(File::text(format!("{FILES}/registry-ca.crt"), authority)));
    let mut steps = vec![
        Step::new("hosts.place", &host.name, "ferry's folders and probe", place),
        Step::new("hosts.names", &host.name, "host name and /etc/hosts", names(context.site, host)),
    ];
    if host.is_node() {
        let spare = network_manager(context.facts_of(host)?);
        if !spare.is_empty() {
            steps.push(Step::new("hosts.network-manager", &host.name, "NetworkManager leaves pods alone", spare));
        }
        steps.push(Step::new("hosts.kernel", &host.name, "kernel modules and settings", kernel(context.site)));
    }
    Ok(steps)
}

/// The probe of a host that takes it from the registry, once that is there.
pub(super) fn fetched_probe(context: &Context<'_>, host: &Host) -> Result<Option<Step>, StepBuildError> {
    let Some(probe) = Some(probe(context, host)?).filter(is_fetched) else { return Ok(None) };
    let step = Step::new("runtime.probe", &host.name, "ferry's probe", vec![probe]);
    Ok(Some(step))
}

fn probe(context: &Context<'_>, host: &Host) -> Result<Action, StepBuildError> {
    let content = Supply::content(context.supply.file("ferry-probe", context.arch(host)?)?);
    context.program(host, &format!("{PROGRAMS}/ferry-probe"), content)
}

fn is_fetched(action: &Action) -> bool {
    matches!(action, Action::File(File { content: Content::Fetched { .. }, .. }))
}

/// Where NetworkManager runs, it is told to leave the interfaces of pods alone.
fn network_manager(facts: &Facts) -> Vec<Action> {
    if !facts.services.contains("NetworkManager.service") {
        return Vec::new();
    }
    let links = ["cni*", "veth*", "cali*", "tunl*", "vxlan.*", "flannel*"].map(|link| format!("interface-name:{link}"));
    let text = format!("[keyfile]\nunmanaged-devices={}\n", links.join(";"));
    let folder = "/etc/NetworkManager/conf.d";
    let reload =
        Run::unless("NetworkManager has read it", Subject::Other, "true", "systemctl reload NetworkManager.service");
    let forget = format!("rm -f {folder}/90-ferry.conf; systemctl reload NetworkManager.service || :");
    vec![
        Action::Folder(Folder::new(folder, 0o755)),
        Action::File(File::text(format!("{folder}/90-ferry.conf"), text)),
        Action::Run(reload.stamped().undone_by(forget)),
    ]
}

/// Whether a run can't go on while this host can't be reached.
#[must_use]
pub fn is_essential(host: &Host) -> bool {
    host.is(Role::ControlPlane) || host.is(Role::Etcd) || host.is(Role::Registry)
}

fn names(site: &Site, host: &Host) -> Vec<Action> {
    let name = quote(&host.name);
    let hostname = Run::unless(
        format!("host name {}", host.name),
        Subject::Other,
        format!("[ \"$(uname -n)\" = {name} ] && [ \"$(cat /etc/hostname)\" = {name} ]"),
        // Noted first: what the kernel calls the host need not be what the file says.
        format!(
            "B=/var/lib/ferry/before; [ -e $B/hostname ] || {{ uname -n >$B/name; cp -a /etc/hostname $B/hostname; }}\n\
             echo {name} >/etc/hostname.ferry-part; sync; mv -f /etc/hostname.ferry-part /etc/hostname; hostname {name}"
        ),
    )
    .undone_by("B=/var/lib/ferry/before; [ ! -e $B/hostname ] || { cp -a $B/hostname /etc/hostname.ferry-part; mv -f /etc/hostname.ferry-part /etc/hostname; hostname \"$(cat $B/name)\"; }");
    let text = hosts_lines(site, host)
        .into_iter()
        .map(|(address, names)| format!("{address} {}\n", names.join(" ")))
        .collect();
    let block = Block { path: "/etc/hosts".into(), name: site.cluster.clone(), text };
    vec![Action::Run(hostname), Action::Block(block)]
}

/// Address → names as `host` has them, in order of the addresses.
fn hosts_lines(site: &Site, host: &Host) -> BTreeMap<IpAddr, Vec<String>> {
    let mut lines: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    for host in &site.hosts {
        lines.entry(host.internal).or_default().push(host.name.clone());
    }
    // Who dials the name tries each of them.
    for registry in site.with(Role::Registry) {
        lines.entry(registry.internal).or_default().push(site.registry.name.to_string());
    }
    let api = match site.endpoint.kind {
        EndpointKind::Direct => site.with(Role::ControlPlane).next().map(|host| host.internal),
        // The balancer runs where a kubelet does.
        EndpointKind::Local => host.is_node().then(|| IpAddr::from([127, 0, 0, 1])),
        EndpointKind::Vip | EndpointKind::External => site.endpoint.address.as_ref().and_then(|text| text.parse().ok()),
    };
    if let Some(address) = api {
        lines.entry(address).or_default().push(site.endpoint.name.to_string());
    }
    for (name, address) in &site.dns.names {
        lines.entry(*address).or_default().push(name.to_string());
    }
    lines
}

fn kernel(site: &Site) -> Vec<Action> {
    let list: String = MODULES.iter().map(|module| format!("{module}\n")).collect();
    let mut actions = vec![Action::File(File::text("/etc/modules-load.d/ferry.conf", list))];
    for module in MODULES {
        actions.push(Action::Run(Run::unless(
            format!("kernel module {module}"),
            Subject::Kernel,
            format!(
                "[ -d /sys/module/{module} ] || grep -qs '/{module}\\.ko' \"/lib/modules/$(uname -r)/modules.builtin\""
            ),
            format!("modprobe {module}"),
        )));
    }
    let wanted = wanted_sysctls(site);
    actions.push(super::before::note(site));
    // A kernel without an optional setting is left without it: the leading `-` says so to systemd-sysctl.
    let line = |one: &Sysctl| format!("{}{} = {}\n", if one.optional { "-" } else { "" }, one.name, one.want.value());
    let text: String = wanted.iter().map(line).collect();
    actions.push(Action::File(File::text("/etc/sysctl.d/90-ferry.conf", text)));
    for Sysctl { name, want, optional } in wanted {
        let value = want.value();
        let now = format!("$(sysctl -n {name})");
        // Where the host has more of something already, it keeps it.
        let enough = match want {
            Wanted::Is(value) => format!("[ \"{now}\" -eq {value} ]"),
            Wanted::AtLeast(value) => format!("[ \"{now}\" -ge {value} ]"),
            Wanted::Not(refused, _) => format!("[ \"{now}\" -ne {refused} ]"),
        };
        let absent =
            if optional { format!("[ ! -e /proc/sys/{} ] || ", name.replace('.', "/")) } else { String::new() };
        actions.push(Action::Run(Run::unless(
            format!("kernel setting {name} = {value}"),
            Subject::Kernel,
            format!("{absent}{enough}"),
            format!("sysctl -q -w {name}={value}"),
        )));
    }
    actions
}
