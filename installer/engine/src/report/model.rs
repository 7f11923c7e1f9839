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
    /// How many lines of the journal can't be read: each may have said that something failed.
    pub damaged_lines: usize,
    /// How many lines are the cut end of a run that was killed.
    pub cut_lines: usize,
    /// Every run, in order.
    pub runs: Vec<Run>,
    /// Every step, in the order of its first run, as it last ended.
    pub steps: Vec<Step>,
    /// The last checks of each kind of run, in order of time: of whole runs, and of younger ones that were asked for a part.
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
    /// The only checks that were asked for. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
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
    /// How many steps were begun.
    pub steps: usize,
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
    /// The only checks that were asked for. Empty: all, so that this is a whole run.
    pub only: Vec<String>,
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

/// Runs after which the hosts are as they were before.
const LOOKING: [&str; 5] = ["accept", "backup", "check", "look", "plan"];

impl Run {
    /// Whether hosts may be other than before because of it. A verb that is not known here counts as one that changes them.
    #[must_use]
    pub fn changes_hosts(&self) -> bool {
        !LOOKING.contains(&self.verb.as_str())
    }

    /// Why an acceptance from before this run holds no longer, if that is so.
    fn unsettles(&self) -> Option<String> {
        let at = self.began.map(|at| format!(" of {at}")).unwrap_or_default();
        match self.verb.as_str() {
            "apply" if self.well == Some(true) && self.changed == 0 => None,
            "apply" if self.well == Some(true) => Some(format!("`apply`{at} has changed the site since")),
            "apply" => Some(format!("`apply`{at} did not end well")),
            "" => Some("a run of which the beginning is not in the journal came after it".to_owned()),
            verb if self.changes_hosts() => Some(format!("`{verb}`{at} came after it")),
            _ => None,
        }
    }
}

impl CheckRun {
    /// Whether only some of the checks were asked for.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        !self.only.is_empty()
    }
}

impl Report {
    /// The last checks of the whole finished site, if there were any.
    #[must_use]
    pub fn acceptance(&self) -> Option<&CheckRun> {
        self.checks.iter().rev().find(|run| run.verb == "accept" && !run.is_partial())
    }

    /// The last checks of a part of the finished site, if they are younger than those of the whole.
    #[must_use]
    pub fn partial_acceptance(&self) -> Option<&CheckRun> {
        self.checks.iter().rev().find(|run| run.verb == "accept" && run.is_partial())
    }

    /// Whether the site may be handed over: see [`Report::hindrances`].
    #[must_use]
    pub fn deliverable(&self) -> bool {
        self.hindrances().is_empty()
    }

    /// Everything because of which the site may not be handed over. None: its last whole acceptance has come to its end with
    /// nothing failed, nothing has changed the hosts since, nothing is pending, and all of the journal could be read.
    #[must_use]
    pub fn hindrances(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.damaged_lines > 0 {
            all.push(format!("{} lines of the journal can't be read", self.damaged_lines));
        }
        let partial = self.partial_acceptance();
        let Some(acceptance) = self.acceptance() else {
            all.push(match partial {
                Some(partial) => format!("only a part was checked: {}", partial.only.join(", ")),
                None => "no acceptance was made".to_owned(),
            });
            return all;
        };
        // By their place, not by their numbers: the operator's clock may have been put back.
        let place = self.runs.iter().position(|run| run.run == acceptance.run).unwrap_or_default();
        match self.runs.get(place).and_then(|run| run.well) {
            _ if acceptance.tally.failed > 0 => all.push(format!("{} checks failed", acceptance.tally.failed)),
            Some(true) => {}
            Some(false) => all.push("the acceptance did not end well".to_owned()),
            None => all.push("the acceptance was cut off".to_owned()),
        }
        all.extend(self.runs.iter().skip(place + 1).filter_map(Run::unsettles));
        if let Some(partial) = partial.filter(|partial| partial.tally.failed > 0) {
            all.push(format!("{} checks failed since, of a part: {}", partial.tally.failed, partial.only.join(", ")));
        }
        if !self.owed.is_empty() {
            all.push(format!("not reached, and still to be done: {}", self.owed.join(", ")));
        }
        all
    }
}
