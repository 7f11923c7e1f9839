//! What a check is, and what it is given.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ways::Ways;
use super::{HostMeasurement, Measurements, Silence};
use crate::facts::Facts;
use crate::site::{self, Site};

/// How much a failure weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is installed, and no waiver helps: the result could not work, or data could be lost.
    Strict,
    /// Nothing is installed unless the site waives it, with a reason.
    Fail,
    /// It is said, and the work goes on.
    Warn,
}

/// What a check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each host.
    Host,
    /// Each ordered pair of hosts.
    Pair,
    /// The site as a whole.
    Site,
}

/// A limit that a site may set otherwise, under `thresholds`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// ferry's own.
    pub value: f64,
    /// What it counts.
    pub unit: &'static str,
}

/// A check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its id, `topic.name`. Stands in waivers, thresholds and reports: it stays.
    pub id: &'static str,
    /// What is to be so.
    pub title: &'static str,
    /// How much a failure weighs.
    pub severity: Severity,
    /// The limit, if it compares with one.
    pub limit: Option<Limit>,
    /// What to do about a failure.
    pub fix: &'static str,
    /// How it is found out.
    pub(super) run: Run,
}

/// How a check is found out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    Way(fn(&Way<'_>) -> Seen),
    Host(fn(&OnHost<'_>) -> Seen),
    Pair(fn(&Between<'_>) -> Seen),
    Site(fn(&Whole<'_>) -> Seen),
}

impl Check {
    /// What it looks at.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        match self.run {
            Run::Way(_) | Run::Host(_) => Scope::Host,
            Run::Pair(_) => Scope::Pair,
            Run::Site(_) => Scope::Site,
        }
    }
}

/// What the bundle and the profile ask of the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Kubernetes, major and minor.
    pub kubernetes: (u32, u32),
    /// `amd64`, `arm64`: what the bundle carries programs and images for.
    pub architectures: BTreeSet<String>,
    /// Bytes that the registry's host stores.
    pub registry_bytes: u64,
    /// Bytes of the images that each node unpacks.
    pub image_bytes: u64,
    /// Bytes of the programs that each host gets.
    pub binary_bytes: u64,
    /// When the bundle was made, in seconds since 1970.
    pub made_at: Option<i64>,
}

/// What a check saw.
pub(super) enum Seen {
    /// It is so.
    Good(String),
    /// It is not so. The fix is the check's own unless there is a better one.
    Bad { evidence: String, fix: Option<String> },
    /// It is not so, and the plan cures it.
    Planned { evidence: String, plan: String },
    /// It does not concern this host or site, or could not be found out.
    Skipped(String),
}

impl Seen {
    pub(super) fn good(evidence: impl Into<String>) -> Self {
        Self::Good(evidence.into())
    }
    pub(super) fn bad(evidence: impl Into<String>) -> Self {
        Self::Bad { evidence: evidence.into(), fix: None }
    }
    pub(super) fn bad_fixed_by(evidence: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Bad { evidence: evidence.into(), fix: Some(fix.into()) }
    }
    pub(super) fn planned(evidence: impl Into<String>, plan: impl Into<String>) -> Self {
        Self::Planned { evidence: evidence.into(), plan: plan.into() }
    }
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }
    /// Good if `ok`, else bad, with the same evidence.
    pub(super) fn judge(ok: bool, evidence: impl Into<String>) -> Self {
        if ok { Self::good(evidence) } else { Self::bad(evidence) }
    }
}

/// All that is known.
pub(super) struct Whole<'a> {
    pub(super) check: &'a Check,
    pub(super) site: &'a Site,
    pub(super) facts: &'a BTreeMap<String, Facts>,
    pub(super) measurements: &'a Measurements,
    pub(super) needs: &'a Needs,
    pub(super) ways: &'a Ways<'a>,
}

/// A host, and all that is known.
pub(super) struct OnHost<'a> {
    pub(super) whole: &'a Whole<'a>,
    pub(super) host: &'a site::Host,
    pub(super) facts: &'a Facts,
}

/// A host of the site, whether or not it was reached, and all that is known.
pub(super) struct Way<'a> {
    pub(super) host: &'a site::Host,
    pub(super) facts: Option<&'a Facts>,
    pub(super) silence: Option<&'a Silence>,
}

/// Two hosts (or one and itself), and all that is known.
pub(super) struct Between<'a> {
    pub(super) whole: &'a Whole<'a>,
    pub(super) from: &'a site::Host,
    pub(super) to: &'a site::Host,
}

impl Whole<'_> {
    /// The limit: the site's own, else the check's.
    pub(super) fn limit(&self) -> f64 {
        self.site.threshold(self.check.id, self.check.limit.map_or(0.0, |limit| limit.value))
    }

    /// The hosts whose facts are known.
    pub(super) fn known(&self) -> impl Iterator<Item = (&site::Host, &Facts)> {
        self.site.hosts.iter().filter_map(|host| Some((host, self.facts.get(&host.name)?)))
    }
}

impl OnHost<'_> {
    pub(super) fn site(&self) -> &Site {
        self.whole.site
    }

    pub(super) fn limit(&self) -> f64 {
        self.whole.limit()
    }

    pub(super) fn measured(&self) -> Option<&HostMeasurement> {
        self.whole.measurements.hosts.get(&self.host.name)
    }

    /// Whether ferry has worked on this host before: what is there is its own, and its ledger knows it.
    pub(super) fn is_ours(&self) -> bool {
        self.facts.has_ledger()
    }
}

impl OnHost<'_> {
    /// That a measurement is missing, and why.
    pub(super) fn not_measured(&self) -> Seen {
        let problems = self.measured().map(|measured| measured.problems.join("; ")).filter(|text| !text.is_empty());
        let built = self.whole.measurements.is_built(&self.host.name);
        let why = problems.or(built).or_else(|| self.whole.measurements.not_measured.clone());
        Seen::Skipped(format!("not measured{}", why.map_or_else(String::new, |why| format!(": {why}"))))
    }
}
