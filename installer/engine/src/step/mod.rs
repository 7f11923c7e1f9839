//! From site, facts, bundle and vault to the stages of a plan. One file for each part of a host; the order stands here only.
//!
//! Pure: nothing is asked of a host. Everything that a step does is in its actions.

mod backup;
mod base;
mod before;
mod context;
mod control_plane;
mod coredns;
mod etcd;
mod firewall;
mod images;
mod kubeadm;
mod kubelet;
mod network;
mod registry;
mod runtime;
mod selinux;
mod storage;
mod time;

pub(crate) use before::{MADE, SHARED};
pub use context::{Context, StepBuildError};
pub(crate) use control_plane::KUBECTL;
pub(crate) use etcd::CTL as ETCDCTL;
pub(crate) use firewall::knows_policies;
pub(crate) use time::{is_wanted as time_is_wanted, masters as time_masters, sources as time_sources};

use crate::plan::{Stage, Step};
use crate::site::file::Role;

/// The stages of an install, in order.
pub fn stages(context: &mut Context<'_>) -> Result<Vec<Stage>, StepBuildError> {
    let site = context.site;
    let mut stages = Vec::new();
    let mut stage = |name: &str, steps: Vec<Step>, serial: bool| {
        if !steps.is_empty() {
            stages.push(Stage { name: name.to_owned(), steps, serial });
        }
    };
    let mut hosts = Vec::new();
    for host in &site.hosts {
        hosts.extend(base::steps(context, host)?);
        hosts.extend(firewall::step(context, host)?);
        hosts.extend(time::step(context, host)?);
    }
    stage("hosts", hosts, false);
    let mut registries = Vec::new();
    for host in site.with(Role::Registry) {
        registries.extend(registry::steps(context, host)?);
    }
    stage("registry", registries, false);
    let mut runtimes = Vec::new();
    for host in site.hosts.iter().filter(|host| host.is_node()) {
        runtimes.extend(runtime::steps(context, host)?);
        runtimes.extend(network::files(context, host)?);
        runtimes.extend(images::steps(context, host)?);
    }
    stage("runtime", runtimes, false);
    let mut members = Vec::new();
    for host in site.with(Role::Etcd) {
        members.extend(etcd::steps(context, host)?);
    }
    stage("etcd", members, false);
    let mut kubelets = Vec::new();
    for host in site.hosts.iter().filter(|host| host.is_node()) {
        kubelets.extend(kubelet::steps(context, host)?);
    }
    stage("kubelet", kubelets, false);
    let none = || StepBuildError::Unsupported("the site has no control-plane host".into());
    let first = site.with(Role::ControlPlane).next().ok_or_else(none)?;
    stage("control plane", control_plane::steps(context, first)?, true);
    let cluster =
        vec![coredns::step(context, first), network::step(context, first), control_plane::finish(context, first)];
    stage("cluster", cluster, true);
    stage("storage", storage::steps(context, first)?, true);
    let mut backups = Vec::new();
    for host in site.with(Role::Etcd) {
        backups.push(backup::step(context, host));
    }
    stage("backup", backups, false);
    selinux::label(context, &mut stages);
    Ok(stages)
}
