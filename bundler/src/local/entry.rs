//! Finding an image in a layout's `index.json` by its name. Pure.
//!
//! Tools write names differently: skopeo the tag or whatever it was told, containerd and Docker the complete name
//! beside the tag, ferry the complete name. The most exact match wins: a complete name, then `repository:tag`, then
//! the tag alone, then the only image there if it has no name at all. An entry that carries a complete name answers
//! to no other image's tag. What is stored under another name is asked for by that name.

use std::collections::BTreeSet;

use ferry_bundle_format::Reference;
use ferry_bundle_format::lock::derived::REF_NAME;
use ferry_bundle_format::oci::{Descriptor, media_type};

use crate::artifact;

/// containerd's annotation for the complete name.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// At most so many names are listed in an error.
const LISTED: usize = 20;

/// What a name means in a layout.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// One index or manifest.
    One(&'a Descriptor),
    /// Manifests of different platforms under one name, as containerd understands them.
    Platforms(Vec<&'a Descriptor>),
    /// Several that could be meant.
    Several(Vec<&'a Descriptor>),
    /// None of the name; the only image there has another one.
    Other(&'a Descriptor),
    /// None.
    None,
}

/// The entries that `reference` means, or those that are stored under the name `stored_as`.
pub(super) fn find<'a>(entries: &'a [Descriptor], reference: &Reference, stored_as: Option<&str>) -> Found<'a> {
    if let Some(stored_as) = stored_as {
        let exactly: Vec<_> = entries.iter().filter(|entry| names(entry).any(|name| name == stored_as)).collect();
        let same = |entry: &&Descriptor| names(entry).any(|name| same_name(name, stored_as));
        return decide(if exactly.is_empty() { entries.iter().filter(same).collect() } else { exactly });
    }
    if let Some(digest) = reference.digest() {
        return decide(entries.iter().filter(|entry| entry.digest == *digest).collect());
    }
    let ranked: Vec<_> = entries.iter().filter_map(|entry| Some((rank(entry, reference)?, entry))).collect();
    if let Some(best) = ranked.iter().map(|(rank, _)| *rank).min() {
        return decide(ranked.into_iter().filter(|(rank, _)| *rank == best).map(|(_, entry)| entry).collect());
    }
    let all = decide(entries.iter().collect());
    let unnamed = entries.iter().all(|entry| names(entry).next().is_none());
    match all {
        Found::One(_) | Found::Platforms(_) if unnamed => all,
        Found::One(entry) => Found::Other(entry),
        _ => Found::None,
    }
}

/// Whether two names are one: letter for letter, or as references.
pub(super) fn same_name(name: &str, other: &str) -> bool {
    let reference = |text: &str| Reference::parse(text).ok();
    name == other || (reference(name).is_some() && reference(name) == reference(other))
}

/// The entries as an error lists them.
pub(super) fn listed<'a>(entries: impl IntoIterator<Item = &'a Descriptor>) -> String {
    let names = |entry: &Descriptor| {
        let names: BTreeSet<_> = names(entry).map(shown).collect();
        let what =
            if names.is_empty() { "unnamed".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(" or ") };
        let platform = entry.platform.as_ref().map(|platform| format!(", {}", shown(&platform.to_string())));
        format!("{what} ({}{})", entry.digest.short(), platform.unwrap_or_default())
    };
    let mut lines: Vec<_> = entries.into_iter().map(names).collect();
    if lines.len() > LISTED {
        let more = lines.len() - LISTED;
        lines.truncate(LISTED);
        lines.push(format!("and {more} more"));
    }
    if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
}

/// A foreign text as it may be shown.
pub(super) fn shown(text: &str) -> String {
    super::name::printable(text.as_bytes())
}

/// How exactly an entry answers to a name; less is better.
fn rank(entry: &Descriptor, reference: &Reference) -> Option<u8> {
    let (complete, full) =
        (|name: &str| Reference::parse(name).is_ok_and(|name| &name == reference), reference.to_string());
    if names(entry).any(|name| name == full) {
        return Some(0);
    }
    if names(entry).any(complete) {
        return Some(1);
    }
    if entry.annotations.contains_key(CONTAINERD_NAME) {
        return None;
    }
    let tag = reference.tag()?;
    let short = |name: &str| name.rsplit_once(':') == Some((reference.repository(), tag));
    if names(entry).any(short) {
        return Some(2);
    }
    names(entry).any(|name| name == tag).then_some(3)
}

fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    [CONTAINERD_NAME, REF_NAME].into_iter().filter_map(|key| entry.annotations.get(key)).map(String::as_str)
}

