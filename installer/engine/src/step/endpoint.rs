//! The API's address, for those who have copied it: a pod on the host's network gets `/etc/hosts` as it is when the pod starts,
//! so kube-proxy starts again when the API's name leads elsewhere than before.

use super::context::Context;
use super::control_plane::KUBECTL;
use super::rollout::Rollout;
use crate::action::{Action, Run, Subject};
use crate::plan::Step;
use crate::site::file::{EndpointKind, Role};
use crate::site::{Host, Site};

/// Where the cluster notes to what kube-proxy has started.
const NOTE: &str = "ferry-endpoint";

/// The step of the leading control plane.
pub(super) fn step(context: &Context<'_>, host: &Host) -> Step {
    let now = leads_to(context.site);
    let note =
        format!("{KUBECTL} -n kube-system get configmap {NOTE} --ignore-not-found -o jsonpath='{{.data.address}}'");
    let rollout = Rollout { namespace: "kube-system", what: "daemonset/kube-proxy" };
    let wait = rollout.wait(context);
    let command = format!(
        "was=$({note})
if [ -n \"$was\" ] && [ \"$was\" != {now} ]; then
    {KUBECTL} -n kube-system rollout restart daemonset/kube-proxy
    {wait}
fi
{KUBECTL} -n kube-system create configmap {NOTE} --from-literal=address={now} --dry-run=client -o json | {KUBECTL} apply --server-side --field-manager=ferry --force-conflicts -f -"
    );
    let run = Run::unless(
        format!("kube-proxy knows the API at {now}"),
        Subject::Objects,
        format!("[ \"$({note})\" = {now} ]"),
        command,
    );
    Step::new(
        "cluster.endpoint",
        &host.name,
        "who has copied the API's address",
        vec![Action::Run(run.within(rollout.within(context)).retried(2))],
    )
}

/// Where the API's name leads on nodes.
fn leads_to(site: &Site) -> String {
    match site.endpoint.kind {
        EndpointKind::Local => "127.0.0.1".into(),
        EndpointKind::Direct => {
            site.with(Role::ControlPlane).next().map_or_else(String::new, |host| host.internal.to_string())
        }
        EndpointKind::Vip | EndpointKind::External => site.endpoint.address.clone().unwrap_or_default(),
    }
}
