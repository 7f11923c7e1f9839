//! The names that content gets in a registry, whatever its kind, and where two of them meet.
//!
//! ```text
//!  image example.com/charts/app:1.0.0 ─► charts/app:1.0.0 ┐
//!                                                         ├─► one tag, two contents: a clash
//!  chart app 1.0.0 ────────────────────► charts/app:1.0.0 ┘
//! ```
//! Looked at when a manifest is locked and a lock is packed (what no naming can help is refused there), before a push
//! (what this push's naming does not help is refused), and by `serve`, which leaves the short name out.

use std::collections::BTreeMap;
use std::fmt;

use ferry_bundle_format::lock::{Lock, LockedFile, derived};
use ferry_bundle_format::{Digest, Reference};

/// A repository name for an image: registry and path, `:` replaced.
#[must_use]
pub fn full_repository(reference: &Reference) -> String {
    format!("{}/{}", reference.registry().replace(':', "-").to_ascii_lowercase(), reference.repository())
}

/// The repository of an image: its path, with its registry before it where full names are wanted.
#[must_use]
pub fn image_repository(reference: &Reference, full_names: bool) -> String {
    if full_names { full_repository(reference) } else { reference.repository().to_owned() }
}

/// Two contents that would get one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What it is, as the manifest names it.
    pub first: String,
    /// The other.
    pub second: String,
    /// Whether the two have names of their own once images keep their origin registry.
    pub full_names_help: bool,
}

/// Every clash of a lock or of a push; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clashes(pub Vec<Clash>);

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} would be both {} and {}", self.repository, self.tag, self.first, self.second)
    }
}

impl fmt::Display for Clashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [one] => one.fmt(f),
            all => {
                write!(f, "{} names would each be two things:", all.len())?;
                all.iter().try_for_each(|clash| write!(f, "\n  {clash}"))
            }
        }
    }
}

impl std::error::Error for Clashes {}

impl Clashes {
    /// What to do about them.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        if self.0.iter().all(|clash| clash.full_names_help) {
            "--full-names keeps the origin registry as part of each image's name; or rename one of the two"
        } else {
            "a tag leads to one content: give one of the two another tag, version or file name in the manifest, or leave it out"
        }
    }
}

/// Where two contents of `lock` get one name: all of them, in the order of the names.
#[must_use]
pub fn clashes(lock: &Lock, full_names: bool) -> Vec<Clash> {
    let mut names: BTreeMap<(String, String), (Digest, String, Option<String>)> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (repository, tag, digest, what, full) in placed(lock, full_names) {
        let key = (repository, tag);
        match names.get(&key) {
            Some((known, ..)) if *known == digest => {}
            Some((_, first, first_full)) => {
                let clash = Clash {
                    repository: key.0.clone(),
                    tag: key.1.clone(),
                    first: first.clone(),
                    second: what,
                    full_names_help: *first_full != full,
                };
                found.entry(key).or_insert(clash);
            }
            None => drop(names.insert(key, (digest, what, full))),
        }
    }
    found.into_values().collect()
}

/// Refuses a lock in which two contents have one name under every naming.
pub fn check(lock: &Lock) -> Result<(), Clashes> {
    let hopeless: Vec<_> = clashes(lock, false)
        .into_iter()
        .filter(|clash| !clash.full_names_help)
        .chain(clashes(lock, true))
        .fold(Vec::new(), |mut all: Vec<Clash>, clash| {
            // The same two are found with and without the registry in their name.
            if !all.iter().any(|known| known.first == clash.first && known.second == clash.second) {
                all.push(clash);
            }
            all
        });
    if hopeless.is_empty() { Ok(()) } else { Err(Clashes(hopeless)) }
}

/// One line for each name that only `--full-names` keeps apart.
#[must_use]
pub fn notes(lock: &Lock) -> Vec<String> {
    let only_full = clashes(lock, false).into_iter().filter(|clash| clash.full_names_help);
    only_full
        .map(|clash| format!("{clash}: `push` will need --full-names, and `serve` has images of that name under their full names only"))
        .collect()
}

type PlacedName = (String, String, Digest, String, Option<String>);

