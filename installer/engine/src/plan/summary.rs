//! What a plan comes to, host by host: counts, bytes, an estimate of the time.

use std::collections::BTreeMap;

use super::Plan;
use crate::action::{Action, Subject};

/// Bytes a second that an operator's link is taken to carry where nothing was measured: 100 Mbit/s.
const LINK: u64 = 12_500_000;

/// What a plan comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Host by host.
    pub hosts: BTreeMap<String, HostSummary>,
    /// Actions that are so already.
    pub already: usize,
    /// Bytes over the operator's link.
    pub bytes: u64,
    /// Seconds, roughly.
    pub seconds: u64,
}

/// What a plan comes to on one host. Only what is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSummary {
    /// Files and parts of files.
    pub files: usize,
    /// Folders.
    pub folders: usize,
    /// Units that are started or restarted.
    pub units: usize,
    /// Kernel settings and modules.
    pub kernel: usize,
    /// Images that are pulled or pushed.
    pub images: usize,
    /// Other commands.
    pub commands: usize,
    /// Bytes over the operator's link.
    pub bytes: u64,
}

/// Adds a plan up.
#[must_use]
pub fn summary(plan: &Plan) -> Summary {
    let mut whole = Summary::default();
    for step in plan.steps() {
        let host = whole.hosts.entry(step.host.clone()).or_default();
        for planned in &step.actions {
            if planned.is_done() {
                whole.already += 1;
                continue;
            }
            match &planned.action {
                Action::File(_) | Action::Block(_) => host.files += 1,
                Action::Folder(_) => host.folders += 1,
                Action::Unit(_) => host.units += 1,
                Action::Push(push) => {
                    host.images += planned.lacking.as_ref().map_or(push.images.len(), |lacking| lacking.images.len());
                }
                Action::Run(run) => match run.about {
                    Subject::Kernel => host.kernel += 1,
                    Subject::Image => host.images += 1,
                    _ => host.commands += 1,
                },
            }
            // Measured on loopback hosts: a small change costs 0.1 s, a unit 1 s, a phase or an image 2 s.
            whole.seconds += match &planned.action {
                Action::Unit(_) => 1,
                Action::Run(run) if matches!(run.about, Subject::Image | Subject::Kubeadm | Subject::Wait) => 2,
                _ => 0,
            };
            host.bytes += planned.bytes();
        }
    }
    whole.bytes = whole.hosts.values().map(|host| host.bytes).sum();
    whole.seconds += whole.bytes / LINK + (whole.hosts.values().map(HostSummary::total).sum::<usize>() as u64) / 10;
    whole
}

impl HostSummary {
    /// How many changes there are.
    #[must_use]
    pub fn total(&self) -> usize {
        self.files + self.folders + self.units + self.kernel + self.images + self.commands
    }
}
