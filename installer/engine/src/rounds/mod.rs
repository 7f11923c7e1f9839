//! Scripts on hosts in rounds, for what is no plan: taking an install back, restoring a snapshot.
//!
//! A round ends on all hosts before the next begins. Within one, hosts work in parallel and each host's tasks come in order.
//! Every script can be repeated: one whose connection broke is run again, and so is a whole run that was killed. What will
//! run can be shown before ([`show`]). A line of a script's output that begins with `note: ` is told.

mod run;

pub use run::{Done, run, run_some};

use crate::host::Stdin;

/// Tasks that may run at the same time on different hosts.
#[derive(Debug, Clone)]
pub struct Round {
    /// What it is, for people.
    pub name: String,
    /// Its tasks. Those of one host run in this order.
    pub tasks: Vec<Task>,
}

/// One script on one host.
#[derive(Debug, Clone)]
pub struct Task {
    /// What it is, short: `uninstall.pods`. With the host it names the step.
    pub id: String,
    /// The host.
    pub host: String,
    /// What it does, for people.
    pub title: String,
    /// The script, run as root.
    pub script: String,
    /// What it reads.
    pub input: Stdin,
    /// How many seconds it may take.
    pub seconds: u64,
    /// Whether the run ends when this host is away; else the host is owed it.
    pub essential: bool,
}

impl Task {
    /// A task of 120 s, without which the run ends.
    pub fn new(id: &str, host: &str, title: impl Into<String>, script: impl Into<String>) -> Self {
        let (title, script) = (title.into(), script.into());
        let (id, host) = (id.to_owned(), host.to_owned());
        Self { id, host, title, script, input: Stdin::Empty, seconds: 120, essential: true }
    }

    /// With this much time, in seconds.
    #[must_use]
    pub fn within(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    /// Owed where the host is away.
    #[must_use]
    pub fn owed(mut self) -> Self {
        self.essential = false;
        self
    }
}

/// All rounds as text: every script, in order, exactly as it will run.
#[must_use]
pub fn show(rounds: &[Round]) -> String {
    let mut text = String::new();
    for (n, round) in rounds.iter().enumerate() {
        text.push_str(&format!("\n== {}/{} {}\n", n + 1, rounds.len(), round.name));
        for task in &round.tasks {
            text.push_str(&format!("\n-- {}/{}: {}\n", task.id, task.host, task.title));
            for (n, line) in task.script.lines().enumerate() {
                text.push_str(&format!("     {} {line}\n", if n == 0 { "$" } else { " " }));
            }
        }
    }
    text
}
