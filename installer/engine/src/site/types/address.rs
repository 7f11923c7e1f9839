//! Where something answers: an IP address or a DNS name. And what can stand in a certificate.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::dns_name::is_name;
use super::text::{Invalid, text_type};

/// An IP address or a DNS name of a host that is not ours to name: in any case, underscores allowed; kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

text_type!(Address, "An IP address or a DNS name", r"^[A-Za-z0-9:._-]{1,253}$");

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        let lower = text.to_ascii_lowercase();
        let valid = is_name(&lower.replace('_', "-")) || {
            // A label may begin or end with an underscore.
            is_name(&lower.replace('_', "x")) && !lower.contains("-.") && !lower.contains(".-")
        };
        if valid {
            return Ok(Self(lower));
        }
        let invalid = Invalid::new(text, "is neither an address nor a DNS name");
        Err(match text.rsplit_once(':') {
            Some((_, port)) if text.matches(':').count() == 1 && port.parse::<u16>().is_ok() => {
                invalid.hint("leave out the port; there is a key of its own for it")
            }
            _ => invalid.hint("such as 10.0.0.11 or node1.site.example"),
        })
    }
}

impl Address {
    /// The address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

/// A name or an address in a server's certificate: an IP address, a DNS name, or one with `*.` before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectName(String);

text_type!(
    SubjectName,
    "An IP address or a DNS name, as they stand in a certificate; `*.` may stand before a name",
    r"^(\*\.)?[a-z0-9:.-]{1,253}$"
);

impl FromStr for SubjectName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        if is_name(text.strip_prefix("*.").unwrap_or(text)) {
            return Ok(Self(text.to_owned()));
        }
        let hint = "in lower case, such as api.site.example or 10.0.0.11; no port";
        Err(Invalid::new(text, "is no name for a certificate").hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_told_from_what_is_neither() {
        for (text, kept) in [
            ("10.0.0.1", "10.0.0.1"),
            ("FE80::0001", "fe80::1"),
            ("Node_1.Site.example", "node_1.site.example"),
            ("_x.site", "_x.site"),
        ] {
            assert_eq!(text.parse::<Address>().map(|one| one.to_string()), Ok(kept.to_owned()));
        }
        for text in
            ["", "10.77.0.1222", "256.0.0.1", "a b", "a:22", "a\nserver b", "a;b", "$(id)", "-oProxyCommand=x", "é"]
        {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        assert!("10.0.0.1".parse::<Address>().unwrap().ip().is_some());
    }

    #[test]
    fn names_of_certificates_are_those_that_kubeadm_takes() {
        for text in ["api.site.example", "*.site.example", "10.0.0.1", "::1", "localhost"] {
            assert!(text.parse::<SubjectName>().is_ok(), "{text}");
        }
        for text in ["", "*", "*.", "a.*.b", "api lager", "a\"\n  - b", "API.x", "10.0.0.1:6443", "10.77.0.1222"] {
            assert!(text.parse::<SubjectName>().is_err(), "{text:?}");
        }
    }
}
