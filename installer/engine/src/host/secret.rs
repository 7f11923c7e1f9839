//! Secrets that do not show, and the guard that keeps them out of everything that is written down.

use std::fmt;
use std::sync::{Arc, RwLock};

use zeroize::Zeroizing;

/// What stands where a secret stood.
pub(crate) const REDACTED: &str = "«secret»";

/// A secret text. It shows as `«secret»`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Knows every secret of a run and takes it out of text before the text is stored or shown.
#[derive(Debug, Clone, Default)]
pub struct Redactor(Arc<RwLock<Vec<Secret>>>);

impl Redactor {
    /// Learns a secret. Texts of fewer than 4 characters are not searched for: they would hit innocent text.
    pub fn learn(&self, secret: &Secret) {
        let long = secret.expose().lines().map(str::trim).filter(|line| line.len() >= 4);
        let mut known = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A text with quotes or backslashes looks otherwise inside JSON.
        let escaped = |line: &str| {
            let json = serde_json::to_string(line).unwrap_or_default();
            // The frame alone: a quote at the secret's own end is part of it.
            json.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
        };
        for line in long.flat_map(|line| [line.to_owned(), escaped(line)]) {
            if !known.iter().any(|one| one.expose() == line.as_str()) {
                known.push(Secret::new(line));
            }
        }
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// `text` without any of them.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let known = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Longest first: one secret may be a part of another.
        known.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.expose()) { text.replace(secret.expose(), REDACTED) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show() {
        let secret = Secret::new("hunter2!");
        assert!(!format!("{secret:?} {secret}").contains("hunter2"));
        let redactor = Redactor::default();
        redactor.learn(&secret);
        redactor.learn(&Secret::new("-----BEGIN-----\nMIIabc\nab\n"));
        assert_eq!(redactor.redact("x hunter2! y MIIabc ab"), format!("x {REDACTED} y {REDACTED} ab"));
    }

    #[test]
    fn a_secret_that_ends_with_a_quote_leaves_json_whole() {
        let redactor = Redactor::default();
        redactor.learn(&Secret::new("say \"please\""));
        let line = serde_json::json!({"said": "say \"please\""}).to_string();
        assert_eq!(redactor.redact(&line), format!("{{\"said\":\"{REDACTED}\"}}"));
    }
}
