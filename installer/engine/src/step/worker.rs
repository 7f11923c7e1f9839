//! A worker joins: by the bootstrap token and the pin of the cluster's authority, which was computed before anything ran.
//! A join that fails leaves nothing behind, so the next one begins as on a new host.

use ferry_bundle_format::Digest;

use super::context::{Context, StepBuildError};
use super::control_plane::{KUBECTL, patches};
use super::kubeadm::{self, endpoint};
use crate::action::{Action, Folder, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::Role;

/// Where the configuration of a join lies.
const CONFIG: &str = "/etc/ferry/kubeadm-join.yaml";

/// Hosts that become nodes by joining.
fn joining<'a>(context: &'a Context<'_>) -> impl Iterator<Item = &'a Host> {
    context.nodes().filter(|host| !host.is(Role::ControlPlane))
}

/// What the leading control-plane host does before: the token is there as long as somebody needs it.
pub(super) fn token(context: &Context<'_>, host: &Host) -> Option<Step> {
    let names: Vec<String> = joining(context).map(|node| quote(&node.name)).collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(" ");
    // The token's id is public; only its other half is secret. The cluster removes an expired one within a minute or so, and
    // one with less than ten minutes left is made anew.
    let question = format!(
        "{KUBECTL} get node {names} && exit 0
id=$(sed -n 's/^- token: \"\\([a-z0-9]*\\)\\..*/\\1/p' /etc/ferry/kubeadm.yaml)
until=$({KUBECTL} -n kube-system get secret bootstrap-token-$id -o jsonpath='{{.data.expiration}}' | base64 -d)
[ \"$(date -d \"$until\" +%s)\" -gt \"$(( $(date +%s) + 600 ))\" ]"
    );
    let run = Run::unless(
        "the token for joining nodes is valid",
        Subject::Kubeadm,
        question,
        "/usr/local/bin/kubeadm init phase bootstrap-token --config /etc/ferry/kubeadm.yaml",
    );
    Some(Step::new("join.token", &host.name, "the token for joining nodes", vec![Action::Run(run.retried(2))]))
}

/// The steps of a worker.
pub(super) fn steps(context: &mut Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let text = kubeadm::join(context, host)?;
    let config = Digest::of(text.as_bytes()).hex()[..12].to_owned();
    let mut actions = vec![Action::File(context.rendered_file(host, CONFIG, text, 0o600)?)];
    actions.extend(patches(context, host)?);
    // kubeadm would make it, and an uninstall could not know whose it is.
    actions.push(Action::Folder(Folder::new("/etc/kubernetes/pki", 0o755)));
    let joined = "[ -s /etc/kubernetes/kubelet.conf ] && [ -e /var/lib/kubelet/pki/kubelet-client-current.pem ] && [ -s /var/lib/kubelet/config.yaml ] && systemctl is-active -q kubelet";
    let clean = "systemctl stop kubelet 2>/dev/null || :\nrm -rf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/pki/ca.crt /var/lib/kubelet/pki /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env";
    let command = format!(
        "{clean}
/usr/local/bin/kubeadm join --config {CONFIG} && exit 0 # {config}, {endpoint}
status=$?
journalctl -u kubelet -n 15 --no-pager -o cat >&2
{clean}
exit $status",
        endpoint = endpoint(context.site),
    );
    // Nothing of a failed join stays, so trying again does no harm.
    actions.push(Action::Run(
        Run::unless("kubeadm join", Subject::Kubeadm, joined, command).within(420).retried(2).undone_by(clean),
    ));
    let step = Step::new("join.node", &host.name, "kubeadm join", actions);
    Ok(vec![step])
}
