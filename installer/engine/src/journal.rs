//! The journal: every event of every run on a site, one JSON object a line, on disk before it is shown.
//!
//! A line is appended and synced as a whole. A last line that was cut off by a kill is ended and passed over when the journal is
//! opened again. The run's truth is on the hosts: a lost journal costs evidence, never correctness.
//!
//! A line that can't be read is never passed over in silence: it may be the one check that failed. See [`Contents`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ferry_bundle_format::lock::Timestamp;
use ferry_bundle_format::printable::printable;
use serde::{Deserialize, Serialize};

use crate::event::{Display, Event};
use crate::host::Redactor;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The run it belongs to: the time it began, in milliseconds since 1970.
    pub run: u64,
    /// When, in seconds since 1970.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// Writes events down and passes them on.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    path: PathBuf,
    run: AtomicU64,
    /// Whether the run has begun, and its end is not written down yet.
    open: AtomicBool,
    file: Mutex<File>,
    display: Arc<dyn Display>,
    redactor: Redactor,
    kill_at: Option<u64>,
    written: Mutex<u64>,
}

impl Journal {
    /// Opens the journal at `path` for a new run.
    pub fn open(path: &Path, display: Arc<dyn Display>, redactor: Redactor) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        if length > 0 {
            file.seek(SeekFrom::Start(length - 1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        let kill_at = std::env::var("FERRY_CRASH_AT_LINE").ok().and_then(|text| text.parse().ok());
        let inner = Inner {
            path: path.to_owned(),
            run: AtomicU64::new(now_ms()),
            open: AtomicBool::new(false),
            file: Mutex::new(file),
            display,
            redactor,
            kill_at,
            written: Mutex::new(0),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The number of the run in hand: each [`Event::Began`] begins another.
    #[must_use]
    pub fn run(&self) -> u64 {
        self.0.run.load(Ordering::SeqCst)
    }

    /// Whether a run has begun of which the end is not written down yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::SeqCst)
    }

    /// What takes secrets out of texts.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Writes an event down, then shows it. An event that can't be written is shown with a note that says so. Neither the
    /// file nor who is shown it gets a secret, or a character that drives a terminal.
    pub fn record(&self, event: &Event) {
        let event = &clean(event, &self.0.redactor);
        if !event.is_tick()
            && let Err(error) = self.write(event)
        {
            let text = format!("the journal {} can't be written: {error}", self.0.path.display());
            self.0.display.show(&Event::Note { text });
        }
        self.0.display.show(event);
    }

    /// Writes an event down without showing it: for lists that are shown otherwise.
    pub fn keep(&self, event: &Event) {
        if let Err(error) = self.write(&clean(event, &self.0.redactor)) {
            let text = format!("the journal {} can't be written: {error}", self.0.path.display());
            self.0.display.show(&Event::Note { text });
        }
    }

    fn write(&self, event: &Event) -> io::Result<()> {
        let at = Timestamp::from_unix(i64::try_from(now_seconds()).unwrap_or_default());
        if matches!(event, Event::Began { .. }) {
            let next = now_ms().max(self.run() + 1);
            self.0.run.store(next, Ordering::SeqCst);
            self.0.open.store(true, Ordering::SeqCst);
        }
        if matches!(event, Event::Ended { .. }) {
            self.0.open.store(false, Ordering::SeqCst);
        }
        let record = Record { run: self.run(), at, event: event.clone() };
        let line = serde_json::to_string(&record).map_err(io::Error::other)?;
        let line = self.0.redactor.redact(&line) + "\n";
        let mut file = self.0.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        let mut written = self.0.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *written += 1;
        if self.0.kill_at == Some(*written) {
            // For tests that stop a run at each line: as abrupt as a power cut, with nothing tidied up.
            std::process::abort();
        }
        Ok(())
    }
}

/// Members whose values are words of this program's own, not texts.
const WORDS: [&str; 3] = ["event", "outcome", "verdict"];

/// The event without secrets, and without characters that drive a terminal. One that is no event any more without them
/// becomes a note: it is better lost than told.
fn clean(event: &Event, redactor: &Redactor) -> Event {
    if event.is_tick() {
        return event.clone();
    }
    let cleaned = serde_json::to_value(event).and_then(|mut value| {
        clean_value(&mut value, redactor);
        serde_json::from_value(value)
    });
    cleaned.unwrap_or_else(|_| Event::Note { text: "an event could not be told without a secret in it".to_owned() })
}

fn clean_value(value: &mut serde_json::Value, redactor: &Redactor) {
    match value {
        serde_json::Value::String(text) => *text = printable(&redactor.redact(text)),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| clean_value(item, redactor)),
        serde_json::Value::Object(members) => {
            for (_, member) in members.iter_mut().filter(|(name, _)| !WORDS.contains(&name.as_str())) {
                clean_value(member, redactor);
            }
        }
        _ => {}
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or_default()
}

fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// What a journal holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    /// Every line that can be read, in order.
    pub records: Vec<Record>,
    /// The numbers of the lines that can't be read, from 1: damaged, or written by a newer ferry. Any of them may have said
    /// that something failed.
    pub damaged: Vec<usize>,
    /// The numbers of the lines that are the cut end of a run: the program was killed while it wrote. Such a run has no end,
    /// so it is never taken for a good one.
    pub cut: Vec<usize>,
}

impl From<Vec<Record>> for Contents {
    fn from(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }
}

/// Reads a journal.
pub fn read(path: &Path) -> io::Result<Contents> {
    Ok(parse(&std::fs::read(path)?))
}

/// Takes a journal's bytes apart.
#[must_use]
pub fn parse(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    // A line that ends too early, and the run that was under way before it.
    let mut open: Option<(usize, Option<u64>)> = None;
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.is_empty() {
            continue;
        }
        let parsed = serde_json::from_slice::<Record>(line);
        if let Some((cut, before)) = open.take() {
            // After a kill the next thing that is written belongs to another run.
            let another = parsed.as_ref().is_ok_and(|record| Some(record.run) != before);
            if another { contents.cut.push(cut) } else { contents.damaged.push(cut) }
        }
        match parsed {
            Ok(record) => contents.records.push(record),
            Err(error) if error.is_eof() => open = Some((number, contents.records.last().map(|record| record.run))),
            Err(_) => contents.damaged.push(number),
        }
    }
    contents.cut.extend(open.map(|(number, _)| number));
    contents
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Secret;

    struct Count(Mutex<usize>);
    impl Display for Count {
        fn show(&self, _: &Event) {
            *self.0.lock().unwrap() += 1;
        }
    }

    #[test]
    fn lines_are_whole_redacted_and_survive_a_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let display = Arc::new(Count(Mutex::new(0)));
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("hunter2\"x"));
        let open = || Journal::open(&path, display.clone(), redactor.clone()).unwrap();
        open().record(&Event::Note { text: "the password is hunter2\"x".into() });
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"run\":1,\"at\":\"20").unwrap();
        open().record(&Event::Moved { host: "one".into(), bytes: 5 });
        open().record(&Event::Note { text: "after".into() });
        let Contents { records, damaged, cut } = read(&path).unwrap();
        assert_eq!((records.len(), damaged, cut), (2, vec![], vec![2]));
        assert_eq!(records[1].event, Event::Note { text: "after".into() });
        assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
        assert_eq!(*display.0.lock().unwrap(), 3);
    }

    /// Keeps what it is shown.
    struct Keep(Mutex<Vec<Event>>);
    impl Display for Keep {
        fn show(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[test]
    fn who_is_shown_an_event_gets_neither_secrets_nor_control_sequences() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let display = Arc::new(Keep(Mutex::new(Vec::new())));
        let redactor = Redactor::default();
        let journal = Journal::open(&path, display.clone(), redactor.clone()).unwrap();
        for secret in ["hunter2\"x", "changed", "stepEnded"] {
            redactor.learn(&Secret::new(secret));
        }
        let text = "hunter2\"x \u{1b}[2J\u{202e}changed";
        let texts = |text: &str| {
            let text = text.to_owned();
            [
                Event::Command { host: "one".into(), id: 1, script: text.clone(), input: text.clone(), root: true },
                Event::CommandEnded { host: "one".into(), id: 1, status: None, said: text.clone(), ms: 1 },
                Event::StepEnded {
                    step: "a/one".into(),
                    host: "one".into(),
                    outcome: crate::event::Outcome::Changed,
                    why: Some(text.clone()),
                    ms: 1,
                },
                Event::Note { text },
            ]
        };
        for event in &texts(text) {
            journal.record(event);
        }
        let clean = "«secret» \u{fffd}[2J\u{fffd}«secret»";
        assert_eq!(*display.0.lock().unwrap(), texts(clean), "what is shown");
        journal.keep(&texts(text)[3]);
        let records = read(&path).unwrap().records;
        assert_eq!(records.last().unwrap().event, texts(clean)[3], "what is kept");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("hunter2"));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_a_cut_end_is_told_from_damage() {
        let line = |run: u64, text: &str| {
            format!("{{\"run\":{run},\"at\":\"2026-01-01T00:00:00Z\",\"event\":\"note\",\"text\":\"{text}\"}}\n")
        };
        let (one, two) = (line(1, "a"), line(2, "b"));
        let half = &one[..30];
        for (bytes, records, damaged, cut) in [
            (format!("{one}{two}"), 2, vec![], vec![]),
            // Killed while it wrote; the next run goes on behind it, or there is none yet.
            (format!("{one}{half}\n{two}"), 2, vec![], vec![2]),
            (format!("{one}{half}"), 1, vec![], vec![2]),
            // Half a line in the middle of a run is damage: no kill leaves that.
            (format!("{one}{half}\n{one}"), 2, vec![2], vec![]),
            (format!("{half}\n{half}\n{two}"), 1, vec![1], vec![2]),
            // A flipped bit, a kind that is not known, zeros, text.
            (format!("{one}{}{two}", one.replace("\"note\"", "\"nope\"")), 2, vec![2], vec![]),
            (format!("{one}{}{two}", one.replace("\"run\"", "\"rum\"")), 2, vec![2], vec![]),
            (format!("{one}\0\0\0\n{two}"), 2, vec![2], vec![]),
            (format!("{one}<<<<<<< HEAD\n\n{two}"), 2, vec![2], vec![]),
        ] {
            let contents = parse(bytes.as_bytes());
            assert_eq!((contents.records.len(), contents.damaged, contents.cut), (records, damaged, cut), "{bytes}");
        }
        let foreign =
            [one.as_bytes(), b"{\"run\":1,\"at\":\"2026-01-01T00:00:00Z\",\"event\":\"note\",\"text\":\"\xff\"}\n"]
                .concat();
        assert_eq!(parse(&foreign).damaged, [2], "text that is not UTF-8 is not made to fit");
    }

    #[test]
    fn a_run_is_open_until_its_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let display = Arc::new(Count(Mutex::new(0)));
        let journal = Journal::open(&folder.path().join("j"), display, Redactor::default()).unwrap();
        assert!(!journal.is_open());
        let text = String::new;
        let (verb, cluster, site, ferry) = (text(), text(), text(), text());
        journal.keep(&Event::Began {
            verb,
            cluster,
            site,
            bundle: None,
            product: None,
            plan: None,
            ferry,
            only: vec![],
        });
        assert!(journal.is_open());
        journal.keep(&Event::Ended { well: true, changed: 0, already: 0, owed: vec![], summary: text() });
        assert!(!journal.is_open());
    }
}
