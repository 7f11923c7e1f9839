//! Events as lines for people: one when a step begins and one when it ends, one for each check, more only where something is
//! wrong or asked for. After ten seconds without a line it is told what still runs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry_engine::event::{Display, Event, Outcome, Verdict};

/// How often progress of transfers is shown, in seconds.
const EVERY: u64 = 2;
/// After how much silence it is told what still runs.
const SILENCE: Duration = Duration::from_secs(10);

/// The name under which the check that is being made is among what runs.
const CHECKS: &str = "check";

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
    /// When the first byte was sent.
    since: Option<Instant>,
    /// How many steps there are, and bytes to send.
    of: (usize, u64),
    begun: usize,
    /// What runs: title, host, since when.
    running: BTreeMap<String, (String, String, Instant)>,
    /// When the last line was printed.
    said: Option<Instant>,
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
            Event::Step { step, title, .. } => {
                let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let place = if state.of.0 > 0 { format!("{} of {} ", state.begun, state.of.0) } else { String::new() };
                self.paint("2", &format!("  {place}{step}: {title}"))
            }
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

    /// Takes note of what runs.
    fn follow(&self, event: &Event, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match event {
            Event::Began { .. } => *state = State::default(),
            Event::Work { steps, bytes } => {
                (state.of, state.begun) = ((*steps, *bytes), 0);
                state.moved.clear();
                state.since = None;
            }
            Event::Step { step, host, title } => {
                state.begun += 1;
                state.running.insert(step.clone(), (title.clone(), host.clone(), now));
            }
            Event::StepEnded { step, .. } => drop(state.running.remove(step)),
            Event::Checking { check } => {
                state.running.insert(CHECKS.to_owned(), (check.clone(), String::new(), now));
            }
            Event::Ended { .. } => state.running.clear(),
            _ => {}
        }
    }

    /// What still runs, after enough silence.
    fn still(&self, now: Instant) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let said = state.said?;
        if state.running.is_empty() || now.saturating_duration_since(said) < SILENCE {
            return None;
        }
        // One title on many hosts is one line.
        let mut titles: BTreeMap<&str, (Vec<&str>, Instant)> = BTreeMap::new();
        for (title, host, since) in state.running.values() {
            let one = titles.entry(title).or_insert((Vec::new(), *since));
            one.0.push(host);
            one.1 = one.1.min(*since);
        }
        let list: Vec<String> = titles
            .into_iter()
            .map(|(title, (hosts, since))| {
                let on = if hosts == [""] { String::new() } else { format!(" on {}", hosts.join(", ")) };
                format!("{title}{on} ({} s)", now.saturating_duration_since(since).as_secs())
            })
            .collect();
        state.said = Some(now);
        Some(format!("  still: {}", list.join("; ")))
    }

    /// Prints what still runs, if it is time for that.
    pub(crate) fn tick(&self, now: Instant) {
        if let Some(line) = self.still(now) {
            super::painted(&(line + "\n"));
        }
    }

    /// How much has been moved, now and then.
    fn moved(&self, host: &str, bytes: u64, now: Instant) -> Option<String> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state.moved.entry(host.to_owned()).or_default() += bytes;
        let since = *state.since.get_or_insert(now);
        if state.shown.is_some_and(|at| now.saturating_duration_since(at).as_secs() < EVERY) {
            return None;
        }
        state.shown = Some(now);
        let sent: u64 = state.moved.values().sum();
        let list: Vec<String> =
            state.moved.iter().map(|(host, bytes)| format!("{host} {} MB", bytes / 1_000_000)).collect();
        Some(format!("  sent: {}{}", list.join(", "), progress(sent, state.of.1, now.saturating_duration_since(since))))
    }
}

/// How far that is: `: 709 of 1027 MB, 69 %, 35 MB/s, 10 s left`. Nothing where it is not known how much there is to send.
fn progress(sent: u64, of: u64, took: Duration) -> String {
    if of == 0 || sent > of {
        return String::new();
    }
    let mut text = format!(": {} of {} MB, {} %", sent / 1_000_000, of / 1_000_000, sent * 100 / of);
    let seconds = took.as_secs();
    if seconds > 0 && sent / seconds > 0 {
        let rate = sent / seconds;
        text += &format!(", {} MB/s, {} s left", rate / 1_000_000, (of - sent) / rate);
    }
    text
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

impl Display for Plain {
    fn show(&self, event: &Event) {
        let now = Instant::now();
        self.follow(event, now);
        let line = match event {
            Event::Moved { host, bytes } => self.moved(host, *bytes, now),
            other => self.line(other),
        };
        if let Some(line) = line {
            self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).said = Some(now);
            // The events are printable; the colours are ours.
            super::painted(&(line + "\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: &str, host: &str, title: &str) -> Event {
        Event::Step { step: step.into(), host: host.into(), title: title.into() }
    }

    #[test]
    fn a_step_is_told_when_it_begins_with_its_place() {
        let plain = Plain::new(false, false);
        let now = Instant::now();
        let line = |event: &Event| {
            plain.follow(event, now);
            plain.line(event)
        };
        assert_eq!(line(&Event::Work { steps: 60, bytes: 0 }), None);
        assert_eq!(line(&step("a.b/one", "one", "names")).unwrap(), "  1 of 60 a.b/one: names");
        assert_eq!(line(&step("a.b/two", "two", "names")).unwrap(), "  2 of 60 a.b/two: names");
    }

    #[test]
    fn what_still_runs_is_told_after_ten_seconds_of_silence() {
        let plain = Plain::new(false, false);
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        assert_eq!(plain.still(at(100)), None, "nothing was said yet, nothing runs");
        plain.state.lock().unwrap().said = Some(begin);
        for host in ["a", "b"] {
            plain.follow(&step(&format!("control-plane.init/{host}"), host, "kubeadm init"), at(0));
        }
        plain.follow(&step("x/c", "c", "etcd"), at(5));
        assert_eq!(plain.still(at(9)), None);
        assert_eq!(plain.still(at(35)).unwrap(), "  still: etcd on c (30 s); kubeadm init on a, b (35 s)");
        assert_eq!(plain.still(at(40)), None, "that was a line");
        let ended = |step: &str| Event::StepEnded {
            step: step.into(),
            host: "x".into(),
            outcome: Outcome::Changed,
            why: None,
            ms: 1,
        };
        for step in ["control-plane.init/a", "control-plane.init/b", "x/c"] {
            plain.follow(&ended(step), at(41));
        }
        assert_eq!(plain.still(at(99)), None, "nothing runs");
        plain.follow(&Event::Checking { check: "dns.cluster".into() }, at(100));
        assert_eq!(plain.still(at(112)).unwrap(), "  still: dns.cluster (12 s)");
    }

    #[test]
    fn how_far_a_transfer_is() {
        let at = |sent, seconds| progress(sent, 1_027_000_000, Duration::from_secs(seconds));
        assert_eq!(at(709_000_000, 20), ": 709 of 1027 MB, 69 %, 35 MB/s, 8 s left");
        assert_eq!(at(5, 0), ": 0 of 1027 MB, 0 %");
        assert_eq!(at(2_000_000_000, 1), "", "more than was expected: nothing is claimed");
        assert_eq!(progress(5, 0, Duration::from_secs(1)), "");
    }
}
