//! One step on one host: look, do what is missing, look again; as much of it in one command as can be.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::action::{self, Action, Content, Part};
use crate::event::{Event, Outcome};
use crate::host::{Command, Host, HostError, HostErrorKind, Upload};
use crate::plan::{self, Batch, Step, look};
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
    /// Whether the host could not be reached.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Host { source, .. } if source.is_absence())
    }

    /// Whether the same action may succeed a moment later.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Host { source, .. } if source.may_pass())
    }

    /// That a step is of a host that the site does not have.
    pub(super) fn of_nobody(step: &Step) -> Self {
        let source = HostError::new(&step.host, HostErrorKind::NotInSite);
        Self::Host { title: step.title.clone(), source }
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
        Err(error) if error.is_absence() && !step.essential => (Outcome::Owed, Some(chain(error))),
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
    let mut worker = Worker { host, step, workshop, outcomes: vec![None; step.actions.len()], told: 0, lost: false };
    for batch in plan::batches(step) {
        if workshop.stop.asked() {
            return Ok(worker.done(Some(Outcome::Stopped)));
        }
        let mut patience = Patience::default();
        worker.lost = false;
        while let Err((n, error)) = worker.once(&batch).await {
            worker.tell();
            worker.lost |= error.may_pass();
            let action = &step.actions[n].action;
            if !patience.allows(n, action, &error) || workshop.stop.asked() {
                return Err(error);
            }
            let (title, why, attempt) = (action.title(), chain(&error), patience.attempt(n));
            workshop.journal.record(&Event::Retry { step: step.id.clone(), title, why, attempt });
            tokio::select! {
                biased;
                () = workshop.stop.when_asked() => return Err(error),
                () = tokio::time::sleep(workshop.pause * attempt) => {}
            }
        }
        worker.tell();
        let end = match &batch {
            Batch::Script(range) => range.end,
            Batch::Transfer(n) => n + 1,
        };
        if worker.open(&(0..end)).is_some() {
            return Ok(worker.done(Some(Outcome::Stopped)));
        }
    }
    Ok(worker.done(None))
}

/// How often something has been tried.
#[derive(Default)]
struct Patience {
    reconnects: u32,
    tries: BTreeMap<usize, u32>,
}

impl Patience {
    /// Notes that action `n` has failed; whether it may be tried again.
    fn allows(&mut self, n: usize, action: &Action, error: &StepError) -> bool {
        if error.may_pass() && self.reconnects < RECONNECTS {
            self.reconnects += 1;
            return true;
        }
        let own = if let Action::Run(run) = action { run.retries } else { 0 };
        let tries = self.tries.entry(n).or_default();
        *tries += 1;
        *tries <= own
    }

    /// The number of the next attempt, counted from 1.
    fn attempt(&self, n: usize) -> u32 {
        1 + self.reconnects + self.tries.get(&n).copied().unwrap_or(0)
    }
}

/// Works on a step, and knows what has become of its actions so far.
struct Worker<'a> {
    host: &'a dyn Host,
    step: &'a Step,
    workshop: &'a Workshop,
    /// How each action has ended.
    outcomes: Vec<Option<Outcome>>,
    /// How many of them the journal has.
    told: usize,
    /// Whether the connection broke while this batch was under way.
    lost: bool,
}

/// Which action failed, and why.
type Failed = (usize, StepError);

