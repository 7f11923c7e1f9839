//! Whether the hosts are still as they were when the plan was made.
//!
//! An action that is so already is no drift, whoever did it; nor is one of a step that an earlier run of this plan has begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, TryStreamExt as _};

use super::probe::TOGETHER;
use super::{Plan, Planned, Step, look};
use crate::action::Action;
use crate::host::{Host, HostError, HostErrorKind};
use crate::run::Workshop;

/// Something that changed since the plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// The step.
    pub step: String,
    /// The action.
    pub title: String,
    /// What the plan saw.
    pub before: String,
    /// What is there now.
    pub now: String,
}

/// What is neither as the plan saw it nor as the plan wants it. A host that can't be reached is left out: it shows later, where
/// it matters. A host that is there and does not answer as it should is an error, for nothing is known of it.
pub async fn drift(
    plan: &Plan,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    begun: &BTreeSet<String>,
    workshop: &Workshop,
) -> Result<Vec<Drift>, HostError> {
    let mut of_hosts: BTreeMap<&str, Vec<(&Step, &Planned)>> = BTreeMap::new();
    for step in plan.steps().filter(|step| !begun.contains(&step.id)) {
        of_hosts.entry(&step.host).or_default().extend(step.actions.iter().map(|planned| (step, planned)));
    }
    let found: Vec<Vec<Drift>> = stream::iter(of_hosts.into_iter().map(Ok::<_, HostError>))
        .map_ok(|(name, all)| async move {
            let host = hosts.get(name).ok_or_else(|| HostError::new(name, HostErrorKind::NotInSite))?;
            let actions: Vec<&Action> = all.iter().map(|(_, planned)| &planned.action).collect();
            let states = match look(host.as_ref(), &actions, workshop).await {
                Ok(states) => states,
                Err(error) if error.is_absence() => return Ok(Vec::new()),
                Err(error) => return Err(error),
            };
            let changed = all.iter().zip(states).filter_map(|((step, planned), now)| {
                let before = planned.before.as_ref()?;
                (!now.satisfied && now.seen != before.seen).then(|| Drift {
                    step: step.id.clone(),
                    title: planned.action.title(),
                    before: before.seen.clone(),
                    now: now.seen,
                })
            });
            Ok(changed.collect())
        })
        .try_buffered(TOGETHER)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
