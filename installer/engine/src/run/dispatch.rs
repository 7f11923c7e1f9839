//! Which step runs when: stages in order, hosts side by side, debts noted, failures collected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::execute::{self, StepDone, chain};
use super::{StepError, Workshop};
use crate::event::{Event, Outcome};
use crate::host::Host;
use crate::plan::{Plan, Stage, Step, summary};

/// What a run came to.
#[derive(Debug, Default)]
pub struct Done {
    /// How many actions changed something.
    pub changed: usize,
    /// How many were so already.
    pub already: usize,
    /// What failed: step, why.
    pub failed: Vec<(String, StepError)>,
    /// Hosts that could not be reached and are owed their steps.
    pub owed: BTreeSet<String>,
    /// Whether it was stopped on request.
    pub stopped: bool,
}

impl Done {
    /// Whether everything is as the plan wants it, debts aside.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed.is_empty() && !self.stopped
    }

    fn add(&mut self, step: &Step, result: Result<StepDone, StepError>) -> bool {
        match result {
            Ok(done) => {
                self.changed += done.changed;
                self.already += done.already;
                self.stopped |= done.outcome == Outcome::Stopped;
                done.outcome != Outcome::Stopped
            }
            Err(error) if error.is_absence() && !step.essential => {
                self.owed.insert(step.host.clone());
                false
            }
            Err(error) => {
                self.failed.push((step.id.clone(), error));
                false
            }
        }
    }
}

/// Runs a plan to its end, or to the end of the stage in which something failed. Hosts that were `away` when it was made have
/// no steps in it: they are owed whatever the site wants of them.
pub async fn apply(
    plan: &Plan,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    away: &BTreeSet<String>,
    workshop: &Workshop,
) -> Done {
    let mut done = Done { owed: away.clone(), ..Done::default() };
    workshop.journal.record(&Event::Work { steps: plan.steps().count(), bytes: summary(plan).bytes });
    for (n, stage) in plan.stages.iter().enumerate() {
        let event = Event::Stage { name: stage.name.clone(), number: n + 1, of: plan.stages.len() };
        workshop.journal.record(&event);
        run_stage(stage, hosts, workshop, &mut done).await;
        if !done.is_well() {
            break;
        }
    }
    let summary = describe(&done);
    workshop.journal.record(&Event::Ended {
        well: done.is_well(),
        changed: done.changed,
        already: done.already,
        owed: done.owed.iter().cloned().collect(),
        summary,
    });
    done
}

fn describe(done: &Done) -> String {
    let counts = format!("{} changed, {} as they should be already", done.changed, done.already);
    if done.stopped {
        return format!("stopped: {counts}; run the same command again to go on");
    }
    if let Some((step, error)) = done.failed.first() {
        return format!("failed at {step}: {}", chain(error));
    }
    if done.owed.is_empty() {
        return if done.changed == 0 { format!("nothing to do: {counts}") } else { counts };
    }
    let owed: Vec<&str> = done.owed.iter().map(String::as_str).collect();
    format!("{counts}; not reached and owed their steps: {}", owed.join(", "))
}

async fn run_stage(stage: &Stage, hosts: &BTreeMap<String, Arc<dyn Host>>, workshop: &Workshop, done: &mut Done) {
    let mut chains: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in &stage.steps {
        if !done.owed.contains(&step.host) {
            chains.entry(&step.host).or_default().push(step);
        }
    }
    let together = if stage.serial { 1 } else { workshop.together };
    let mut results =
        stream::iter(chains.into_values()).map(|steps| chain_of(steps, hosts, workshop)).buffer_unordered(together);
    while let Some(list) = results.next().await {
        for (step, result) in list {
            done.add(step, result);
        }
    }
}

/// The steps of one host, up to the first that does not come to its end.
async fn chain_of<'a>(
    steps: Vec<&'a Step>,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    workshop: &Workshop,
) -> Vec<(&'a Step, Result<StepDone, StepError>)> {
    let mut results = Vec::new();
    for step in steps {
        let result = match hosts.get(&step.host) {
            Some(host) => execute::step(host.as_ref(), step, workshop).await,
            None => Err(StepError::of_nobody(step)),
        };
        let goes_on = matches!(&result, Ok(done) if done.outcome != Outcome::Stopped);
        results.push((step, result));
        if !goes_on {
            break;
        }
    }
    results
}
