//! Texts for people, and names of users, files and variables on the operator's machine.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::{Invalid, is_printable, text_type};

/// A text for people: one line that can be printed. White space of the file's line breaks becomes one blank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

text_type!(Line, "A text of at most 1000 characters", r"\S");

impl FromStr for Line {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            return Err(Invalid::new(text, "says nothing").hint("write a sentence"));
        }
        if line.chars().count() > 1000 {
            return Err(Invalid::new(text, "is longer than 1000 characters"));
        }
        if !line.chars().all(is_printable) {
            return Err(Invalid::new(text, "has characters that cannot be printed"));
        }
        Ok(Self(line))
    }
}

/// A user's name on a host, of any directory: `ops`, `ops@site.example`, `SITE\ops`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

text_type!(UserName, "The name of a user", r#"^[^\s:/'"`$;&|<>(){}-][^\s:/'"`;&|<>(){}]{0,127}$"#);

impl FromStr for UserName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |c: char| c.is_whitespace() || !is_printable(c) || ":/'\"`;&|<>(){}".contains(c);
        let first = text.chars().next().is_some_and(|c| c != '-' && c != '$');
        if first && text.chars().count() <= 128 && !text.chars().any(refused) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(text, "is no name of a user")
            .hint("such as ops; no blank, no `:` or `/`, at most 128 characters"))
    }
}

/// A file's name on the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileName(String);

text_type!(FileName, "A file, relative to the site file", r"^.{1,4000}$");

impl FromStr for FileName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains("PRIVATE KEY") || text.starts_with("AGE-SECRET-KEY-") {
            // The text is a secret, so it is not shown.
            return Err(Invalid::new("this", "is a key itself, where the name of a file belongs"));
        }
        if !text.trim().is_empty() && text.len() <= 4000 && text.chars().all(is_printable) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(text, "is no name of a file"))
    }
}

/// The id of a check, or a topic of checks: `disk.fsync`, `disk`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckId(String);

text_type!(CheckId, "The id of a check, such as disk.fsync", r"^[a-z0-9][a-z0-9.-]{0,63}$");

impl FromStr for CheckId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if first && text.len() <= 64 && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new(text, "is no id of a check").hint("such as disk.fsync, as `ferry-install check` prints it"))
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvironmentName(String);

text_type!(EnvironmentName, "The name of an environment variable", r"^[A-Za-z_][A-Za-z0-9_]{0,127}$");

impl FromStr for EnvironmentName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if first && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Ok(Self(text.to_owned()));
        }
        // What stands here may be the secret itself, so it is not shown.
        let hint = "the name of the variable, such as FERRY_VAULT; not its value, and no `$` before it";
        Err(Invalid::new("this", "is no name of an environment variable").hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_for_people_are_one_printable_line() {
        assert_eq!("  a\n  b\t c ".parse::<Line>().unwrap().as_str(), "a b c");
        for text in ["", "  ", "\n", "a\u{1b}[2Jb", "a\u{202e}b", "a\0"] {
            assert!(text.parse::<Line>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_users_are_those_of_any_directory() {
        for text in ["root", "ops", "ops@site.example", "SITE\\ops", "svc$", "运维"] {
            assert!(text.parse::<UserName>().is_ok(), "{text}");
        }
        for text in ["", "-oProxyCommand=x", "a b", "a:b", "a\nb", "$(id)", "`id`", "a;b"] {
            assert!(text.parse::<UserName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_shown() {
        let error = "hunter2 geheim".parse::<EnvironmentName>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let error = "AGE-SECRET-KEY-1QQQ".parse::<FileName>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("1QQQ"));
    }
}
