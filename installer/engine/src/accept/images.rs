//! Images: only those of the bundle run, and the runtime keeps them from garbage collection.

use std::collections::{BTreeMap, BTreeSet};

use ferry_bundle_format::Digest;

use super::arena::NAMESPACE;
use super::context::{Context, output};
use super::finding::Finding;
use super::pods::{Container, List};
use super::rolling;
use crate::host::Command;

/// The label by which containerd's CRI keeps an image.
const PINNED: &str = "io.cri-containerd.pinned=pinned";

/// An image as containerd lists it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name there.
    pub(super) name: String,
    /// What the name points to.
    pub(super) digest: String,
    /// Whether it is pinned.
    pub(super) pinned: bool,
}

/// Lists images.
pub(super) const LIST: &str = "/usr/local/bin/ctr -n k8s.io images ls 2>/dev/null";

/// What [`LIST`] prints: `REF TYPE DIGEST SIZE UNIT PLATFORMS LABELS`, with a head line.
pub(super) fn parse(text: &str) -> Vec<Listed> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, digest) = (words.next()?, words.nth(1)?);
        let pinned = words.any(|word| word.split(',').any(|label| label == PINNED));
        digest.starts_with("sha256:").then(|| Listed { name: name.to_owned(), digest: digest.to_owned(), pinned })
    };
    text.lines().filter_map(row).collect()
}

pub(super) async fn running(context: &Context<'_>) -> Vec<Finding> {
    if context.needs.images.is_empty() {
        return vec![Finding::skipped("", "the bundle's digests are not known to this run")];
    }
    let list: List = match context.kubectl() {
        Ok(kubectl) => match kubectl.json("get pods -A -o json").await {
            Ok(list) => list,
            Err(why) => return vec![Finding::failed("", why, "see that the API server runs")],
        },
        Err(why) => return vec![Finding::failed("", why, "connect a control-plane host")],
    };
    let known = |container: &Container| {
        let digest = digest(&container.image_id);
        digest.is_some_and(|digest| {
            context.needs.images.contains(&digest) || context.needs.probe.values().any(|probe| *probe == digest)
        })
    };
    let mut foreign: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut notes = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for pod in list.items.iter().filter(|pod| pod.metadata.namespace != NAMESPACE) {
        for one in pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses) {
            // A container that has not been made yet has no digest; `pods.ready` speaks of it.
            if one.image_id.is_empty() {
                continue;
            }
            seen.insert(one.image_id.clone());
            let earlier = digest(&one.image_id).and_then(|digest| context.needs.earlier.get(&digest));
            if known(one) {
                continue;
            }
            if let Some(was) = earlier {
                notes.insert(rolling::note(pod, one, was, context.needs));
            } else {
                let users = foreign.entry(format!("{} ({})", one.image, one.image_id)).or_default();
                users.insert(format!("{}/{}", pod.metadata.namespace, pod.metadata.name));
            }
        }
    }
    let mut findings: Vec<Finding> = notes.into_iter().map(|note| Finding::noted("", note)).collect();
    findings.push(if !foreign.is_empty() {
        let lines = foreign.iter().map(|(image, users)| {
            format!("{image} in {}", users.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        });
        let fix = "put the image into the bundle, or take what runs it away";
        Finding::failed("", lines.collect::<Vec<_>>().join("\n"), fix)
    } else if seen.is_empty() {
        Finding::failed(
            "",
            "no container runs, so nothing could be compared",
            "see pods.ready: the system's pods have to run",
        )
    } else if findings.is_empty() {
        Finding::passed("", format!("{} images run, each with a digest of the bundle", seen.len()))
    } else {
        Finding::passed(
            "",
            format!("{} images run, each with a digest of the bundle or of an earlier serial", seen.len()),
        )
    });
    findings
}

/// `repository@sha256:…`, or the config's own `sha256:…` where an image was never pulled.
fn digest(image_id: &str) -> Option<Digest> {
    Digest::parse(&image_id[image_id.rfind("sha256:")?..]).ok()
}

pub(super) async fn pinned(context: &Context<'_>) -> Vec<Finding> {
    let known: BTreeSet<String> = context.needs.images.iter().map(ToString::to_string).collect();
    if known.is_empty() {
        return vec![Finding::skipped("", "the bundle's digests are not known to this run")];
    }
    let known = &known;
    context
        .each(crate::site::Host::is_node, |host, connection| async move {
            let fix = "run the installer again: it pins what it brings";
            vec![match output(connection, &Command::root(LIST)).await {
                Err(why) => Finding::failed(&host.name, why, fix),
                Ok(text) => {
                    let ours: Vec<Listed> =
                        parse(&text).into_iter().filter(|one| known.contains(&one.digest)).collect();
                    // One pinned name keeps an image: the runtime gives each a second name, that of its config.
                    let kept: BTreeSet<&str> =
                        ours.iter().filter(|one| one.pinned).map(|one| one.digest.as_str()).collect();
                    let open = ours.iter().filter(|one| !kept.contains(one.digest.as_str()));
                    let loose: Vec<&str> = open.map(|one| one.name.as_str()).collect();
                    let well = loose.is_empty() && !ours.is_empty();
                    let evidence = match (ours.len(), loose.len()) {
                        (0, _) => "not one image of the bundle is there".to_owned(),
                        (_, 0) => format!("{} images, all pinned", kept.len()),
                        (count, open) => format!("{open} of {count} names are not pinned:\n{}", loose.join("\n")),
                    };
                    Finding::judged(well, &host.name, evidence, fix)
                }
            }]
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_image_ids() {
        let digest_text = Digest::of(b"x").to_string();
        assert_eq!(digest(&format!("registry.k8s.io/pause@{digest_text}")), Some(Digest::of(b"x")));
        assert_eq!(digest(&digest_text), Some(Digest::of(b"x")));
        assert_eq!(digest("docker.io/x:latest"), None);
    }
}
