//! The plan: everything that will be done to every host, in order, as data.
//!
//! It is built from site, facts, bundle and vault without touching a host, then each action's present state is looked up
//! ([`survey`]). It can be printed, compared, saved, approved and applied; [`drift`] says where the hosts are no longer
//! as they were when it was made. Stages come one after the other; within a stage hosts work in parallel, and each
//! host's steps come in order.

mod batch;
mod build;
mod diff;
mod drift;
mod file;
mod narrow;
mod probe;
mod show;
mod summary;

pub use batch::{Batch, batches, deadline};
pub use build::build;
pub use drift::{Drift, drift};
pub use file::{PlanFileError, load, save};
pub use narrow::narrow;
pub use probe::{look, survey};
pub use show::{Shown, commands, show};
pub use summary::{HostSummary, Summary, summary};

use std::collections::BTreeSet;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{Action, State};

/// The version of the plan's form.
pub const FORMAT: u32 = 1;

/// Everything that will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The version of this form.
    pub format: u32,
    /// The cluster.
    pub cluster: String,
    /// The digest of the site file.
    pub site: Digest,
    /// The bundle's identity.
    pub bundle: Digest,
    /// What the bundle is, for people.
    pub product: String,
    /// When it was made.
    pub created: Timestamp,
    /// The stages, in order.
    pub stages: Vec<Stage>,
}

/// Steps that may run at the same time on different hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Its steps. Those of one host run in this order.
    pub steps: Vec<Step>,
    /// Whether hosts take turns instead of working in parallel.
    #[serde(default)]
    pub serial: bool,
}

/// Actions that belong together on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `stage.name/host`, unique in the plan.
    pub id: String,
    /// The host.
    pub host: String,
    /// What it is.
    pub title: String,
    /// Whether the run can't go on without it if the host is away.
    pub essential: bool,
    /// Its actions, in order.
    pub actions: Vec<Planned>,
}

/// An action, and how it stood when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The action.
    pub action: Action,
    /// How it stood. None before the hosts were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<State>,
    /// The text that a file held, where it will be replaced and can be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What of a push the registry lacked, where something was to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<Lacking>,
}

/// What a registry lacks of what is pushed into it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Images, by digest.
    pub images: BTreeSet<Digest>,
    /// Files, by digest.
    pub files: BTreeSet<Digest>,
    /// The bytes of all blobs that have to be sent.
    pub bytes: u64,
}

impl Step {
    /// A step of `host`. Whether the run can go on without it is a matter of the host: [`crate::step::stages`] says so for all.
    pub fn new(id: &str, host: &str, title: impl Into<String>, actions: Vec<Action>) -> Self {
        let actions = actions.into_iter().map(Planned::new).collect();
        Self { id: format!("{id}/{host}"), host: host.to_owned(), title: title.into(), essential: true, actions }
    }

    /// How many of its actions are to do.
    #[must_use]
    pub fn open(&self) -> usize {
        self.actions.iter().filter(|planned| !planned.is_done()).count()
    }
}

impl Planned {
    /// An action of which nothing is known yet.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self { action, before: None, text: None, lacking: None }
    }

    /// How many bytes will cross the operator's link for it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        if self.is_done() {
            0
        } else {
            self.lacking.as_ref().map_or_else(|| self.action.bytes(), |lacking| lacking.bytes)
        }
    }

    /// Whether nothing was to be done when the plan was made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.before.as_ref().is_some_and(|state| state.satisfied)
    }
}

impl Plan {
    /// The plan's identity: the digest of its form without what was seen on the hosts.
    #[must_use]
    pub fn id(&self) -> Digest {
        let mut bare = self.clone();
        for step in bare.stages.iter_mut().flat_map(|stage| &mut stage.steps) {
            for planned in &mut step.actions {
                planned.before = None;
                planned.text = None;
                planned.lacking = None;
            }
        }
        Digest::of(&serde_json::to_vec(&bare).expect("a plan is plain data, with text for keys"))
    }

    /// Every step, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|stage| &stage.steps)
    }

    /// How many actions are to do.
    #[must_use]
    pub fn open(&self) -> usize {
        self.steps().map(Step::open).sum()
    }
}
