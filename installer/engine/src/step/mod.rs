//! From site, facts, bundle and vault to the stages of a plan. One file for each part of a host; the order stands here only.
//!
//! Pure: nothing is asked of a host. Everything that a step does is in its actions.

mod backup;
mod balancer;
mod base;
mod before;
mod calico;
mod context;
mod control_plane;
mod coredns;
mod endpoint;
mod etcd;
mod firewall;
mod flannel;
mod host_routes;
mod image_files;
mod images;
mod kubeadm;
mod kubelet;
mod mirror;
mod network;
mod registry;
mod rollout;
mod runtime;
mod selinux;
mod storage;
mod time;
mod vip;
mod worker;

pub(crate) use balancer::health_port;
pub use base::is_essential;
#[cfg(test)]
pub(crate) use before::SHARED;
pub(crate) use before::{CONTAINERD, HOLLOW, MADE};
pub use context::{Context, StepBuildError};
pub(crate) use control_plane::KUBECTL;
pub(crate) use etcd::{CTL, peer as etcd_peer};
pub(crate) use firewall::knows_policies;
pub(crate) use network::name as network_name;
pub(crate) use time::{is_wanted as time_is_wanted, masters as time_masters, sources as time_sources};

use crate::plan::{Stage, Step};
use crate::site::Host;
use crate::site::file::Role;
use crate::vault::Vault;

/// Takes out of the vault what it keeps for a host that has left the cluster. Its place and its files are free for others.
pub fn forget(vault: &mut Vault, host: &str) {
    network::forget(vault, host);
    let rendered = format!("{}{host}/", crate::vault::RENDERED);
    vault.forget(|name| name.starts_with(&rendered));
}

/// The stages of an install, in order. Hosts of which nothing is known are left out: their steps are owed.
pub fn stages(context: &mut Context<'_>) -> Result<Vec<Stage>, StepBuildError> {
    network::allot(context);
    let site = context.site;
    let hosts: Vec<&Host> = site.hosts.iter().filter(|host| context.is_reached(host)).collect();
    let with = |role| hosts.iter().copied().filter(move |host| host.is(role));
    let nodes = || hosts.iter().copied().filter(|host| host.is_node());
    let none = || StepBuildError::Unsupported("no control-plane host can be reached".into());
    let lead = with(Role::ControlPlane).next().ok_or_else(none)?;

    let mut base = Vec::new();
    for host in &hosts {
        base.extend(base::steps(context, host)?);
        base.extend(firewall::step(context, host)?);
        base.extend(time::step(context, host)?);
    }
    let mut runtimes = Vec::new();
    for host in &hosts {
        runtimes.extend(base::fetched_probe(context, host)?);
    }
    for host in nodes() {
        runtimes.extend(runtime::steps(context, host)?);
        runtimes.extend(network::files(context, host)?);
        runtimes.extend(images::steps(context, host)?);
        runtimes.extend(balancer::steps(context, host)?);
        runtimes.extend(vip::steps(context, host)?);
        runtimes.extend(storage::folder(context, host));
        runtimes.extend(kubelet::steps(context, host)?);
    }
    let mut members = Vec::new();
    for host in with(Role::Etcd) {
        members.extend(etcd::steps(context, host)?);
    }
    // After all that fetch from it, because it has to hold what they fetch.
    let (mut registries, mut mirrors) = (Vec::new(), Vec::new());
    for (n, host) in with(Role::Registry).enumerate() {
        registries.push(registry::server_step(context, host)?);
        if n == 0 {
            registries.push(registry::content_step(context, host)?);
        } else {
            mirrors.push(mirror::step(context, host)?);
        }
    }
    let first = control_plane::steps(context, lead, true)?;
    let mut joins = Vec::new();
    for host in with(Role::ControlPlane).filter(|host| host.name != lead.name) {
        joins.extend(control_plane::steps(context, host, false)?);
    }
    for host in nodes().filter(|host| !host.is(Role::ControlPlane)) {
        joins.extend(worker::steps(context, host)?);
    }
    let cluster = vec![
        coredns::step(context, lead),
        network::step(context, lead)?,
        endpoint::step(context, lead),
        control_plane::finish(context, lead),
    ];
    let backups = with(Role::Etcd).map(|host| backup::step(context, host)).collect();
    let stages = [
        ("hosts", base, false),
        ("registry", registries, false),
        ("mirrors", mirrors, false),
        ("runtime", runtimes, false),
        ("etcd", members, false),
        ("control plane", first.into_iter().chain(worker::token(context, lead)).collect(), true),
        ("nodes", joins, false),
        ("cluster", cluster, true),
        ("storage", storage::steps(context, lead)?, true),
        ("backup", backups, false),
    ];
    let stage = |(name, steps, serial): (&str, Vec<Step>, bool)| Stage { name: name.to_owned(), steps, serial };
    let mut stages: Vec<Stage> = stages.into_iter().map(stage).filter(|stage| !stage.steps.is_empty()).collect();
    selinux::label(context, &mut stages);
    for step in stages.iter_mut().flat_map(|stage| &mut stage.steps) {
        step.essential = site.host(&step.host).is_none_or(base::is_essential);
    }
    Ok(stages)
}
