//! The way back from a command line to the command: what a fake host reads, and what proves that the script which runs
//! is the script which was shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A command line that [`wrap`](super::wrap) has made, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwrapped {
    /// The script.
    pub(crate) script: String,
    /// Whether root is wanted.
    pub(crate) root: bool,
    mark: String,
}

impl Unwrapped {
    /// Takes it apart; `None` if it is none of ours.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let coded = line.split_once("$(echo ")?.1.split_once(" | base64 -d)")?.0;
        let program = String::from_utf8(BASE64.decode(coded).ok()?).ok()?;
        let words = words(&program);
        let variable = |name| words.iter().find_map(|word: &String| word.strip_prefix(name).map(str::to_owned));
        let (wrapper, script) = match words.iter().position(|word| word == "ferry") {
            Some(at) => (words.get(at.checked_sub(1)?)?.clone(), words.get(at + 1)?.clone()),
            None => (variable("W=")?, variable("S=")?),
        };
        let mark = wrapper.split_once("FERRY-END- ")?.1.split_whitespace().next()?.to_owned();
        Some(Self { script, root: wrapper.contains("FERRY-DENY-"), mark })
    }

    /// The mark before the script's output.
    pub(crate) fn beginning(&self, group: u32) -> String {
        format!("FERRY-BEGIN-{} {group}\n", self.mark)
    }

    /// The mark after it.
    pub(crate) fn ending(&self, status: i32) -> String {
        format!("FERRY-END-{} {status}\n", self.mark)
    }
}

/// The words of a POSIX shell command that uses no expansion, quoted as [`quote`](crate::host::quote) does.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|&char| char != '\'')),
            '\\' => word.get_or_insert_default().extend(chars.next()),
            ' ' | '\n' | ';' => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::super::privilege::Climb;
    use super::super::wrap::{Mark, line};
    use super::*;
    use crate::host::Secret;
    use std::time::Duration;

    #[test]
    fn what_is_wrapped_comes_back() {
        let secret = || Secret::new("never-in-a-line");
        let climbs = [Climb::None, Climb::Sudo, Climb::SudoPassword(secret()), Climb::Su(secret())];
        for script in ["true", "echo 'it''s' ferry\n\\ \"$x\"; ferry '", "", "W=1; S=2"] {
            for (climb, root) in climbs.iter().flat_map(|climb| [(climb, true), (climb, false)]) {
                let line = line(script, climb, root, Duration::from_secs(1), &Mark::of("abc"));
                let expected = Unwrapped { script: script.to_owned(), root, mark: "abc".into() };
                assert_eq!(Unwrapped::read(&line), Some(expected), "{climb:?}");
                let coded = line.split(' ').nth(5).unwrap();
                let plain = String::from_utf8(BASE64.decode(coded).unwrap_or_default()).unwrap_or_default();
                assert!(!format!("{line}{plain}").contains("never-in-a-line"));
            }
        }
        assert_eq!(Unwrapped::read("ls -l"), None);
    }
}
