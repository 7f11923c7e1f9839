//! What active probing found: data, made by [`super::measure`] and judged by the checks.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::facts::Protocol;
use crate::host::{HostError, HostErrorKind};

/// Everything that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measurements {
    /// What was measured on each host.
    pub hosts: BTreeMap<String, HostMeasurement>,
    /// Connections that were tried.
    pub dialled: Vec<Dialled>,
    /// Hosts on which ferry has built already: they dial others, and are not measured themselves.
    pub built: BTreeSet<String>,
    /// Why nothing was measured, if that is so.
    pub not_measured: Option<String>,
    /// Hosts that did not say what they are like, and why.
    pub silent: BTreeMap<String, Silence>,
}

impl Measurements {
    /// That a host is not measured because ferry has built there already.
    pub(super) fn is_built(&self, name: &str) -> Option<String> {
        self.built.contains(name).then(|| format!("ferry has already built on {name}"))
    }
}

/// Why a host did not say what it is like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Silence {
    /// What went wrong.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// It was reached, and root can't be had there.
    pub reached: bool,
    /// It may simply be away.
    pub away: bool,
}

impl From<&HostError> for Silence {
    fn from(error: &HostError) -> Self {
        let reached = matches!(error.kind, HostErrorKind::Privilege(_));
        Self { why: error.kind.to_string(), hint: error.hint(), reached, away: error.is_absence() }
    }
}

/// What was measured on a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostMeasurement {
    /// Ports that were bound for a moment.
    pub binds: Vec<Bind>,
    /// How fast the disk under etcd's data keeps what is written.
    pub fsync: Option<Fsync>,
    /// What went wrong in measuring.
    pub problems: Vec<String>,
}

/// A port that was bound for a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// Why it can't be had.
    pub error: Option<String>,
}

/// Times of fdatasync after 2,300-byte writes, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fsync {
    /// Half of them are faster.
    pub p50_ms: f64,
    /// 99 of 100 are faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// How many there were.
    pub writes: u64,
}

/// A connection that has to be possible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dial {
    /// The host that dials.
    pub from: String,
    /// The host that listens.
    pub to: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dialled {
    /// What was tried.
    pub dial: Dial,
    /// Bytes of payload each way; 0 for none beside the question.
    pub bytes: u32,
    /// Milliseconds until it was connected or answered; `None` if it failed.
    pub ms: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
}
