//! Texts of the site file, judged by their types: the schema names the type, the type's parser is the rule.

use std::net::IpAddr;

use super::super::types::{
    AbsolutePath, Address, CheckId, DataDir, DnsName, EnvironmentName, FileName, Interface, Invalid, LabelKey,
    LabelValue, Line, SshFingerprint, SubjectName, Taint, UserName,
};
use super::super::{Cidr, CidrError};

/// Judges a text.
pub(super) type Rule = fn(&str) -> Result<(), Invalid>;

macro_rules! rules {
    ($($name:ident),*) => {
        [$((stringify!($name), (|text: &str| text.parse::<$name>().map(drop)) as Rule)),*]
    };
}

/// By the name that the type has in the schema.
const RULES: [(&str, Rule); 16] = rules![
    CheckId,
    AbsolutePath,
    Address,
    DataDir,
    DnsName,
    EnvironmentName,
    FileName,
    Interface,
    LabelKey,
    LabelValue,
    Line,
    SshFingerprint,
    SubjectName,
    Taint,
    UserName,
    Range
];

/// A [`Cidr`], whose error has a form of its own.
struct Range;

impl std::str::FromStr for Range {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.parse::<Cidr>() {
            Ok(_) => Ok(Self),
            Err(CidrError::Shape(_)) => {
                Err(Invalid::new(text, "is no address range").hint("an address and its prefix, such as 10.244.0.0/16"))
            }
            Err(CidrError::HostBits { meant, .. }) => {
                Err(Invalid::new(text, "has bits set after its prefix").hint(format!("did you mean {meant}?")))
            }
        }
    }
}

/// The rule for texts of this type of the schema.
pub(super) fn rule(name: &str) -> Option<Rule> {
    let name = if name == "Cidr" { "Range" } else { name };
    RULES.iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule)
}

/// The rule for the keys of the mapping that stands under this key.
pub(super) fn rule_of_keys(key: &str) -> Option<Rule> {
    match key {
        "labels" => rule("LabelKey"),
        "thresholds" => rule("CheckId"),
        "names" | "wildcards" => rule("DnsName"),
        _ => None,
    }
}

/// An IP address.
pub(super) fn address(text: &str) -> Result<(), Invalid> {
    let refused = |_| Invalid::new(text, "is no IP address").hint("such as 10.0.0.11; no port, no prefix");
    text.parse::<IpAddr>().map(drop).map_err(refused)
}
