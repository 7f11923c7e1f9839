//! Where secrets may stand by mistake. What is found there is never printed, nor is its line.

use std::collections::BTreeSet;

/// The types of the schema in whose place people write the secret itself.
const TYPES: [&str; 6] = ["SecretRef", "Vault", "Auth", "Privilege", "KeyFile", "AgeRef"];

/// Whether a value of this type of the schema may be a secret where it has the wrong shape.
pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// The lines in which a word stands that goes with secrets.
pub(super) fn lines(text: &str) -> BTreeSet<u64> {
    text.lines().zip(1..).filter(|(line, _)| is_word(line)).map(|(_, n)| n).collect()
}

/// Whether something under a key of this name, or a line of text with such a word, may be a secret.
pub(super) fn is_word(text: &str) -> bool {
    let lower = text.to_lowercase();
    ["pass", "pwd", "secret", "token", "private", "credential", "geheim", "kennwort", "identity", "sudo", "vault"]
        .iter()
        .any(|word| lower.contains(word))
        || lower.contains("su:")
        || lower.trim() == "su"
}
