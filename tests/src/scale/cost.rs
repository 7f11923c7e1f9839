//! What driving a site cost: as the engine's own process saw it, and as the hosts counted it.

use serde::{Deserialize, Serialize};

/// What one site cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Hosts.
    pub hosts: usize,
    /// Seconds by phase, in their order.
    pub phases: Vec<(String, f64)>,
    /// The most memory that was ever resident, in bytes (`VmHWM`).
    pub resident: u64,
    /// What was resident before anything was done: the program itself.
    pub resident_before: u64,
    /// Processor seconds of the engine's process.
    pub processor: f64,
    /// Bytes that all hosts received.
    pub received: u64,
    /// Bytes that all hosts sent.
    pub sent: u64,
    /// The least and the most commands that a worker got.
    pub worker_commands: (u64, u64),
    /// The least and the most bytes that a worker's commands read: what was brought to it.
    pub worker_input: (u64, u64),
    /// Bytes that commands of all hosts read.
    pub input: u64,
    /// Bytes of the bundle that the whole plan takes over the operator's link.
    pub content: u64,
    /// Changes that the stage `hosts` made.
    pub changed: usize,
    /// Changes that it made when it was run again.
    pub changed_again: usize,
    /// Preflight findings.
    pub findings: usize,
    /// Of them, what stands in the way.
    pub failures: Vec<String>,
    /// Bytes of the saved plan.
    pub plan: u64,
    /// Bytes of the journal.
    pub journal: u64,
}

impl Cost {
    /// Seconds of all phases.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.phases.iter().map(|(_, seconds)| seconds).sum()
    }
}

/// A value of `/proc/self/status` in bytes, such as `VmHWM`; 0 where there is none.
#[must_use]
pub fn own_memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Seconds of processor time that this process has used.
#[must_use]
pub fn own_processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let ticks: u32 = fields.into_iter().flatten().filter_map(|field| field.parse::<u32>().ok()).sum();
    // Linux counts them in hundredths of a second everywhere (`USER_HZ`).
    f64::from(ticks) / 100.0
}
