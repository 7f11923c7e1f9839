//! What all types of text have in common: how they are read, shown and described.

use std::fmt::Write as _;

/// Why a text is not what it should be. It shows the text with control characters made visible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} {why}", shown(.text))]
pub struct Invalid {
    /// The text as it stands in the file.
    pub text: String,
    /// What is wrong, as the end of a sentence that begins with the text.
    pub why: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Invalid {
    /// `text` is wrong: `why`.
    pub(crate) fn new(text: &str, why: impl Into<String>) -> Self {
        Self { text: text.to_owned(), why: why.into(), hint: None }
    }

    /// With what to write instead.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `text` in quotes, short, and without characters that a terminal would obey.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::from("\"");
    for (n, one) in text.chars().enumerate() {
        if n == 60 {
            out.push('…');
            break;
        }
        if is_printable(one) {
            out.push(one);
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(one));
        }
    }
    out.push('"');
    out
}

/// Whether a character shows as itself: no control character, none that turns the direction of a line or has no width.
pub(crate) fn is_printable(one: char) -> bool {
    !(one.is_control()
        || matches!(one, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(one, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'))
}

/// Gives a newtype of `String` that has `FromStr` everything else that a type of the site file needs. `$pattern` is the rule
/// for editors; the parser is the rule itself.
macro_rules! text_type {
    ($name:ident, $description:literal, $pattern:literal) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = super::text::Invalid;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string", "description": $description, "pattern": $pattern})
            }
        }
    };
}

pub(crate) use text_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_made_visible() {
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}b"), "\"a\\u{1b}[31m\\u{a}\\u{202e}b\"");
        assert!(shown(&"x".repeat(500)).chars().count() < 70);
        assert!(is_printable('区') && is_printable('é') && !is_printable('\u{200b}') && !is_printable('\u{9b}'));
    }
}
