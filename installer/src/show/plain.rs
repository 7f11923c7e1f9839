//! Events as lines for people: one for each step and check, more only where something is wrong or asked for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use ferry_engine::event::{Display, Event, Outcome, Verdict};

/// How often progress of transfers is shown, in seconds.
const EVERY: u64 = 2;

/// Shows events as lines.
pub(crate) struct Plain {
    verbose: bool,
    colour: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    moved: BTreeMap<String, u64>,
    shown: Option<Instant>,
}

impl Plain {
    /// With `verbose`, commands too; with `colour`, for a terminal.
    pub(crate) fn new(verbose: bool, colour: bool) -> Self {
        Self { verbose, colour: colour && std::env::var_os("NO_COLOR").is_none(), state: Mutex::default() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn outcome(&self, outcome: Outcome) -> String {
        match outcome {
            Outcome::Already => self.paint("2", "as it should be"),
            Outcome::Changed => self.paint("32", "done"),
            Outcome::Failed => self.paint("31", "FAILED"),
            Outcome::Stopped => self.paint("33", "stopped"),
            Outcome::Owed => self.paint("33", "owed"),
        }
    }

    fn line(&self, event: &Event) -> Option<String> {
        Some(match event {
            Event::Began { verb, cluster, product, .. } => {
                let product = product.as_ref().map(|text| format!(" with {text}")).unwrap_or_default();
                format!("{verb} {cluster}{product}")
            }
            Event::HostKey { host, fingerprint } => format!("{host}: host key {fingerprint}"),
            Event::Stage { name, number, of } => self.paint("1", &format!("[{number}/{of}] {name}")),
            Event::StepEnded { step, outcome, why, ms, .. } => {
                let why = why
                    .as_ref()
                    .map(|text| format!("\n      {}", text.trim().replace('\n', "\n      ")))
                    .unwrap_or_default();
                format!("  {:<40} {} {}{why}", step, self.outcome(*outcome), seconds(*ms))
            }
            Event::Retry { title, why, attempt, .. } => {
                format!(
                    "  {} {title}: try {attempt}, because: {}",
                    self.paint("33", "again"),
                    why.lines().next().unwrap_or_default()
                )
            }
            Event::Check { check, subject, verdict, evidence, fix, .. } => {
                self.check(check, subject, *verdict, evidence, fix.as_deref())
            }
            Event::LeaseLost { host, why, stopped } => {
                let then = if *stopped { "this run stops" } else { "nothing more is begun there" };
                self.paint("31", &format!("the lease on {host} is lost, {then}: {why}"))
            }
            Event::Note { text } => format!("note: {text}"),
            Event::Ended { well, summary, .. } => {
                if *well {
                    self.paint("32", summary)
                } else {
                    self.paint("31", summary)
                }
            }
            Event::Command { host, script, .. } if self.verbose => {
                format!("    {host} $ {}", script.trim().replace('\n', "\n        "))
            }
            Event::CommandEnded { host, status, said, ms, .. } if self.verbose => {
                let status = status.map_or_else(|| "no status".to_owned(), |status| format!("status {status}"));
                format!("    {host} = {status} {} {}", seconds(*ms), said.trim())
            }
            _ => return None,
        })
    }

    fn check(&self, check: &str, subject: &str, verdict: Verdict, evidence: &str, fix: Option<&str>) -> String {
        let sign = match verdict {
            Verdict::Passed => self.paint("32", "ok  "),
            Verdict::Failed => self.paint("31", "FAIL"),
            Verdict::Waived => self.paint("33", "waiv"),
            Verdict::Skipped => self.paint("2", "skip"),
        };
        let place = if subject.is_empty() { String::new() } else { format!(" {subject}") };
        let fix =
            fix.filter(|_| verdict == Verdict::Failed).map(|text| format!("\n       fix: {text}")).unwrap_or_default();
        format!("  {sign} {check}{place}: {}{fix}", evidence.trim().replace('\n', "\n       "))
    }

    /// How much has been moved, now and then.
    fn moved(&self, host: &str, bytes: u64) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state.moved.entry(host.to_owned()).or_default() += bytes;
        if state.shown.is_some_and(|at| at.elapsed().as_secs() < EVERY) {
            return None;
        }
        state.shown = Some(Instant::now());
        let list: Vec<String> =
            state.moved.iter().map(|(host, bytes)| format!("{host} {} MB", bytes / 1_000_000)).collect();
        Some(format!("  sent: {}", list.join(", ")))
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

impl Display for Plain {
    fn show(&self, event: &Event) {
        let line = match event {
            Event::Moved { host, bytes } => self.moved(host, *bytes),
            other => self.line(other),
        };
        if let Some(line) = line {
            // The events are printable; the colours are ours.
            super::painted(&(line + "\n"));
        }
    }
}
