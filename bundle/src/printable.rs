//! Text of strangers on a terminal: what may pass, and what stands in the place of the rest.
//!
//! Hosts, registries, files and people name things. A name can hold control sequences that move the cursor or change what
//! was printed before, or marks that turn the direction of writing around, so that a line reads as something else.

/// `text` with each such character replaced by U+FFFD. Line breaks and tabs stay.
#[must_use]
pub fn printable(text: &str) -> String {
    if text.chars().all(may_pass) {
        return text.to_owned();
    }
    text.chars().map(|c| if may_pass(c) { c } else { '\u{fffd}' }).collect()
}

/// Whether a character does nothing but show. The marks of direction are those of Unicode's bidirectional algorithm (UAX 9)
/// and its line and paragraph separators.
fn may_pass(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    (!c.is_control() || c == '\n' || c == '\t') && !turns && !breaks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_or_turns_a_line_around_does_not_pass() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\td\n"), "a\u{fffd}[2Jb\u{fffd}c\td\n");
        assert_eq!(printable("\u{9b}31m\r\u{7}\u{8}x\u{7f}"), "\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}x\u{fffd}");
        assert_eq!(printable("\u{200f}a\u{2028}b\u{2067}"), "\u{fffd}a\u{fffd}b\u{fffd}");
        for plain in ["", "node1 验收通过", "größer – é", "a\n\tb", "👍🏽"] {
            assert_eq!(printable(plain), plain);
        }
    }
}
