//! The images that a node needs before anything asks for them: pulled from the site's registry by digest, under the names
//! that manifests use, and pinned so that the kubelet's garbage collection leaves them alone.

use ferry_bundle_format::Digest;

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::runtime::CERTS;
use crate::action::{Action, File, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::Role;

/// Images of which only control-plane hosts need a copy.
const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The step that pulls a node's images.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let (mut actions, mut sources) = (Vec::new(), Vec::new());
    for Held { name, by_digest, digest } in held(context, host)? {
        actions.push(named(&name, &by_digest, &digest.to_string()));
        sources.push(by_digest);
    }
    if !sources.is_empty() {
        actions.splice(0..0, pulled(&sources));
    }
    let step = Step::new("runtime.images", &host.name, "images, pulled and pinned", actions);
    Ok(vec![step])
}

/// An image that a node holds.
struct Held {
    /// The name that manifests use.
    name: String,
    /// Its name with the digest.
    by_digest: String,
    digest: Digest,
}

/// The images that a node holds.
fn held(context: &Context<'_>, host: &Host) -> Result<Vec<Held>, StepBuildError> {
    let arch = context.arch(host)?;
    let mut list = Vec::new();
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
        list.push(Held { name, by_digest, digest });
    }
    Ok(list)
}

/// The names that the runtime itself keeps pinned whenever it pulls them: a pod with `imagePullPolicy: Always` has it write an
/// image's marks again, and a mark that only somebody else has set is gone then.
pub(super) fn pinned(context: &Context<'_>, host: &Host) -> Result<Vec<String>, StepBuildError> {
    Ok(held(context, host)?.into_iter().map(|image| image.name).collect())
}

/// The command line to images in the namespace of Kubernetes.
const CTR: &str = "/usr/local/bin/ctr -n k8s.io images";
/// Pulls at once on one host: while one waits for the disk, another unpacks.
const TOGETHER: usize = 3;
/// How many seconds one image may take.
const EACH: u64 = 900;

/// All images are there, complete and unpacked, by digest. Their list is a file: a script has room for some hundred names only.
fn pulled(sources: &[String]) -> [Action; 2] {
    let list = format!("{FILES}/images");
    let file = File::text(&list, sources.iter().map(|source| format!("{source}\n")).collect::<String>());
    // The columns: name, type, digest, state, sizes, whether it is unpacked.
    let question = format!(
        "[ \"$(sha256sum <{list} | cut -c1-64)\" = {digest} ] || exit 1
{CTR} check 2>/dev/null | awk '$4 == \"complete\" && $NF == \"true\" {{ there[$1] }} \
    END {{ while ((getline one <\"{list}\") > 0) if (!(one in there)) exit 1 }}'",
        digest = file.content.digest().hex(),
    );
    // What is there already is not sent again. A pull is safe to repeat: content is by digest. The first that fails, or does not
    // end in time, ends them all: 255 is what `xargs` stops at.
    let command = format!(
        "xargs -n 1 -P {TOGETHER} sh -c '
    timeout -k 10 {EACH} {CTR} pull --hosts-dir {CERTS} \"$1\" >/dev/null && exit 0
    s=$?; [ $s != 124 ] || echo \"$1 was not pulled within {EACH} s\" >&2; exit 255' pull <{list}"
    );
    let title = format!("{} images from the site's registry", sources.len());
    let seconds = EACH * (sources.len() as u64).div_ceil(TOGETHER as u64) + 60;
    let run = Run::unless(title, Subject::Other, question, command).within(seconds).retried(2);
    [Action::File(file), Action::Run(run)]
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
    // Whoever pulls the image through the runtime takes the mark away.
    let loose = format!("{CTR} ls name=={quoted} 2>/dev/null | grep -qF {digest} && echo 'no longer pinned'");
    Action::Run(Run::unless(format!("image {name}"), Subject::Image, question, command).instead_of(loose).retried(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Batch, batches};

    fn sources(count: usize) -> Vec<String> {
        let digest = ferry_bundle_format::Digest::of(b"x");
        (0..count).map(|n| format!("registry.example.com/a-long-project/a-longer-name-{n:03}@{digest}")).collect()
    }

    #[test]
    fn five_hundred_images_fit_into_scripts_that_a_host_takes() {
        let sources = sources(500);
        let mut actions = pulled(&sources).to_vec();
        let digest = ferry_bundle_format::Digest::of(b"x").to_string();
        actions.extend(sources.iter().map(|source| named(&source.replace('@', ":v1@"), source, &digest)));
        let step = Step::new("runtime.images", "one", "images", actions);
        for batch in batches(&step) {
            let Batch::Script(range) = batch else { panic!("{batch:?}") };
            let parts: Vec<_> = step.actions[range].iter().filter_map(|one| one.action.part()).collect();
            let script = crate::action::script(&parts);
            assert!(script.len() < 60 << 10, "{} bytes for {} parts", script.len(), parts.len());
        }
        assert!(step.actions.iter().all(|one| one.action.probe().is_some_and(|probe| probe.len() < 8 << 10)));
    }

    #[test]
    fn all_are_pulled_and_one_that_hangs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let ctr = format!(
            "#!/bin/sh\ncase $1 in check) cat {0}/there 2>/dev/null;;\npull) for last; do :; done\n\
             case $last in *hangs*) exec sleep 100;; *broken*) echo 'no such image' >&2; exit 1;; esac\n\
             echo \"$last application/x sha256:x complete 1/1 true\" >>{0}/there;; esac\n",
            folder.path().display()
        );
        std::fs::write(at("ctr"), ctr).unwrap();
        for shell in ["dash", "bash"] {
            let run = |sources: &[String], list: bool| {
                let [Action::File(file), Action::Run(run)] = pulled(sources) else { panic!("a list, and a command") };
                let crate::action::Content::Text(text) = &file.content else { panic!("{file:?}") };
                if list {
                    std::fs::write(at("list"), text).unwrap();
                }
                let real = |script: &str| {
                    let script = script.replace(CTR, &format!("sh {}", at("ctr"))).replace(&file.path, &at("list"));
                    let script = script.replace(&format!("timeout -k 10 {EACH}"), "timeout -k 10 0.3");
                    std::process::Command::new(shell).args(["-euc", &script]).output().unwrap()
                };
                (real(&run.question).status.success(), real(&run.command), real(&run.question).status.success())
            };
            drop(std::fs::remove_file(at("there")));
            let (before, output, after) = run(&sources(40), true);
            assert!(!before && output.status.success() && after, "{shell}: {output:?}");
            // Another list than the one that lies there is not taken for done.
            assert!(!run(&sources(41), false).0, "{shell}");
            for (name, said) in [("hangs", "hangs was not pulled within 900 s"), ("broken", "no such image")] {
                let (_, output, after) = run(&[sources(1)[0].clone(), name.to_owned()], true);
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(!output.status.success() && !after && errors.contains(said), "{shell}: {errors}");
            }
        }
    }
}
