//! Names of network interfaces.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{Invalid, text_type};

/// The name of a network interface: at most 15 letters, digits and `._-`, as the kernel has them less what is only trouble.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interface(String);

text_type!(
    Interface,
    "The name of a network interface, such as ens192 or bond0.100",
    r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$"
);

impl FromStr for Interface {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if first && text.len() <= 15 && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        let invalid = Invalid::new(text, "is no name of an interface");
        Err(match text.split_once('@') {
            Some((name, _)) if name.parse::<Self>().is_ok() => {
                invalid.hint(format!("leave out what follows `@`: {name}"))
            }
            _ => {
                invalid.hint("at most 15 letters, digits and `._-`, such as ens192 or bond0.100; `ip link` shows them")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_plain_words() {
        for text in ["eth0", "bond0.100", "br-lan", "enp0s31f6", "wg_0"] {
            assert!(text.parse::<Interface>().is_ok(), "{text}");
        }
        for text in
            ["", ".", "..", "-x", "a/b", "a b", "eth0:1", "eth0\n  dev x", "eth0|.*", "x\"", "sixteenletters16", "区"]
        {
            assert!(text.parse::<Interface>().is_err(), "{text:?}");
        }
        assert!("eth0.5@eth0".parse::<Interface>().unwrap_err().hint.unwrap().ends_with("eth0.5"));
    }
}
