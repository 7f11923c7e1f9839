//! What moved between two locks: added, removed, changed, and the tags that now point elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use super::Lock;
use super::derived;
use crate::digest::Digest;

/// One difference between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// `image`, `chart`, `file`, `component`, `product`.
    pub what: &'static str,
    /// Its name without version.
    pub name: String,
    /// The old version and digest.
    pub old: Option<String>,
    /// The new version and digest.
    pub new: Option<String>,
}

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Only in the new lock.
    Added,
    /// Only in the old lock.
    Removed,
    /// Another version.
    Changed,
    /// The same tag or version, but other content: someone pushed it again.
    Moved,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = (self.old.as_deref().unwrap_or(""), self.new.as_deref().unwrap_or(""));
        let (what, name) = (self.what, &self.name);
        match self.kind {
            ChangeKind::Added => write!(f, "+ {what} {name} {new}"),
            ChangeKind::Removed => write!(f, "- {what} {name} {old}"),
            ChangeKind::Changed => write!(f, "~ {what} {name} {old} → {new}"),
            ChangeKind::Moved => write!(f, "! {what} {name} moved: {old} → {new}"),
        }
    }
}

/// All differences from `old` to `new`, sorted by what and name.
#[must_use]
pub fn diff(old: &Lock, new: &Lock) -> Vec<Change> {
    let mut changes = Vec::new();
    let product = |lock: &Lock| format!("{} ({})", lock.product.version, lock.product.channel);
    if product(old) != product(new) {
        changes.push(Change {
            kind: ChangeKind::Changed,
            what: "product",
            name: new.product.name.to_string(),
            old: Some(product(old)),
            new: Some(product(new)),
        });
    }
    for what in ["component", "image", "chart", "file"] {
        compare(what, &items(old, what), &items(new, what), &mut changes);
    }
    changes
}

/// What is compared: by name, all versions with the digest each points to.
type Items = BTreeMap<String, BTreeMap<String, Option<Digest>>>;

fn items(lock: &Lock, what: &str) -> Items {
    let mut items = Items::new();
    let mut add = |name: String, version: String, digest: Option<Digest>| {
        items.entry(name).or_default().insert(version, digest);
    };
    match what {
        "component" => lock.components.iter().for_each(|c| add(c.name.to_string(), c.version.to_string(), None)),
        "image" => lock.images.iter().for_each(|image| {
            let version = image.name.tag().map_or_else(|| image.name.selector(), str::to_owned);
            add(image.name.name(), version, Some(image.carried().digest));
        }),
        "chart" => lock.charts.iter().for_each(|c| {
            add(
                c.name.to_string(),
                c.version.to_string(),
                Some(c.layers.first().map_or(c.manifest.digest, |l| l.digest)),
            );
        }),
        _ => lock.files.iter().for_each(|file| {
            let (repository, _) = derived::file_name(file);
            let name = repository.trim_start_matches("files/").to_owned();
            let arch = file.arch.map_or(String::new(), |arch| format!(" ({arch})"));
            let version = file.version.as_ref().map_or(String::new(), ToString::to_string);
            add(format!("{name}{arch}"), version, Some(file.digest));
        }),
    }
    items
}

fn compare(what: &'static str, old: &Items, new: &Items, changes: &mut Vec<Change>) {
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let empty = BTreeMap::new();
    for name in names {
        let (before, after) = (old.get(name).unwrap_or(&empty), new.get(name).unwrap_or(&empty));
        let shown = |version: &String, digest: Option<&Option<Digest>>| match digest {
            Some(Some(digest)) => format!("{version} sha256:{}", digest.short()).trim().to_owned(),
            _ => version.clone(),
        };
        let mut push = |kind, old: Option<&String>, new: Option<&String>| {
            changes.push(Change {
                kind,
                what,
                name: name.clone(),
                old: old.map(|v| shown(v, before.get(v))),
                new: new.map(|v| shown(v, after.get(v))),
            });
        };
        for version in before.keys().filter(|v| after.contains_key(*v) && before.get(*v) != after.get(*v)) {
            push(ChangeKind::Moved, Some(version), Some(version));
        }
        let gone: Vec<_> = before.keys().filter(|v| !after.contains_key(*v)).collect();
        let come: Vec<_> = after.keys().filter(|v| !before.contains_key(*v)).collect();
        if let ([one], [other]) = (&gone[..], &come[..]) {
            push(ChangeKind::Changed, Some(one), Some(other));
            continue;
        }
        for version in gone {
            push(ChangeKind::Removed, Some(version), None);
        }
        for version in come {
            push(ChangeKind::Added, None, Some(version));
        }
    }
}
