//! What the checks found, and whether the work may begin.

use serde::{Deserialize, Serialize};

use super::Severity;

/// One check on one host, pair of hosts, or the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's id.
    pub check: String,
    /// What is to be so.
    pub title: String,
    /// How much a failure weighs.
    pub severity: Severity,
    /// The host; nothing for the site as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The other host of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// How it came out.
    pub outcome: Outcome,
}

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "camelCase")]
pub enum Outcome {
    /// It is so.
    Passed {
        /// What was seen.
        evidence: String,
    },
    /// It is not so.
    Failed {
        /// What was seen.
        evidence: String,
        /// What to do about it.
        fix: String,
    },
    /// It is not so yet; the plan sees to it.
    Planned {
        /// What was seen.
        evidence: String,
        /// What ferry will do.
        plan: String,
    },
    /// It does not concern this host, or could not be found out.
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// It is not so, and the site says why that may be.
    Waived {
        /// What was seen.
        evidence: String,
        /// The site's reason.
        reason: String,
    },
}

/// Everything that was found, in the order of the registry and of the site's hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// The version of this document; 1.
    pub version: u32,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// Whether the work may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Nothing stands in the way.
    Ready,
    /// Only things that a site may waive stand in the way.
    Waivable,
    /// Something stands in the way that has to be cured.
    Blocked,
}

/// How many findings of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed checks that nothing waives.
    pub strict: usize,
    /// Failed checks that could be waived.
    pub failed: usize,
    /// Failed checks that only warn.
    pub warned: usize,
    /// Cured by the plan.
    pub planned: usize,
    /// Waived.
    pub waived: usize,
    /// Not applicable or not measured.
    pub not_applicable: usize,
}

impl Findings {
    /// Whether the work may begin.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let counts = self.counts();
        match (counts.strict, counts.failed) {
            (0, 0) => Verdict::Ready,
            (0, _) => Verdict::Waivable,
            _ => Verdict::Blocked,
        }
    }

    /// How many of each kind there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for finding in &self.findings {
            *match (&finding.outcome, finding.severity) {
                (Outcome::Passed { .. }, _) => &mut counts.passed,
                (Outcome::Failed { .. }, Severity::Strict) => &mut counts.strict,
                (Outcome::Failed { .. }, Severity::Fail) => &mut counts.failed,
                (Outcome::Failed { .. }, Severity::Warn) => &mut counts.warned,
                (Outcome::Planned { .. }, _) => &mut counts.planned,
                (Outcome::Waived { .. }, _) => &mut counts.waived,
                (Outcome::NotApplicable { .. }, _) => &mut counts.not_applicable,
            } += 1;
        }
        counts
    }

    /// The findings that failed, strict ones first.
    #[must_use]
    pub fn failures(&self) -> Vec<&Finding> {
        let failed = self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Failed { .. }));
        let mut failed: Vec<&Finding> = failed.collect();
        failed.sort_by_key(|finding| finding.severity);
        failed
    }
}
