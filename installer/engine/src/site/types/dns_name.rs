//! DNS names (RFC 1123), in lower case.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{Invalid, text_type};

/// A DNS name in lower case: labels of letters, digits and `-`, at most 63 each and 253 in all. No address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DnsName(String);

text_type!(
    DnsName,
    "A DNS name in lower case, such as registry.site.example",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
);

/// Whether `text` is a label of a DNS name, of at most `longest` characters.
pub(crate) fn is_label(text: &str, longest: usize) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty()
        && text.len() <= longest
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is a DNS name; one whose last label is a number is none, since programs take it for an address.
pub(crate) fn is_name(text: &str) -> bool {
    let number = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    text.len() <= 253
        && text.split('.').all(|label| is_label(label, 63))
        && !text.rsplit('.').next().is_some_and(number)
}

impl FromStr for DnsName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if is_name(text) {
            return Ok(Self(text.to_owned()));
        }
        let invalid = Invalid::new(text, "is no DNS name");
        if let Some(rest) = text.strip_prefix("*.").filter(|rest| is_name(rest)) {
            return Err(invalid.hint(format!("leave out `*.`: {rest}")));
        }
        let lower = text.to_lowercase();
        if is_name(&lower) {
            return Err(invalid.hint(format!("write it in lower case: {lower}")));
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(Invalid::new(text, "is an address, not a DNS name"));
        }
        Err(invalid.hint(
            "lower case letters, digits, `-` and `.`; at most 63 between dots, 253 in all; not only digits at the end",
        ))
    }
}

impl DnsName {
    /// A name for files that have been refused and are read on for what else is wrong.
    pub(crate) fn placeholder() -> Self {
        Self("invalid".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_dns() {
        for text in ["a", "registry.demo.local", "1and1.example", "xn--fiqs8s", "a-b.c"] {
            assert_eq!(text.parse::<DnsName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "A.b",
            "a b",
            "a_b",
            "10.0.0.1",
            "a.1",
            "10.77.0.1222",
            "::1",
            "*.a.b",
            "a\nb",
            "a/b",
            "a:b",
            "a{b",
            "区.cn",
            "a;b",
            "$(id)",
            "a\u{202e}b",
        ] {
            assert!(text.parse::<DnsName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(64).parse::<DnsName>().is_err());
        assert!(format!("a{}", ".abc".repeat(70)).parse::<DnsName>().is_err());
    }

    #[test]
    fn what_was_meant_is_suggested() {
        let hint = |text: &str| text.parse::<DnsName>().unwrap_err().hint.unwrap();
        assert_eq!(hint("*.apps.site"), "leave out `*.`: apps.site");
        assert_eq!(hint("Reg.Site"), "write it in lower case: reg.site");
    }
}
