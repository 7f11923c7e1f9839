//! Runs rounds: events as a plan's steps have them, hosts that are away noted, the first failure ends the run after its round.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use super::{Round, Task};
use crate::event::{Event, Outcome};
use crate::host::{Command, Host, HostError, HostErrorKind, Output};
use crate::journal::Journal;
use crate::run::Stop;

/// How often a script is run again when its connection breaks.
const RECONNECTS: u32 = 3;
/// Hosts that are worked on at once.
const TOGETHER: usize = 16;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Done {
    /// What each task printed: host, task, standard output.
    pub said: Vec<(String, String, String)>,
    /// What failed: step, why.
    pub failed: Vec<(String, HostError)>,
    /// Hosts that could not be reached and are owed their tasks.
    pub owed: BTreeSet<String>,
    /// Whether it was stopped on request.
    pub stopped: bool,
}

impl Done {
    /// Whether all of it was done, debts aside.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failed.is_empty() && !self.stopped
    }

    /// The event that ends a run of rounds.
    #[must_use]
    pub fn ended(&self) -> Event {
        let mut summary = format!("{} tasks done", self.said.len());
        if let Some((step, error)) = self.failed.first() {
            summary = format!("failed at {step}: {error}; {summary}");
        }
        if self.stopped {
            summary = format!("stopped: {summary}");
        }
        let owed: Vec<String> = self.owed.iter().cloned().collect();
        if !owed.is_empty() {
            summary += &format!("; not reached: {}", owed.join(", "));
        }
        Event::Ended { well: self.is_well(), changed: self.said.len(), already: 0, owed, summary }
    }

    /// What a task printed on a host.
    #[must_use]
    pub fn output(&self, host: &str, id: &str) -> Option<&str> {
        self.said.iter().find(|one| one.0 == host && one.1 == id).map(|one| one.2.as_str())
    }
}

/// Runs them all, or to the end of the round in which something failed.
pub async fn run(rounds: &[Round], hosts: &BTreeMap<String, Arc<dyn Host>>, journal: &Journal, stop: &Stop) -> Done {
    run_some(rounds, 0..rounds.len(), hosts, journal, stop).await
}

/// Runs some of them, likewise. They are numbered as among all.
pub async fn run_some(
    rounds: &[Round],
    which: Range<usize>,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    journal: &Journal,
    stop: &Stop,
) -> Done {
    let mut done = Done::default();
    journal.record(&Event::Work { steps: rounds.iter().map(|round| round.tasks.len()).sum(), bytes: 0 });
    for (n, round) in rounds.iter().enumerate().filter(|(n, _)| which.contains(n)) {
        journal.record(&Event::Stage { name: round.name.clone(), number: n + 1, of: rounds.len() });
        let mut chains: BTreeMap<&str, Vec<&Task>> = BTreeMap::new();
        for task in round.tasks.iter().filter(|task| !done.owed.contains(&task.host)) {
            chains.entry(&task.host).or_default().push(task);
        }
        let mut ended = stream::iter(chains.into_values().map(|tasks| chain(tasks, hosts, journal, stop)))
            .buffer_unordered(TOGETHER);
        let mut results = Vec::new();
        while let Some(list) = ended.next().await {
            results.extend(list);
        }
        for (task, result) in results {
            match result {
                Some(Ok(text)) => done.said.push((task.host.clone(), task.id.clone(), text)),
                Some(Err(error)) if error.is_absence() && !task.essential => drop(done.owed.insert(task.host.clone())),
                Some(Err(error)) => done.failed.push((format!("{}/{}", task.id, task.host), error)),
                None => done.stopped = true,
            }
        }
        if !done.is_well() {
            break;
        }
    }
    done
}

type Ended<'a> = (&'a Task, Option<Result<String, HostError>>);

/// The tasks of one host, up to the first that does not come to its end; `None` where it was not begun.
async fn chain<'a>(
    tasks: Vec<&'a Task>,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    journal: &Journal,
    stop: &Stop,
) -> Vec<Ended<'a>> {
    let mut results = Vec::new();
    for task in tasks {
        let Some(host) = hosts.get(&task.host) else {
            results.push((task, Some(Err(HostError::new(&task.host, HostErrorKind::NotInSite)))));
            break;
        };
        if stop.asked() {
            results.push((task, None));
            break;
        }
        let result = one(host.as_ref(), task, journal, stop).await;
        let goes_on = result.is_ok();
        results.push((task, Some(result)));
        if !goes_on {
            break;
        }
    }
    results
}

async fn one(host: &dyn Host, task: &Task, journal: &Journal, stop: &Stop) -> Result<String, HostError> {
    let (began, step) = (Instant::now(), format!("{}/{}", task.id, task.host));
    journal.record(&Event::Step { step: step.clone(), host: task.host.clone(), title: task.title.clone() });
    let mut tries = 0;
    let result = loop {
        let command =
            Command::root(task.script.clone()).reading(task.input.clone()).within(Duration::from_secs(task.seconds));
        let result = host.run(&command).await.and_then(|output: Output| output.ok(host.name(), &command));
        match result {
            Err(error) if error.may_pass() && tries < RECONNECTS && !stop.asked() => {
                tries += 1;
                let (title, why) = (task.title.clone(), error.to_string());
                journal.record(&Event::Retry { step: step.clone(), title, why, attempt: tries + 1 });
                tokio::select! {
                    biased;
                    () = stop.when_asked() => {}
                    () = tokio::time::sleep(Duration::from_secs(2 * u64::from(tries))) => {}
                }
            }
            other => break other.map(|output| output.text()),
        }
    };
    let (outcome, why) = match &result {
        Ok(_) => (Outcome::Changed, None),
        Err(error) if error.is_absence() && !task.essential => (Outcome::Owed, Some(error.to_string())),
        Err(error) => (Outcome::Failed, Some(error.to_string())),
    };
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    journal.record(&Event::StepEnded { step, host: task.host.clone(), outcome, why, ms });
    for note in result.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("note: ")) {
        journal.record(&Event::Note { text: format!("{}: {note}", task.host) });
    }
    result
}
