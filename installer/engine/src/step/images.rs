//! The images that a node needs before anything asks for them: pulled from the site's registry by digest, under the names
//! that manifests use, and pinned so that the kubelet's garbage collection leaves them alone.

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
    let (mut actions, mut sources) = (Vec::new(), Vec::new());
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
        actions.push(named(&name, &by_digest, &digest.to_string()));
        sources.push(by_digest);
    }
    if !sources.is_empty() {
        actions.insert(0, pulled(&sources));
    }
    let step = Step::new("runtime.images", &host.name, "images, pulled and pinned", actions);
    Ok(vec![step])
}

/// The command line to images in the namespace of Kubernetes.
const CTR: &str = "/usr/local/bin/ctr -n k8s.io images";
/// Pulls at once on one host: while one waits for the disk, another unpacks.
const TOGETHER: usize = 3;
/// How many seconds one image may take.
const EACH: u64 = 900;

/// All images are there, complete and unpacked, by digest.
fn pulled(sources: &[String]) -> Action {
    let words: Vec<String> = sources.iter().map(|source| quote(source)).collect();
    let words = words.join(" ");
    // The columns: name, type, digest, state, sizes, whether it is unpacked.
    let question = format!(
        "there=$({CTR} check 2>/dev/null | awk '$4 == \"complete\" && $NF == \"true\" {{print $1}}'); \
         for one in {words}; do printf '%s\\n' \"$there\" | grep -qxF -e \"$one\" || exit 1; done"
    );
    // What is there already is not sent again. A pull is safe to repeat: content is by digest.
    let command =
        format!("printf '%s\\n' {words} | xargs -n 1 -P {TOGETHER} {CTR} pull --hosts-dir {CERTS} >/dev/null");
    let title = format!("{} images from the site's registry", sources.len());
    let seconds = EACH * sources.len() as u64;
    Action::Run(Run::unless(title, Subject::Other, question, command).within(seconds).retried(2))
}

/// One of them has its name, and is pinned.
fn named(name: &str, by_digest: &str, digest: &str) -> Action {
    let (quoted, source) = (quote(name), quote(by_digest));
    // The list shows what the name points to, and its labels.
    let question =
        format!("{CTR} ls name=={quoted} 2>/dev/null | grep -F {digest} | grep -F io.cri-containerd.pinned=pinned");
    let tag =
        if name == by_digest { String::new() } else { format!("{CTR} tag --force {source} {quoted} >/dev/null\n") };
    let command = format!("{tag}{CTR} label {quoted} io.cri-containerd.pinned=pinned >/dev/null");
    Action::Run(Run::unless(format!("image {name}"), Subject::Image, question, command).retried(2))
}
