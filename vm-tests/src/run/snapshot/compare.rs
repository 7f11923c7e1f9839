//! The comparison of two snapshots, and how it is told to people.

use std::collections::BTreeMap;
use std::fmt;

/// The longest value that is told, in characters: manifests and manuals stand in some.
const LONGEST: usize = 200;

/// An entry that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// `part key`.
    pub key: String,
    /// What the first has there, if anything.
    pub first: Option<String>,
    /// What the second has there, if anything.
    pub second: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |text: &String| text.chars().take(LONGEST).collect::<String>();
        match (&self.first, &self.second) {
            (Some(first), Some(second)) => {
                let (first, second) = apart(first, second);
                write!(f, "≠ {}: {} became {}", self.key, short(&first), short(&second))
            }
            (Some(first), None) => write!(f, "- {}: {}", self.key, short(first)),
            (None, Some(second)) => write!(f, "+ {}: {}", self.key, short(second)),
            (None, None) => write!(f, "  {}", self.key),
        }
    }
}

/// Two long texts from shortly before where they differ.
fn apart(first: &str, second: &str) -> (String, String) {
    let same = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).count();
    let skip = if first.chars().count().max(second.chars().count()) > LONGEST { same.saturating_sub(20) } else { 0 };
    (first.chars().skip(skip).collect(), second.chars().skip(skip).collect())
}

/// What differs, one line each, at most `most` of them and then how many more.
#[must_use]
pub fn describe(differences: &[Difference], most: usize) -> String {
    let mut text: String = differences.iter().take(most).map(|one| format!("{one}\n")).collect();
    if differences.len() > most {
        text.push_str(&format!("and {} more\n", differences.len() - most));
    }
    text
}

pub(super) fn differences(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<Difference> {
    let gone_or_other = first.iter().filter(|(key, value)| second.get(*key) != Some(value)).map(|(key, value)| {
        Difference { key: key.clone(), first: Some(value.clone()), second: second.get(key).cloned() }
    });
    let new = second.iter().filter(|(key, _)| !first.contains_key(*key)).map(|(key, value)| Difference {
        key: key.clone(),
        first: None,
        second: Some(value.clone()),
    });
    let mut all: Vec<Difference> = gone_or_other.chain(new).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn differences_are_found_and_told_both_ways() {
        let first = map(&[("file /a", "f 644 1"), ("file /b", "f 600 2"), ("unit x", "enabled")]);
        let second = map(&[("file /a", "f 644 1"), ("file /b", "f 644 2"), ("file /c", "l /a")]);
        let told = describe(&differences(&first, &second), 9);
        assert_eq!(told, "≠ file /b: f 600 2 became f 644 2\n+ file /c: l /a\n- unit x: enabled\n");
        assert!(differences(&first, &first).is_empty());
        assert!(describe(&differences(&first, &second), 1).ends_with("and 2 more\n"));
    }

    #[test]
    fn long_values_are_told_where_they_differ() {
        let (long, other) = ("a".repeat(900) + "x", "a".repeat(900) + "y");
        let told = describe(&differences(&map(&[("k", &long)]), &map(&[("k", &other)])), 1);
        assert!(told.contains("ax became ") && told.contains("ay") && told.len() < 120, "{told}");
    }
}
