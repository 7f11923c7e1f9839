//! One step on one host: look, do what is missing, look again.

use std::time::{Duration, Instant};

use crate::action::{Action, Content, Piece, State};
use crate::event::{Event, Outcome};
use crate::host::{Command, Host, HostError, Upload};
use crate::plan::{Planned, Step, look};
use crate::registry;
use crate::supply::SupplyError;

use super::Workshop;

/// How often an action is tried again when the connection breaks. Each action can be repeated, and commands on a host take
/// turns, so that one that outlived its connection is waited for.
const RECONNECTS: u32 = 3;

/// Why a step did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The host, or a command on it.
    #[error("{title}")]
    Host {
        /// The action.
        title: String,
        /// What failed.
        #[source]
        source: HostError,
    },
    /// The bundle.
    #[error("{title}")]
    Supply {
        /// The action.
        title: String,
        /// What failed.
        #[source]
        source: SupplyError,
    },
    /// It was done without an error, and is still not so.
    #[error("{title}: done without an error, but now the host shows `{seen}`")]
    NotSo {
        /// The action.
        title: String,
        /// What the host shows.
        seen: String,
    },
    /// Something of the vault is missing.
    #[error("{title}: the vault does not hold what it needs; was the plan made with another vault?")]
    Vault {
        /// The action.
        title: String,
    },
}

impl StepError {
    /// Whether the host may simply be away.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Host { source, .. } if source.is_absence())
    }
}

/// What a step came to: its outcome, and how many of its actions changed something or were so already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepDone {
    /// How it ended.
    pub outcome: Outcome,
    /// How many changed.
    pub changed: usize,
    /// How many were so already.
    pub already: usize,
}

/// Runs a step.
pub async fn step(host: &dyn Host, step: &Step, workshop: &Workshop) -> Result<StepDone, StepError> {
    let began = Instant::now();
    let journal = &workshop.journal;
    let (id, name) = (step.id.clone(), step.host.clone());
    journal.record(&Event::Step { step: id.clone(), host: name.clone(), title: step.title.clone() });
    let result = actions(host, step, workshop).await;
    let (outcome, why) = match &result {
        Ok(done) => (done.outcome, None),
        Err(error) => (Outcome::Failed, Some(chain(error))),
    };
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    journal.record(&Event::StepEnded { step: id, host: name, outcome, why, ms });
    result
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

async fn actions(host: &dyn Host, step: &Step, workshop: &Workshop) -> Result<StepDone, StepError> {
    let all: Vec<&Action> = step.actions.iter().map(|planned| &planned.action).collect();
    let failed = |title: &str, source| StepError::Host { title: title.to_owned(), source };
    let mut states = look(host, &all, workshop).await.map_err(|source| failed(&step.title, source))?;
    let (mut changed, mut already) = (0, 0);
    for (n, Planned { action, .. }) in step.actions.iter().enumerate() {
        let outcome = if states[n].satisfied {
            already += 1;
            Outcome::Already
        } else if workshop.stop.asked() {
            return Ok(StepDone { outcome: Outcome::Stopped, changed, already });
        } else {
            make_so(host, step, n, &mut states, workshop).await?;
            changed += 1;
            Outcome::Changed
        };
        workshop.journal.record(&Event::Action { step: step.id.clone(), action: n, title: action.title(), outcome });
    }
    let outcome = if changed > 0 { Outcome::Changed } else { Outcome::Already };
    Ok(StepDone { outcome, changed, already })
}

/// Does an action, as often as it may be tried, until the host shows that it is so. Looks at the next one, too:
/// what was just done may have settled it.
async fn make_so(
    host: &dyn Host,
    step: &Step,
    n: usize,
    states: &mut [State],
    workshop: &Workshop,
) -> Result<(), StepError> {
    let action = &step.actions[n].action;
    let own = match action {
        Action::Run(run) => run.retries,
        _ => 0,
    };
    let (mut tries, mut reconnects) = (1, 0);
    loop {
        let error = match once(host, step, n, states, workshop).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let lost = error.is_absence() && reconnects < RECONNECTS;
        if (!lost && tries > own) || workshop.stop.asked() {
            return Err(error);
        }
        reconnects += u32::from(lost);
        tries += u32::from(!lost);
        let (title, why) = (action.title(), chain(&error));
        workshop.journal.record(&Event::Retry { step: step.id.clone(), title, why, attempt: tries + reconnects });
        tokio::time::sleep(Duration::from_secs(2 * u64::from(tries + reconnects))).await;
    }
}

async fn once(
    host: &dyn Host,
    step: &Step,
    n: usize,
    states: &mut [State],
    workshop: &Workshop,
) -> Result<(), StepError> {
    let action = &step.actions[n].action;
    let title = action.title();
    let failed = |source| StepError::Host { title: title.clone(), source };
    for piece in action.apply() {
        match piece {
            Piece::Script { script, input } => {
                let stdin = input.stdin(&|name| workshop.vault.get(name));
                let stdin = stdin.ok_or_else(|| StepError::Vault { title: title.clone() })?;
                let command = Command::root(script).reading(stdin).within(Duration::from_secs(action.deadline()));
                host.run(&command).await.and_then(|output| output.ok(host.name(), &command)).map_err(failed)?;
            }
            Piece::Upload => upload(host, action, workshop).await?,
            Piece::Push => {
                let Action::Push(push) = action else { continue };
                registry::push(host, push, workshop).await.map_err(failed)?;
            }
        }
    }
    let mut again = vec![action];
    again.extend(step.actions.get(n + 1).map(|planned| &planned.action));
    let seen = look(host, &again, workshop).await.map_err(failed)?;
    for (offset, state) in seen.into_iter().enumerate() {
        states[n + offset] = state;
    }
    if states[n].satisfied { Ok(()) } else { Err(StepError::NotSo { title, seen: states[n].seen.clone() }) }
}

async fn upload(host: &dyn Host, action: &Action, workshop: &Workshop) -> Result<(), StepError> {
    let Action::File(file) = action else { return Ok(()) };
    let title = action.title();
    let supply = |source| StepError::Supply { title: title.clone(), source };
    let source = workshop.supply.source(&file.content).map_err(supply)?;
    let Some(source) = source.filter(|_| !matches!(file.content, Content::Text(_))) else { return Ok(()) };
    let upload = Upload {
        source,
        digest: file.content.digest(),
        path: file.path.clone(),
        mode: file.mode,
        owner: file.owner.clone(),
    };
    let _one_of_few = workshop.uploads.acquire().await;
    let name = host.name().to_owned();
    let tick = |bytes| workshop.journal.record(&Event::Moved { host: name.clone(), bytes });
    host.upload(&upload, &tick).await.map_err(|source| StepError::Host { title, source })
}
