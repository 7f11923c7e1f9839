//! What a report says.

use std::collections::BTreeMap;

use ferry_bundle_format::lock::Timestamp;
use serde::Serialize;

use crate::event::{Outcome, Verdict};

/// The version of the JSON form.
pub const FORMAT: u32 = 1;

/// What happened at a site.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The version of this form.
    pub format: u32,
    /// The cluster.
    pub cluster: String,
    /// The digest of the site file in the last run.
    pub site: String,
    /// The bundle's identity in the last run that had one.
    pub bundle: Option<String>,
    /// What the bundle is, for people.
    pub product: Option<String>,
    /// The identity of the last plan that was applied.
    pub plan: Option<String>,
    /// The version of ferry in the last run.
    pub ferry: String,
    /// The time of the first record.
    pub first: Option<Timestamp>,
    /// The time of the last record.
    pub last: Option<Timestamp>,
    /// The keys that hosts have shown, by host. More than one if a host's key has changed.
    pub host_keys: BTreeMap<String, Vec<String>>,
    /// Every run, in order.
    pub runs: Vec<Run>,
    /// Every step, in the order of its first run, as it last ended.
    pub steps: Vec<Step>,
    /// The last checks of each kind of run, in order of time.
    pub checks: Vec<CheckRun>,
    /// Hosts that are owed something after the last run that changes hosts.
    pub owed: Vec<String>,
    /// What was noted, without repetition.
    pub notes: Vec<String>,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Its number.
    pub run: u64,
    /// `apply`, `accept`, …; empty if its beginning was not written down.
    pub verb: String,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended. None if it was cut off.
    pub ended: Option<Timestamp>,
    /// Whether all went well. None if it was cut off.
    pub well: Option<bool>,
    /// How many actions changed something.
    pub changed: usize,
    /// How many were so already.
    pub already: usize,
    /// How many commands ran on hosts.
    pub commands: usize,
    /// One line.
    pub summary: String,
}

/// A step, as it last ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its id.
    pub step: String,
    /// Its host.
    pub host: String,
    /// What it is.
    pub title: String,
    /// The run in which it last ended, or begun.
    pub run: u64,
    /// How it ended. None if it was cut off.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    pub why: Option<String>,
    /// Milliseconds.
    pub ms: u64,
    /// How often something in it was tried again, over all runs.
    pub retries: usize,
}

/// The checks of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckRun {
    /// The run.
    pub run: u64,
    /// Its verb.
    pub verb: String,
    /// When the last of them was made.
    pub at: Timestamp,
    /// How many ended how.
    pub tally: Tally,
    /// The checks, in order.
    pub checks: Vec<Check>,
}

/// How many checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// As they should be.
    pub passed: usize,
    /// Not as they should be.
    pub failed: usize,
    /// Waived by name.
    pub waived: usize,
    /// Do not apply.
    pub skipped: usize,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its id.
    pub check: String,
    /// What it checks.
    pub title: String,
    /// Where.
    pub subject: String,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub fix: Option<String>,
    /// Milliseconds.
    pub ms: u64,
}

impl Tally {
    /// Counts one.
    pub(super) fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed => &mut self.failed,
            Verdict::Waived => &mut self.waived,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
    }
}

impl Report {
    /// The last checks of the finished site, if there were any.
    #[must_use]
    pub fn acceptance(&self) -> Option<&CheckRun> {
        self.checks.iter().rev().find(|run| run.verb == "accept")
    }

    /// Whether the site may be handed over: its last acceptance has come to its end with nothing failed, it is younger than
    /// every change, and nothing is owed.
    #[must_use]
    pub fn deliverable(&self) -> bool {
        let Some(acceptance) = self.acceptance() else { return false };
        let ended = self.runs.iter().find(|run| run.run == acceptance.run).and_then(|run| run.well);
        let changed_since =
            self.runs.iter().any(|run| run.run > acceptance.run && run.verb == "apply" && run.changed > 0);
        let cut = self.runs.iter().any(|run| run.run > acceptance.run && run.verb == "apply" && run.well != Some(true));
        ended == Some(true) && acceptance.tally.failed == 0 && !changed_since && !cut && self.owed.is_empty()
    }
}
