//! Names that become parts of paths, references and tar members: validated once, then passed as types.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {what}: {rule}")]
pub struct NameError {
    what: &'static str,
    text: String,
    rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $pattern:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps `text`.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { what: $what, text: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $rule })
            }
        }
    };
}

name!(
    /// A lower-case name: products, channels, groups, components. Fits DNS labels, tags and file names.
    Name,
    "name",
    "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$",
    "1 to 63 of [a-z0-9.-], beginning and ending with a letter or digit, without `..`",
    |text| {
        let bytes = text.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        bytes.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && !text.contains("..")
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
    }
);

name!(
    /// A version: what `v1.34.4`, `1.0.0-rc.1+build` or `2026.11` have in common. Never a number.
    Version,
    "version",
    "^[A-Za-z0-9]([A-Za-z0-9.+_-]{0,126})?$",
    "1 to 127 of [A-Za-z0-9.+_-], beginning with a letter or digit, without `..`",
    |text| {
        let bytes = text.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= 127
            && bytes[0].is_ascii_alphanumeric()
            && !text.contains("..")
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'_' | b'-'))
    }
);

name!(
    /// The name of a single file, without any path.
    FileName,
    "file name",
    "^[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}$",
    "1 to 100 of [A-Za-z0-9._+-], beginning with a letter, digit or `_`; no path",
    |text| {
        let bytes = text.as_bytes();
        !bytes.is_empty()
            && bytes.len() <= 100
            && (bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'_' | b'-'))
    }
);

impl Version {
    /// The version as an OCI tag: Helm's rule, `+` becomes `_`.
    #[must_use]
    pub fn as_tag(&self) -> String {
        self.0.replace('+', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_tricks_are_no_names() {
        for bad in
            ["", ".", "..", "a..b", "../a", "a/b", "a\\b", "-a", "a-", ".a", "A", "a b", "a\0", "a\n", "é", "CON/"]
        {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "..", "-rf", "a/b", "a\\b", "C:x", "a\0", "a\u{202e}b"] {
            assert!(FileName::parse(bad).is_err(), "{bad:?}");
            assert!(Version::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Version::parse("1.2.3+k3s1").unwrap().as_tag(), "1.2.3_k3s1");
        assert!(Name::parse("cert-manager").is_ok() && FileName::parse("kube-apiserver_v1.tar.gz").is_ok());
    }

    #[test]
    fn schema_patterns_say_what_the_code_does() {
        let schema = schemars::schema_for!(Name);
        assert!(schema.to_value().to_string().contains("pattern"));
    }
}