impl Worker<'_> {
    fn action(&self, n: usize) -> &Action {
        &self.step.actions[n].action
    }

    /// The first of these that has not ended.
    fn open(&self, range: &Range<usize>) -> Option<usize> {
        range.clone().find(|n| self.outcomes[*n].is_none())
    }

    /// Enters in the journal what has ended, in order.
    fn tell(&mut self) {
        while let Some(Some(outcome)) = self.outcomes.get(self.told).copied() {
            let title = self.action(self.told).title();
            let event = Event::Action { step: self.step.id.clone(), action: self.told, title, outcome };
            self.workshop.journal.record(&event);
            self.told += 1;
        }
    }

    fn done(&self, early: Option<Outcome>) -> StepDone {
        let count = |wanted| self.outcomes.iter().filter(|one| **one == Some(wanted)).count();
        let (changed, already) = (count(Outcome::Changed), count(Outcome::Already));
        let outcome = early.unwrap_or(if changed > 0 { Outcome::Changed } else { Outcome::Already });
        StepDone { outcome, changed, already }
    }

    /// Does what is missing, once.
    async fn once(&mut self, batch: &Batch) -> Result<(), Failed> {
        match batch {
            Batch::Script(range) => self.script(range.clone()).await,
            Batch::Transfer(n) => self.transfer(*n).await.map_err(|error| (*n, error)),
        }
    }

    /// One script for several actions. What was done when the connection broke is known from the next try: it was not so when
    /// the plan was made, and is so now.
    async fn script(&mut self, range: Range<usize>) -> Result<(), Failed> {
        let (from, step) = (range.start, self.step);
        let failed = |n: usize, source| (n, StepError::Host { title: step.actions[n].action.title(), source });
        let parts: Vec<Part> = range.clone().filter_map(|n| self.action(n).part()).collect();
        let command = self.command(&parts, range.clone()).map_err(|error| (from, error))?;
        let mut output =
            self.host.run(&command).await.map_err(|source| failed(self.open(&range).unwrap_or(from), source))?;
        let said = action::said(&output.text());
        for (&n, seen) in &said.seen {
            let Some(planned) = step.actions[range.clone()].get(n).filter(|one| one.action.judge(seen).satisfied)
            else {
                continue;
            };
            let (begun, known) = (said.begun.contains(&n), &mut self.outcomes[from + n]);
            known.get_or_insert(if begun || (self.lost && !planned.is_done()) {
                Outcome::Changed
            } else {
                Outcome::Already
            });
        }
        let at = self.open(&range);
        output.stdout = said.rest.into_bytes();
        output.ok(self.host.name(), &command).map_err(|source| failed(at.unwrap_or(from), source))?;
        let Some(n) = at else { return Ok(()) };
        let title = self.action(n).title();
        if let Some(seen) = said.seen.get(&(n - from)) {
            return Err((n, StepError::NotSo { title, seen: seen.clone() }));
        }
        let what = format!("the look at `{title}` gave no answer");
        let kind = HostErrorKind::Protocol { what, said: "the script ended early".to_owned() };
        Err(failed(n, HostError::new(self.host.name(), kind)))
    }

    /// The command that runs the script of these parts.
    fn command(&self, parts: &[Part], range: Range<usize>) -> Result<Command, StepError> {
        let missing = || StepError::Vault { title: self.action(range.start).title() };
        let stdin = action::stdin(parts, &|name| self.workshop.vault.get(name)).ok_or_else(missing)?;
        let seconds = plan::deadline(range.clone().map(|n| self.action(n)));
        Ok(Command::root(action::script(parts)).reading(stdin).within(Duration::from_secs(seconds)))
    }

    /// A file from the bundle, or images to the registry.
    async fn transfer(&mut self, n: usize) -> Result<(), StepError> {
        let action = self.action(n);
        let title = action.title();
        let failed = |source| StepError::Host { title: title.clone(), source };
        let look = async || look(self.host, &[action], self.workshop).await.map_err(failed);
        let before = look().await?;
        if before.iter().all(|state| state.satisfied) {
            let earlier = self.lost && !self.step.actions[n].is_done();
            self.outcomes[n] = Some(if earlier { Outcome::Changed } else { Outcome::Already });
            return Ok(());
        }
        if let Action::Push(push) = action {
            if !registry::push(self.host, push, self.workshop).await.map_err(failed)? {
                // Asked to stop: what is left has no outcome.
                return Ok(());
            }
        } else {
            if let Some(part) = action.part() {
                let command = self.command(&[part], n..n + 1)?;
                let output = self.host.run(&command).await.map_err(failed)?;
                output.ok(self.host.name(), &command).map_err(failed)?;
            }
            upload(self.host, action, self.workshop).await?;
        }
        let after = look().await?;
        if let Some(state) = after.into_iter().find(|state| !state.satisfied) {
            return Err(StepError::NotSo { title, seen: state.seen });
        }
        self.outcomes[n] = Some(Outcome::Changed);
        Ok(())
    }
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
