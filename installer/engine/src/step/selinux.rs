//! Where SELinux enforces, what ferry places gets the label that the policy has for its path, before a unit runs it.
//!
//! A file that appears by rename has its folder's label; container-selinux knows better ones for containerd, runc and the
//! kubelet. Two folders are ferry's own, and the policy can't know them: its programs are to be run by systemd, and volumes
//! written by pods. Where `semanage` is there the policy is told, so that a relabelling keeps them; else the labels are set.
//!
//! containerd's own `enable_selinux` stays off: what confines containers by labels also keeps kubeadm's static pods from
//! `/etc/kubernetes`, and that is not to be found out on a site.

use super::base::PROGRAMS;
use super::context::Context;
use crate::action::{Action, Folder, Run, Subject};
use crate::facts::Facts;
use crate::host::quote;
use crate::plan::{Planned, Stage, Step};
use crate::site::file::StorageKind;

/// Puts labelling into the stages, for the hosts where SELinux enforces.
pub(super) fn label(context: &Context<'_>, stages: &mut [Stage]) {
    for step in stages.iter_mut().flat_map(|stage| &mut stage.steps) {
        let Some(facts) = context.facts.get(&step.host).filter(|facts| enforces(facts)) else { continue };
        let own = step.id.starts_with("hosts.place/");
        let volumes = (own && context.site.storage.kind == StorageKind::LocalPath)
            .then_some(context.site.storage.path.as_str())
            .filter(|_| context.site.host(&step.host).is_some_and(crate::site::Host::is_node));
        label_step(step, facts, own, volumes);
    }
}

/// Whether labels matter on a host and can be set.
fn enforces(facts: &Facts) -> bool {
    facts.security.selinux_enforcing == Some(true) && facts.has("restorecon")
}

fn label_step(step: &mut Step, facts: &Facts, own: bool, volumes: Option<&str>) {
    let semanage = facts.has("semanage");
    if own {
        let mut known = vec![(PROGRAMS, "bin_t")];
        known.extend(volumes.map(|path| (path, "container_file_t")));
        let mut first = Vec::new();
        for (path, label) in known {
            first.push(Action::Folder(Folder::new(path, 0o755)));
            first.push(Action::Run(if semanage { told(path, label) } else { set(path, label) }));
        }
        step.actions.splice(0..0, first.into_iter().map(planned));
    }
    let paths: Vec<String> = step
        .actions
        .iter()
        .filter_map(|one| match &one.action {
            Action::File(file) => Some(file.path.as_str()),
            _ => None,
        })
        .filter(|path| semanage || !path.starts_with(PROGRAMS))
        .map(quote)
        .collect();
    if paths.is_empty() {
        return;
    }
    let list = paths.join(" ");
    let run = Run::unless(
        format!("SELinux labels of {} files ({})", paths.len(), step.title),
        Subject::Other,
        format!("[ -z \"$(restorecon -n -v -F {list} 2>&1)\" ]"),
        format!("restorecon -F {list}"),
    );
    // A unit that is started takes its domain from the label of its program.
    let unit = |one: &Planned| matches!(one.action, Action::Unit(_));
    let at = step.actions.iter().position(unit).unwrap_or(step.actions.len());
    step.actions.insert(at, planned(Action::Run(run)));
}

fn planned(action: Action) -> Planned {
    Planned::new(action)
}

/// The policy is told of a folder.
fn told(path: &str, label: &str) -> Run {
    let pattern = quote(&format!("{path}(/.*)?"));
    Run::unless(
        format!("SELinux has {label} for {path}"),
        Subject::Other,
        format!("semanage fcontext -l -C -n | grep -F {pattern} | grep -F :{label}:"),
        format!(
            "semanage fcontext -a -t {label} {pattern} || semanage fcontext -m -t {label} {pattern}\nrestorecon -RF {}",
            quote(path)
        ),
    )
    .undone_by(format!("semanage fcontext -d {pattern} 2>/dev/null || :"))
}

/// A folder's label is set; what is made in it later inherits it.
fn set(path: &str, label: &str) -> Run {
    let path = quote(path);
    Run::unless(
        format!("{label} on {path}"),
        Subject::Other,
        format!("ls -Zd {path} | grep -F :{label}:"),
        format!("chcon -R -t {label} {path}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{File, Unit};
    use crate::facts::open_euler;

    fn step(id: &str) -> Step {
        let file = |path: &str| Action::File(File::text(path, "x"));
        let unit = Action::Unit(Unit { name: "a.service".into(), inputs: "1".into(), running: true });
        Step::new(id, "node2", "things", vec![file("/usr/local/bin/a"), file("/usr/local/lib/ferry/b"), unit])
    }

    fn titles(step: &Step) -> Vec<String> {
        step.actions.iter().map(|one| one.action.title()).collect()
    }

    #[test]
    fn labels_come_before_the_unit_that_needs_them() {
        let mut facts = open_euler();
        assert!(enforces(&facts), "openEuler's fixture enforces and has restorecon");
        facts.binaries.insert("semanage".into(), "/usr/sbin/semanage".into());
        let mut step = step("runtime.containerd");
        label_step(&mut step, &facts, false, None);
        let titles = titles(&step);
        assert_eq!(titles[2..], ["SELinux labels of 2 files (things)".to_owned(), "unit a.service".to_owned()]);
    }

    #[test]
    fn without_semanage_ferrys_own_folders_are_labelled_once_and_not_set_back() {
        let mut facts = open_euler();
        facts.binaries.remove("semanage");
        let mut step = step("hosts.place");
        label_step(&mut step, &facts, true, Some("/var/lib/ferry-volumes"));
        let all = format!("{:?}", step.actions);
        assert!(all.contains("chcon -R -t bin_t") && all.contains("chcon -R -t container_file_t"));
        assert!(!all.contains("restorecon -F /usr/local/bin/a /usr/local/lib"), "{all}");
        assert!(titles(&step).contains(&"SELinux labels of 1 files (things)".to_owned()));
    }

    #[test]
    fn the_policy_is_told_where_it_can_be_and_told_otherwise_at_the_end() {
        let run = told("/srv/x", "bin_t");
        assert!(run.command.contains("semanage fcontext -a -t bin_t '/srv/x(/.*)?'"), "{}", run.command);
        assert!(run.undo.is_some_and(|undo| undo.contains("fcontext -d")));
    }

    #[test]
    fn a_permissive_host_is_left_as_it_is() {
        let mut facts = open_euler();
        facts.security.selinux_enforcing = Some(false);
        assert!(!enforces(&facts));
    }
}
