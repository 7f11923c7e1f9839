//! Whether the checks that a site's waivers and thresholds name are there, and can be waived or measured.

use ferry_bundle_format::yaml::Problems;

use super::{CHECKS, Severity};
use crate::accept;
use crate::site::file::SiteFile;
use crate::site::{Site, distance};

/// Names in a site file that can't mean what they say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the site's waivers and thresholds can't be used:\n{}", .0.iter().map(|line| format!("  {line}\n")).collect::<String>().trim_end())]
pub struct Unknown(pub Vec<String>);

/// Says every waiver and threshold that names no check, a check without a limit, or one that can't be waived.
pub fn unknown_names(site: &Site) -> Result<(), Unknown> {
    let waivers = site.waivers.iter().filter_map(|waiver| {
        let line = waiver.check.line;
        wrong_waiver(&waiver.check.value).map(|why| format!("line {line}: {why}"))
    });
    let limits = site.thresholds.keys().filter_map(|id| Some(format!("thresholds: {}", wrong_limit(id)?)));
    let wrong: Vec<String> = waivers.chain(limits).collect();
    if wrong.is_empty() { Ok(()) } else { Err(Unknown(wrong)) }
}

/// Likewise, of a site file that is being read.
pub fn say_unknown_names(file: &SiteFile, problems: &mut Problems) {
    for waiver in &file.waivers {
        if let Some(why) = wrong_waiver(&waiver.check.value) {
            problems.add(&waiver.check, why, None);
        }
    }
    for (id, why) in file.thresholds.keys().filter_map(|id| Some((id, wrong_limit(id)?))) {
        problems.add_at(id, format!("thresholds: {why}"), None);
    }
}

fn wrong_waiver(id: &str) -> Option<String> {
    match CHECKS.iter().find(|check| check.id == id) {
        None if is_acceptance(id) => None,
        None => Some(format!("there is no check {id}{}", near(id))),
        Some(check) if check.severity == Severity::Strict => Some(format!("{id} can't be waived: {}", check.fix)),
        Some(_) => None,
    }
}

fn wrong_limit(id: &str) -> Option<String> {
    match CHECKS.iter().find(|check| check.id == id) {
        None if is_acceptance(id) => None,
        None => Some(format!("there is no check {id}{}", near(id))),
        Some(check) if check.limit.is_none() => Some(format!("{id} compares with no number")),
        Some(_) => None,
    }
}

/// Whether it is a check, or a topic of checks, of the running cluster.
fn is_acceptance(id: &str) -> bool {
    accept::CHECKS.iter().any(|check| check.id == id || check.id.split('.').next() == Some(id))
}

/// `; did you mean …?` with up to three ids that are written alike or have the same topic or name.
fn near(id: &str) -> String {
    let (topic, name) = id.split_once('.').unwrap_or((id, id));
    let mut found: Vec<(usize, &str)> = CHECKS
        .iter()
        .map(|check| {
            let same = check.id.split_once('.').is_some_and(|(_, own)| own == name);
            (if same { 1 } else { distance(check.id, id) }, check.id)
        })
        .collect();
    found.sort_unstable();
    let alike: Vec<&str> = found.iter().filter(|(far, _)| *far <= 3).map(|(_, id)| *id).take(3).collect();
    let same_topic =
        || CHECKS.iter().map(|check| check.id).filter(|one| one.split('.').next() == Some(topic)).collect();
    let list: Vec<&str> = if alike.is_empty() { same_topic() } else { alike };
    if list.is_empty() { String::new() } else { format!("; did you mean {}?", list.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::site::{site, site_with};
    use super::*;

    #[test]
    fn misspelt_names_are_told_with_near_ones() {
        assert_eq!(unknown_names(&site()), Ok(()));
        let site = site_with(
            "thresholds: {resources.cpus: 1, kernel.cgroup-v2: 1, zzz: 1, resources.cpu: 1}
waivers:
- {check: time.sorce, reason: r}
- {check: identity.systemd, reason: r}
- {check: time.source, reason: r}
",
        );
        let Unknown(said) = unknown_names(&site).unwrap_err();
        let said = said.join("\n");
        for expected in [
            "there is no check time.sorce; did you mean time.source",
            "identity.systemd can't be waived: ",
            "there is no check resources.cpus; did you mean resources.cpu?",
            "thresholds: kernel.cgroup-v2 compares with no number",
            "there is no check zzz",
        ] {
            assert!(said.contains(expected), "{expected} in {said}");
        }
        assert_eq!(said.lines().count(), 5);
    }
}
