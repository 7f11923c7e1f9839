//! The command line: words, and options that take a value or are switches.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

/// How it was called wrongly.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misuse(pub(crate) String);

/// What is left of the command line. Options are taken out by name, then the words are read in order.
pub(crate) struct Arguments(VecDeque<String>);

impl Arguments {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> Option<String> {
        self.0.pop_front()
    }

    /// The next word, which must be there.
    pub(crate) fn required(&mut self, what: &str) -> Result<String, Misuse> {
        self.word().filter(|word| !word.starts_with("--")).ok_or_else(|| Misuse(format!("{what} is needed")))
    }

    /// Takes every `--name VALUE` out.
    pub(crate) fn options(&mut self, name: &str) -> Result<Vec<String>, Misuse> {
        let mut found = Vec::new();
        while let Some(at) = self.0.iter().position(|word| word == name) {
            self.0.remove(at);
            found.push(self.0.remove(at).ok_or_else(|| Misuse(format!("{name} needs a value")))?);
        }
        Ok(found)
    }

    /// Takes `--name VALUE` out.
    pub(crate) fn option<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Misuse> {
        let Some(text) = self.options(name)?.pop() else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Misuse(format!("{name} can't be {text:?}")))
    }

    /// Takes `--name MILLISECONDS` out; `otherwise` is in milliseconds, too.
    pub(crate) fn milliseconds(&mut self, name: &str, otherwise: u64) -> Result<Duration, Misuse> {
        Ok(Duration::from_millis(self.option(name)?.unwrap_or(otherwise).max(1)))
    }

    /// Takes the switch `--name` out.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// All words that are left, of which there must be one; an option among them is unknown.
    pub(crate) fn rest(mut self, what: &str) -> Result<Vec<String>, Misuse> {
        let words: Vec<String> = self.0.drain(..).collect();
        match words.iter().find(|word| word.starts_with("--")) {
            Some(option) => Err(Misuse(format!("{option} is not known here"))),
            None if words.is_empty() => Err(Misuse(format!("{what} is needed"))),
            None => Ok(words),
        }
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Misuse> {
        self.0.front().map_or(Ok(()), |word| Err(Misuse(format!("{word} is not known here"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Arguments {
        Arguments::new(text.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_and_words_are_told_apart() {
        let mut arguments = of("a --x 1 b --y --x 2");
        assert_eq!(arguments.options("--x").unwrap(), ["1", "2"]);
        assert!(arguments.switch("--y") && !arguments.switch("--y"));
        assert_eq!(arguments.required("word").unwrap(), "a");
        assert_eq!(arguments.rest("word").unwrap(), ["b"]);
        assert!(
            of("--z 1").rest("word").is_err() && of("--n x").option::<u8>("--n").is_err() && of("q").end().is_err()
        );
    }
}
