//! The lines by which two texts differ.

use similar::{ChangeTag, TextDiff};

/// The changed lines with two lines around each, `-` and `+` before them.
pub(super) fn lines(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for group in diff.grouped_ops(2) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let value = change.value();
            text.push_str(&format!("{sign} {}\n", value.strip_suffix('\n').unwrap_or(value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_differs_is_shown() {
        let before = "a\nb\nc\nd\ne\nf\ng\n";
        assert_eq!(super::lines(before, &before.replace("d\n", "D\n")), "  b\n  c\n- d\n+ D\n  e\n  f\n");
        assert_eq!(super::lines("", "x\n"), "+ x\n");
    }
}
