//! Whether the hosts are still as they were when the plan was made.
//!
//! An action that is so already is no drift, whoever did it; nor is one of a step that an earlier run of this plan has begun.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, TryStreamExt as _};

use super::{Plan, Step, look};
use crate::action::Action;
use crate::host::{Host, HostError};
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

/// What is neither as the plan saw it nor as the plan wants it. Hosts that are away are left out; they show later.
pub async fn drift(
    plan: &Plan,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    begun: &BTreeSet<String>,
    workshop: &Workshop,
) -> Result<Vec<Drift>, HostError> {
    let steps: Vec<&Step> = plan.steps().filter(|step| !begun.contains(&step.id)).collect();
    let found: Vec<Vec<Drift>> = stream::iter(steps.into_iter().map(Ok::<_, HostError>))
        .and_then(|step| async move {
            Ok(async move {
                let Some(host) = hosts.get(&step.host) else { return Ok(Vec::new()) };
                let actions: Vec<&Action> = step.actions.iter().map(|planned| &planned.action).collect();
                let states = match look(host.as_ref(), &actions, workshop).await {
                    Ok(states) => states,
                    Err(error) if error.is_absence() => return Ok(Vec::new()),
                    Err(error) => return Err(error),
                };
                let changed = step.actions.iter().zip(states).filter_map(|(planned, now)| {
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
        })
        .try_buffered(16)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
