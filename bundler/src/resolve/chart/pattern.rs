//! File name patterns as Helm has them, which are those of Go's `filepath.Match`: `*` and `?` never take a `/`, `[a-c]` and
//! `[^a-c]` take one character of a set, `\` takes away the meaning of what follows.

/// A pattern that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of characters but `/`.
    Star,
    /// One character but `/`.
    One,
    /// This character.
    Exactly(char),
    /// One of these ranges, or none of them; a set takes a `/` too, as in Go.
    Set { not: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Reads a pattern; none if it has no meaning.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            parts.push(match c {
                '*' => Part::Star,
                '?' => Part::One,
                '\\' => Part::Exactly(rest.next()?),
                '[' => {
                    let not = rest.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || rest.peek() != Some(&']') {
                        let low = set_character(&mut rest)?;
                        let high = if rest.next_if_eq(&'-').is_some() { set_character(&mut rest)? } else { low };
                        ranges.push((low, high));
                        rest.peek()?;
                    }
                    rest.next();
                    Part::Set { not, ranges }
                }
                other => Part::Exactly(other),
            });
        }
        Some(Self(parts))
    }

    /// Whether the whole of `text` fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of the text the parts so far may have taken: no pattern takes more than parts × text.
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for part in &self.0 {
            let mut next = vec![false; text.len() + 1];
            for at in (0..=text.len()).filter(|&at| reached[at]) {
                if *part == Part::Star {
                    let end = text[at..].iter().position(|&c| c == '/').map_or(text.len(), |slash| at + slash);
                    next[at..=end].fill(true);
                } else if text.get(at).is_some_and(|&c| part.takes(c)) {
                    next[at + 1] = true;
                }
            }
            reached = next;
        }
        reached[text.len()]
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::One => c != '/',
            Self::Exactly(own) => *own == c,
            Self::Set { not, ranges } => ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *not,
        }
    }
}

/// One end of a range.
fn set_character(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_take_what_go_takes() {
        for (pattern, text, fits) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().fits(text), fits, "{pattern} on {text}");
        }
        for bad in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "[]"] {
            assert_eq!(Pattern::parse(bad), None, "{bad}");
        }
    }
}
