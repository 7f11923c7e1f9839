//! What happens, as it happens: written to the journal first, shown second. The same stream drives every display.
//!
//! One JSON object a line, tagged `event`. Readers ignore kinds that they do not know.

use serde::{Deserialize, Serialize};

/// How an action or a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It was so already.
    Already,
    /// It was changed, and looked at again afterwards.
    Changed,
    /// It failed.
    Failed,
    /// It was stopped before its end; a rerun goes on.
    Stopped,
    /// Its host could not be reached: owed, and done by a later run.
    Owed,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not as it should be, and waived by name.
    Waived,
    /// Does not apply here, and why.
    Skipped,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A run begins.
    Began {
        /// `apply`, `accept`, …
        verb: String,
        /// The cluster.
        cluster: String,
        /// The digest of the site file.
        site: String,
        /// The bundle's identity.
        bundle: Option<String>,
        /// What product the bundle is, such as `platform 1.34 serial 3`.
        product: Option<String>,
        /// The plan's identity.
        plan: Option<String>,
        /// The version of ferry.
        ferry: String,
        /// The only checks that were asked for, by id or topic. Empty: all of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        only: Vec<String>,
    },
    /// A host's key, as it was seen.
    HostKey {
        /// The host or bastion.
        host: String,
        /// `SHA256:…`.
        fingerprint: String,
    },
    /// A command begins on a host.
    Command {
        /// The host.
        host: String,
        /// Its number in this run.
        id: u64,
        /// The script, redacted.
        script: String,
        /// What stands on its standard input: `nothing`, a digest of shown text, or `«secret»`.
        input: String,
        /// Whether as root.
        root: bool,
    },
    /// A command has ended.
    CommandEnded {
        /// The host.
        host: String,
        /// Its number.
        id: u64,
        /// The status, if it came to one.
        status: Option<i32>,
        /// The last of what it said on standard error, or the failure, redacted.
        said: String,
        /// Milliseconds.
        ms: u64,
    },
    /// How much the run has to do, at most. Only a tick: shown, not kept.
    Work {
        /// Steps.
        steps: usize,
        /// Bytes over the operator's link.
        bytes: u64,
    },
    /// A check of the finished site begins. Only a tick: shown, not kept.
    Checking {
        /// Its id.
        check: String,
    },
    /// A stage begins.
    Stage {
        /// Its name.
        name: String,
        /// Its place, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A step begins.
    Step {
        /// Its id.
        step: String,
        /// Its host.
        host: String,
        /// What it is.
        title: String,
    },
    /// An action of a step has ended.
    Action {
        /// The step.
        step: String,
        /// The action's place in it, from 0.
        action: usize,
        /// What it is.
        title: String,
        /// How it ended.
        outcome: Outcome,
    },
    /// This many more bytes have reached a host. Only a tick: shown, not kept.
    Moved {
        /// The host.
        host: String,
        /// Bytes.
        bytes: u64,
    },
    /// Something failed and is tried again.
    Retry {
        /// The step.
        step: String,
        /// What failed.
        title: String,
        /// Why, redacted.
        why: String,
        /// Which try comes next, from 2.
        attempt: u32,
    },
    /// A step has ended.
    StepEnded {
        /// Its id.
        step: String,
        /// Its host.
        host: String,
        /// How.
        outcome: Outcome,
        /// Why, if it failed, redacted.
        why: Option<String>,
        /// Milliseconds.
        ms: u64,
    },
    /// A check has ended.
    Check {
        /// Its id.
        check: String,
        /// What it checks.
        title: String,
        /// Where: a host, a pair, or empty for the cluster.
        subject: String,
        /// How it ended.
        verdict: Verdict,
        /// What was seen.
        evidence: String,
        /// What to do, if it failed.
        fix: Option<String>,
        /// Milliseconds.
        ms: u64,
    },
    /// The lease on a host was lost: nothing more is begun there.
    LeaseLost {
        /// The host.
        host: String,
        /// How.
        why: String,
        /// Whether the whole run ends for it.
        stopped: bool,
    },
    /// Something to know.
    Note {
        /// The text.
        text: String,
    },
    /// A run has ended.
    Ended {
        /// Whether all went well.
        well: bool,
        /// How many actions changed something.
        changed: usize,
        /// How many were so already.
        already: usize,
        /// Hosts that are owed something.
        owed: Vec<String>,
        /// One line.
        summary: String,
    },
}

impl Event {
    /// Whether it is only a tick, which is shown but not kept.
    #[must_use]
    pub fn is_tick(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::Work { .. } | Self::Checking { .. })
    }
}

/// Shows events.
pub trait Display: Send + Sync {
    /// Shows one.
    fn show(&self, event: &Event);
}
