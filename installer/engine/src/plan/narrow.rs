//! A plan cut down to what concerns some hosts: all of theirs, and of the others only what follows from those being there.

use std::collections::BTreeSet;

use super::{Plan, Planned, Stage};
use crate::action::{Action, Subject};

/// Steps of other hosts that follow from a host being there or not: its name, its pods' routes, its API server among those
/// that are balanced, what it fetches, its place among the nodes.
const FOLLOWING: [&str; 12] = [
    "hosts.names/",
    "hosts.firewall/",
    "registry.content/",
    "registry.mirror/",
    "runtime.mirrors/",
    "runtime.network/",
    "runtime.balancer/",
    "runtime.virtual-address/",
    "join.token/",
    "cluster.names/",
    "cluster.network/",
    "cluster.ready/",
];

/// Cuts a surveyed plan down to `hosts` and to what follows for the others. Gives the ids of the steps that are left out
/// although something in them is to be done: a whole install would do them.
pub fn narrow(plan: &mut Plan, hosts: &BTreeSet<String>) -> Vec<String> {
    let mut left_out = Vec::new();
    for Stage { steps, .. } in &mut plan.stages {
        steps.retain(|step| {
            let kept = hosts.contains(&step.host) || FOLLOWING.iter().any(|begin| step.id.starts_with(begin));
            // That something is waited for is no difference: a busy host answers late.
            let waits = |one: &Planned| matches!(&one.action, Action::Run(run) if run.about == Subject::Wait);
            if !kept && step.actions.iter().any(|one| !one.is_done() && !waits(one)) {
                left_out.push(step.id.clone());
            }
            kept
        });
    }
    plan.stages.retain(|stage| !stage.steps.is_empty());
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::File;
    use crate::plan::Step;
    use ferry_bundle_format::Digest;
    use ferry_bundle_format::lock::Timestamp;

    #[test]
    fn other_hosts_keep_only_what_follows() {
        let step = |id: &str, host: &str| Step::new(id, host, "t", vec![Action::File(File::text("/a", "b"))]);
        let steps = vec![
            step("hosts.names", "old"),
            step("hosts.kernel", "old"),
            step("hosts.kernel", "new"),
            step("etcd.member", "old"),
        ];
        let mut plan = Plan {
            format: super::super::FORMAT,
            cluster: "c".into(),
            site: Digest::of(b""),
            bundle: Digest::of(b""),
            product: String::new(),
            created: Timestamp::from_unix(0),
            stages: vec![Stage { name: "hosts".into(), steps, serial: false }],
        };
        let left_out = narrow(&mut plan, &BTreeSet::from(["new".to_owned()]));
        assert_eq!(left_out, ["hosts.kernel/old", "etcd.member/old"]);
        assert_eq!(
            plan.steps().map(|step| step.id.as_str()).collect::<Vec<_>>(),
            ["hosts.names/old", "hosts.kernel/new"]
        );
    }
}