fn decide(mut entries: Vec<&Descriptor>) -> Found<'_> {
    let mut seen = BTreeSet::new();
    entries.retain(|entry| seen.insert(entry.digest));
    if entries.iter().any(|entry| artifact::of_entry(entry).is_none()) {
        entries.retain(|entry| artifact::of_entry(entry).is_none());
    }
    let platforms: BTreeSet<_> = entries.iter().filter_map(|entry| entry.platform.as_ref()).collect();
    let is_manifest = |entry: &&Descriptor| {
        [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST].contains(&entry.media_type.as_str())
    };
    match entries.as_slice() {
        [] => Found::None,
        [one] => Found::One(one),
        several if platforms.len() == several.len() && several.iter().all(is_manifest) => Found::Platforms(entries),
        _ => Found::Several(entries),
    }
}

#[cfg(test)]
mod tests {
    use ferry_bundle_format::{Arch, Platform};

    use super::*;

    fn entry(content: &str, names: &[(&str, &str)]) -> Descriptor {
        let annotations = names.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
        Descriptor { annotations, ..Descriptor::of(media_type::OCI_INDEX, content.as_bytes()) }
    }

    fn is_one(entries: &[Descriptor], reference: &str, number: usize) {
        let found = find(entries, &Reference::parse(reference).unwrap(), None);
        assert_eq!(found, Found::One(&entries[number]), "{reference}");
    }

    #[test]
    fn the_most_exact_name_wins() {
        let entries = [
            entry("a", &[(REF_NAME, "1.27")]),
            entry("b", &[(REF_NAME, "library/nginx:1.27")]),
            entry("c", &[(REF_NAME, "1.27"), (CONTAINERD_NAME, "docker.io/library/nginx:1.27")]),
            entry("d", &[(REF_NAME, "team/app:1")]),
            entry("e", &[]),
        ];
        is_one(&entries, "nginx:1.27", 2);
        is_one(&entries[..2], "nginx:1.27", 1);
        is_one(&entries[..1], "nginx:1.27", 0);
        is_one(&entries, "registry.example/team/app:1", 3);
        is_one(&entries[4..], "anything:1", 0);
        is_one(&entries, &format!("anything:1@{}", entries[4].digest), 4);
        let anything = Reference::parse("anything:1").unwrap();
        assert_eq!(find(&entries, &anything, None), Found::None);
        // The only image there is taken for another one only if it is asked for by its own name.
        for (entry, own) in
            entries[..4].iter().zip(["1.27", "nginx:1.27", "docker.io/library/nginx:1.27", "team/app:1"])
        {
            let alone = std::slice::from_ref(entry);
            assert_eq!(find(alone, &anything, None), Found::Other(entry), "{own}");
            assert_eq!(find(alone, &anything, Some("2")), Found::None, "{own}");
            let found = find(alone, &anything, Some(own));
            assert_eq!(found, Found::One(entry), "{own}");
        }
        assert_eq!(find(&entries, &anything, Some("docker.io/library/nginx:1.27")), Found::One(&entries[2]));
        // A complete name of another image does not lend its tag.
        let other = [entries[2].clone(), entries[3].clone()];
        assert_eq!(find(&other, &Reference::parse("redis:1.27").unwrap(), None), Found::None);
    }

    #[test]
    fn several_are_a_choice_of_platforms_or_ambiguous() {
        let named = |content, arch: Arch| Descriptor {
            platform: Some(Platform::linux(arch)),
            media_type: media_type::OCI_MANIFEST.to_owned(),
            ..entry(content, &[(REF_NAME, "1")])
        };
        let platforms = [named("a", Arch::Amd64), named("b", Arch::Arm64)];
        let one = Reference::parse("app:1").unwrap();
        assert!(matches!(find(&platforms, &one, None), Found::Platforms(list) if list.len() == 2));
        let same = [named("a", Arch::Amd64), named("b", Arch::Amd64)];
        assert!(matches!(find(&same, &one, None), Found::Several(_)));
        let again = [named("a", Arch::Amd64), named("a", Arch::Amd64)];
        assert!(matches!(find(&again, &one, None), Found::One(_)));
        assert!(listed(&same).contains("1 (") && listed(&same).contains("linux/amd64"));
        assert_eq!(listed(&[]), "nothing");
        let hostile = [entry("a", &[(REF_NAME, "a\u{1b}[2J\u{202e}")])];
        assert!(!listed(&hostile).contains(['\u{1b}', '\u{202e}']));
    }
}
