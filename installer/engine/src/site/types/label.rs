//! Keys and values of labels, by the API server's rules (apimachinery, `IsQualifiedName` and `IsValidLabelValue`).

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dns_name::is_label;
use super::text::{Invalid, text_type};

/// A label's key: a name of at most 63 letters, digits and `-_.`, with a DNS name and `/` before it or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelKey(String);

text_type!(
    LabelKey,
    "A key as the API server takes it: at most 63 letters, digits and `-_.`, with a DNS name and `/` before it or not",
    r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
);

/// A label's value: empty, or at most 63 letters, digits and `-_.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabelValue(String);

text_type!(
    LabelValue,
    "A value as the API server takes it: empty, or at most 63 letters, digits and `-_.`",
    r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"
);

fn is_word(text: &str) -> bool {
    let at_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63 && text.chars().all(inner) && at_end(text.chars().next()) && at_end(text.chars().last())
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(|label| is_label(label, 253))
}

impl FromStr for LabelKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
        if prefix.is_none_or(is_subdomain) && is_word(name) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "at most 63 letters, digits and `-_.`, a letter or digit at each end; a DNS name and `/` may stand before it";
        Err(Invalid::new(text, "is no key that the API server takes").hint(hint))
    }
}

impl FromStr for LabelValue {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || is_word(text) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "empty, or at most 63 letters, digits and `-_.`, a letter or digit at each end";
        Err(Invalid::new(text, "is no value that the API server takes").hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_those_of_the_api_server() {
        for text in ["zone", "a", "topology.kubernetes.io/zone", "node-role.kubernetes.io/worker", "A_b.C-d", "0/x"] {
            assert!(text.parse::<LabelKey>().is_ok(), "{text}");
        }
        for text in
            ["", "/x", "x/", "a/b/c", "halle 7", "机架", "-a", "a-", "A.b/x", "a\nb", "a=b", "a:b", "$(id)", "_a/x"]
        {
            assert!(text.parse::<LabelKey>().is_err(), "{text:?}");
        }
        for text in ["", "7", "rack-1", "a_b.c"] {
            assert!(text.parse::<LabelValue>().is_ok(), "{text}");
        }
        for text in ["ja, gern!", "row 3, rack 7", "东", "baz/qux", "-a", "a.", "a\nX", "'", "$(id)", "a,b"] {
            assert!(text.parse::<LabelValue>().is_err(), "{text:?}");
        }
        let long = "x".repeat(64);
        assert!(long.parse::<LabelKey>().is_err() && long.parse::<LabelValue>().is_err());
        assert!(format!("{}/x", "x".repeat(254)).parse::<LabelKey>().is_err());
    }
}
