//! The framing of the gather script's output: named sections of prefixed lines.
//!
//! Because every line of content begins with `|`, nothing that a program prints can be taken for a section; because
//! `== end` comes last, a cut answer is known as such.

use std::collections::BTreeMap;

use super::FactsError;

/// Sections by name, each a list of lines; and what was printed before the first of them.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    sections: BTreeMap<&'a str, Vec<&'a str>>,
    /// Lines before the beginning that are not blank.
    pub(super) noise: Vec<&'a str>,
}

const BEGIN: &str = "== ferry-facts ";
const VERSION: &str = "1";

impl<'a> Frame<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, FactsError> {
        let mut lines = text.lines();
        let mut noise = Vec::new();
        let version = loop {
            let line = lines.next().ok_or(FactsError::NoBeginning)?;
            match line.strip_prefix(BEGIN) {
                Some(version) => break version,
                None if line.trim().is_empty() => {}
                None => noise.push(line),
            }
        };
        if version != VERSION {
            return Err(FactsError::Version(version.to_owned()));
        }
        let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut current = "";
        for line in lines {
            if line == "== end" {
                return Ok(Self { sections, noise });
            }
            if let Some(name) = line.strip_prefix("== ") {
                current = name;
                sections.entry(name).or_default();
            } else if let Some(content) = line.strip_prefix('|') {
                sections.entry(current).or_default().push(content);
            }
        }
        Err(FactsError::Cut(current.to_owned()))
    }

    /// The lines of a section; none if it is not there.
    pub(super) fn lines(&self, section: &str) -> &[&'a str] {
        self.sections.get(section).map_or(&[], Vec::as_slice)
    }

    /// The first line of a section.
    pub(super) fn first(&self, section: &str) -> &'a str {
        self.lines(section).first().copied().unwrap_or_default()
    }

    /// The values of `key=` in a section.
    pub(super) fn values<'s>(&'s self, section: &str, key: &'s str) -> impl Iterator<Item = &'a str> + 's {
        self.pairs(section).filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The first value of `key=` in a section; empty if there is none.
    pub(super) fn value(&self, section: &str, key: &str) -> &'a str {
        self.pairs(section).find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    }

    /// All `key=value` of a section.
    pub(super) fn pairs<'s>(&'s self, section: &str) -> impl Iterator<Item = (&'a str, &'a str)> + 's {
        self.lines(section).to_vec().into_iter().filter_map(|line| line.split_once('=')).map(|(k, v)| (k, v.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_told_from_content_and_from_noise() {
        let text = "Welcome!\n\n== ferry-facts 1\n\n== a\n|x=1\n|== b\n|\n== b\n\n== end\n";
        let frame = Frame::read(text).unwrap();
        assert_eq!(frame.noise, ["Welcome!"]);
        assert_eq!(frame.lines("a"), ["x=1", "== b", ""]);
        assert!(frame.lines("b").is_empty() && frame.lines("c").is_empty());
        assert_eq!((frame.value("a", "x"), frame.value("a", "y")), ("1", ""));
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused() {
        assert!(matches!(Frame::read("hello"), Err(FactsError::NoBeginning)));
        assert!(matches!(Frame::read("== ferry-facts 2\n== end\n"), Err(FactsError::Version(v)) if v == "2"));
        assert!(matches!(Frame::read("== ferry-facts 1\n== a\n|x\n|== end\n"), Err(FactsError::Cut(at)) if at == "a"));
    }
}
