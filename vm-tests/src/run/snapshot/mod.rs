//! What a host is like, as text that two hosts, or one host at two times, can be compared by.
//!
//! ```text
//! take    scripts on the host's console ─► lines `part key` = value        rules   what is left out of it or made alike,
//! objects the cluster's objects, field by field                                    and why: one table for everybody
//! compare two of them ─► what differs, for people
//! ```
//! Two installs of one site with one vault are alike in it; so is a host before an install and after its uninstall, but for
//! a list of what may stay ([`Snapshot::without`]). It asks nothing of ferry.

mod compare;
mod objects;
mod rules;
mod take;

use std::collections::BTreeMap;

use ferry_bundle_format::Digest;

pub use compare::{Difference, describe};
pub use rules::{fits, rules};

/// A host, normalized: `part key` to value, such as `file /etc/hosts` to `f 644 root:root sha256…`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// All of it as text: one line an entry, tab between key and value, in order.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect()
    }

    /// The snapshot of this text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let entry = |line: &str| line.split_once('\t').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self(text.lines().filter_map(entry).collect())
    }

    /// SHA-256 of the text: equal for hosts that are alike.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Without the entries whose key fits one of these patterns (`*` stands for any text).
    #[must_use]
    pub fn without(&self, allowance: &[&str]) -> Self {
        let kept = self.0.iter().filter(|(key, _)| !allowance.iter().any(|pattern| fits(pattern, key)));
        Self(kept.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    /// What is different in `other`, in the order of the keys.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        compare::differences(&self.0, &other.0)
    }
}