/// Repository, tag, digest and description of everything that gets a tag; for images, also their full repository.
fn placed(lock: &Lock, full_names: bool) -> Vec<PlacedName> {
    let images = lock.images.iter().filter_map(|image| {
        let tag = image.name.tag()?.to_owned();
        let full = full_repository(&image.name);
        let digest = image.carried().digest;
        Some((image_repository(&image.name, full_names), tag, digest, format!("image {}", image.name), Some(full)))
    });
    let charts = lock.charts.iter().map(|chart| {
        let (repository, tag) = derived::chart_name(chart);
        let what = format!("chart {} {}", chart.name, chart.version);
        (repository, tag, chart.manifest.digest, what, None)
    });
    let files = lock.files.iter().map(|file| {
        let (repository, tag) = derived::file_name(file);
        (repository, tag, Digest::of(&derived::file_manifest(file)), described(file), None)
    });
    images.chain(charts).chain(files).collect()
}

fn described(file: &LockedFile) -> String {
    let mut text = format!("file {}", file.name);
    for part in [file.version.as_ref().map(ToString::to_string), file.arch.map(|arch| arch.to_string())] {
        text.extend(part.into_iter().flat_map(|part| [" ".to_owned(), part]));
    }
    if let Some(chart) = &file.chart {
        text.extend([" of chart ", chart.as_str()]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_bundle_format::fake::Fake;
    use ferry_bundle_format::name::FileName;

    /// A lock with one chart, one file and images of these names; each has content of its own.
    fn lock(images: &[&str]) -> Lock {
        let mut lock = Fake::new(1, 50).lock;
        let image = lock.images[0].clone();
        lock.images = images
            .iter()
            .enumerate()
            .map(|(n, name)| {
                let mut image = image.clone();
                image.name = Reference::parse(name).unwrap();
                image.narrowed = None;
                image.target.digest = Digest::of(n.to_string().as_bytes());
                image
            })
            .collect();
        lock
    }

    fn both(lock: &Lock) -> [usize; 2] {
        [false, true].map(|full| clashes(lock, full).len())
    }

    #[test]
    fn a_name_is_one_thing_whatever_the_kinds() {
        let chart = Fake::new(1, 50).lock.charts[0].clone();
        let chart = format!("{}/charts/{}:{}", "example.com", chart.name, chart.version.as_tag());
        let file = Fake::new(1, 50).lock.files[0].clone();
        let (repository, tag) = derived::file_name(&file);
        let file = format!("example.com/{repository}:{tag}");
        for (images, expected, refused) in [
            (&["one.example/a/b:1", "two.example/a/b:1"][..], [1, 0], false),
            (&["one.example/a/b:1", "two.example/a/b:2"], [0, 0], false),
            (&[&chart], [1, 0], false),
            (&[&file], [1, 0], false),
            (&[&chart, &file], [2, 0], false),
            (&["example.com/charts/other:1", "example.com/files/other:1"], [0, 0], false),
            (&["one.example:5000/a:1", "one.example-5000/a:1"], [1, 1], true),
        ] {
            let lock = lock(images);
            assert_eq!(both(&lock), expected, "{images:?}");
            assert_eq!(check(&lock).is_err(), refused, "{images:?}");
        }
    }

    #[test]
    fn one_tag_with_two_digests_is_refused_and_full_names_are_not_advised() {
        let names: Vec<_> = [b"a", b"b"].map(|b| format!("example.com/team/app:1@{}", Digest::of(b))).into();
        let lock = lock(&[&names[0], &names[1]]);
        let refused = check(&lock).unwrap_err();
        assert_eq!(refused.0.len(), 1, "{refused}");
        assert!(refused.to_string().contains(&names[0]) && refused.to_string().contains(&names[1]), "{refused}");
        assert!(refused.hint().contains("another tag") && !refused.hint().contains("--full-names"));
        let mut same = lock;
        same.images[1].target.digest = same.images[0].target.digest;
        assert_eq!(both(&same), [0, 0], "the same content twice is no clash");
    }

    #[test]
    fn names_that_differ_only_before_they_are_written_as_a_repository_meet() {
        let mut lock = lock(&[]);
        let mut twin = lock.files[0].clone();
        lock.files[0].name = FileName::parse("a_b").unwrap();
        twin.name = FileName::parse("a-b").unwrap();
        lock.files.push(twin);
        let text = check(&lock).unwrap_err().to_string();
        assert!(text.contains("file a_b") && text.contains("file a-b"), "{text}");
    }
}
