//! The images that a node needs before anything asks for them: pulled from the site's registry by digest, under the names
//! that manifests use, and pinned so that the kubelet's garbage collection leaves them alone.

use super::base::is_essential;
use super::context::{Context, StepBuildError};
use super::runtime::CERTS;
use crate::action::{Action, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::Role;

/// Images of which only control-plane hosts need a copy.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The step that pulls a node's images.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let arch = context.arch(host)?;
    let mut actions = Vec::new();
    for image in &context.supply.lock().images {
        let last = image.name.repository().rsplit('/').next().unwrap_or_default();
        let here = host.is(Role::ControlPlane) || !CONTROL_PLANE.contains(&last);
        if !here || !image.manifests.iter().any(|one| one.arch == arch) {
            continue;
        }
        let repository = format!("{}/{}", image.name.registry(), image.name.repository());
        let digest = image.carried().digest;
        let by_digest = format!("{repository}@{digest}");
        let name = image.name.tag().map_or_else(|| by_digest.clone(), |tag| format!("{repository}:{tag}"));
        actions.push(pull(&name, &by_digest, &digest.to_string()));
    }
    let mut step = Step::new("runtime.images", &host.name, "images, pulled and pinned", actions);
    step.essential = is_essential(host);
    Ok(vec![step])
}

fn pull(name: &str, by_digest: &str, digest: &str) -> Action {
    let (quoted, source) = (quote(name), quote(by_digest));
    let ctr = "/usr/local/bin/ctr -n k8s.io images";
    // The list shows what the name points to and its labels; the check, whether all of it is there and unpacked.
    let question = format!(
        "{ctr} ls name=={quoted} 2>/dev/null | grep -F {digest} | grep -F io.cri-containerd.pinned=pinned && \
         {ctr} check name=={quoted} 2>/dev/null | grep -F complete"
    );
    let tag =
        if name == by_digest { String::new() } else { format!("\n{ctr} tag --force {source} {quoted} >/dev/null") };
    let command = format!(
        "{ctr} pull --hosts-dir {CERTS} {source} >/dev/null{tag}\n{ctr} label {quoted} io.cri-containerd.pinned=pinned >/dev/null"
    );
    let title = format!("image {name}");
    // A pull is safe to repeat: content is by digest.
    Action::Run(Run::unless(title, Subject::Image, question, command).within(900).retried(2))
}
