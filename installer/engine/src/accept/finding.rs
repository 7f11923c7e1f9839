//! What a check found, and the sum of a run.

use crate::event::{Event, Verdict};

/// The longest evidence that is kept, in bytes.
const LONGEST: usize = 6 << 10;

/// What a check found about one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A host, a pair of hosts (`a → b`), an address, or empty for the cluster.
    pub subject: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What to do, if it failed.
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn passed(subject: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Passed, evidence, None)
    }

    /// Not as it should be.
    pub(super) fn failed(subject: impl Into<String>, evidence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Failed, evidence, Some(fix.into()))
    }

    /// Does not apply here, and why.
    pub(super) fn skipped(subject: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Skipped, why, None)
    }

    /// Something to know that stands in no way: not measured as well, and not as a fault.
    pub(super) fn noted(subject: impl Into<String>, text: impl AsRef<str>) -> Self {
        Self::skipped(subject, format!("note: {}", text.as_ref()))
    }

    /// Passed or failed.
    pub(super) fn judged(well: bool, subject: impl Into<String>, evidence: impl Into<String>, fix: &str) -> Self {
        if well { Self::passed(subject, evidence) } else { Self::failed(subject, evidence, fix) }
    }

    fn new(subject: impl Into<String>, verdict: Verdict, evidence: impl Into<String>, fix: Option<String>) -> Self {
        Self { subject: subject.into(), verdict, evidence: shortened(evidence.into().trim()), fix }
    }

    /// The hosts that the subject names.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.subject.split(" → ").map(|part| part.split([' ', ':']).next().unwrap_or_default())
    }
}

/// The first and the last of a text that is too long: what began and what it came to.
fn shortened(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let part = |at: usize, down: bool| {
        let mut at = at;
        while !text.is_char_boundary(at) {
            if down { at -= 1 } else { at += 1 }
        }
        at
    };
    let (head, tail) = (part(LONGEST / 2, true), part(text.len() - LONGEST / 2, false));
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

/// The sum of a run of checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// How many are as they should be.
    pub passed: usize,
    /// How many are not.
    pub failed: usize,
    /// How many are not, and waived by name.
    pub waived: usize,
    /// How many do not apply.
    pub skipped: usize,
    /// Whether the run was stopped before all checks were made.
    pub stopped: bool,
    /// The only checks that were asked for. Empty: all.
    pub only: Vec<String>,
    /// Every finding with its check's id, in order.
    pub findings: Vec<(&'static str, Finding)>,
}

impl Verdicts {
    /// Whether the site may be handed over: something was checked, nothing failed, nothing was left out by a stop.
    #[must_use]
    pub fn well(&self) -> bool {
        self.passed > 0 && self.failed == 0 && !self.stopped
    }

    /// One line for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let stopped = if self.stopped { "; stopped before the end" } else { "" };
        let Self { passed, failed, waived, skipped, .. } = self;
        let part =
            if self.only.is_empty() { String::new() } else { format!("; partial: only {}", self.only.join(", ")) };
        format!("{passed} passed, {failed} failed, {waived} waived, {skipped} skipped{stopped}{part}")
    }

    /// The event that ends a run of nothing but checks.
    #[must_use]
    pub fn ended(&self) -> Event {
        let summary = self.summary();
        Event::Ended { well: self.well(), changed: 0, already: 0, owed: Vec::new(), summary }
    }

    pub(super) fn add(&mut self, check: &'static str, finding: Finding) {
        match finding.verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed => self.failed += 1,
            Verdict::Waived => self.waived += 1,
            Verdict::Skipped => self.skipped += 1,
        }
        self.findings.push((check, finding));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_evidence_keeps_both_ends() {
        let text = format!("begin{}end", "ü".repeat(10_000));
        let finding = Finding::passed("a → b:10250", text);
        assert!(finding.evidence.len() < LONGEST + 60);
        assert!(finding.evidence.starts_with("begin") && finding.evidence.ends_with("end"));
        assert_eq!(finding.places().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn nothing_checked_is_not_well() {
        assert!(!Verdicts::default().well());
        let mut verdicts = Verdicts::default();
        verdicts.add("x", Finding::passed("", "y"));
        assert!(verdicts.well());
        verdicts.add("x", Finding::failed("", "n", "f"));
        assert!(!verdicts.well());
        assert_eq!(verdicts.summary(), "1 passed, 1 failed, 0 waived, 0 skipped");
        verdicts.only = vec!["dns".into()];
        assert_eq!(verdicts.summary(), "1 passed, 1 failed, 0 waived, 0 skipped; partial: only dns");
    }
}
