//! Volumes in folders of the node that a pod runs on, by local-path-provisioner.

use super::base::FILES;
use super::context::{Context, StepBuildError};
use super::control_plane::{objects, objects_folder};
use super::rollout::Rollout;
use crate::action::{Action, DataKind, Folder};
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::StorageKind;
use crate::site::types::DataDir;

/// Each node's folder of volumes: root's alone, because what lies in it belongs to pods, and not to the host's users. Pods get
/// their volumes by mounts, and do not pass through it.
pub(super) fn folder(context: &Context<'_>, host: &Host) -> Option<Step> {
    if context.site.storage.kind != StorageKind::LocalPath {
        return None;
    }
    let folder = Folder::new(context.site.storage.path.clone(), 0o700).data(DataKind::Volumes);
    Some(Step::new("storage.folder", &host.name, "the folder of volumes", vec![Action::Folder(folder)]))
}

/// The steps that give the cluster its default storage class.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    if context.site.storage.kind == StorageKind::None {
        return Ok(Vec::new());
    }
    let arch = context.arch(host)?;
    let provisioner = context.supply.image("docker.io/rancher/local-path-provisioner", arch)?.name.to_string();
    let helper = context.supply.image("docker.io/library/busybox", arch)?.name.to_string();
    let text = manifest(&provisioner, &helper, &context.site.storage.path);
    let mut actions = vec![objects_folder()];
    actions.extend(objects(&format!("{FILES}/objects/local-path.yaml"), "local-path-provisioner", text));
    let rollout = Rollout { namespace: "ferry-storage", what: "deployment/local-path-provisioner" };
    actions.push(rollout.action(context, "local-path-provisioner is up"));
    Ok(vec![Step::new("storage.local-path", &host.name, "local volumes", actions)])
}

fn manifest(provisioner: &str, helper: &str, path: &DataDir) -> String {
    let words = [("{provisioner}", provisioner), ("{helper}", helper), ("{path}", path.as_str())];
    words.iter().fold(include_str!("local-path.yaml").to_owned(), |text, (word, value)| text.replace(word, value))
}
