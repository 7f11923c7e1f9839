//! The list as plain text. No column is aligned by width: Chinese has two widths, and printers their own opinion.

use std::fmt::Write as _;

use super::{Language, TransferList};
use crate::documents::human_size;

pub(super) fn render(list: &TransferList, language: Language) -> String {
    let words = language.words();
    let mut text = format!("{}\n\n", words.title);
    let mut line = |line: String| writeln!(text, "{line}").expect("a String can always be written to");
    for (label, value) in list.facts(language) {
        line(format!("{label}: {value}"));
    }
    line(format!("\n{}\n{} sha256sum -c SHA256SUMS\n", list.tolerance(language), words.check));
    for volume in &list.volumes {
        let kind = if volume.parity { words.parity } else { words.data };
        let batch = if list.is_batched() {
            format!(", {} {}, {} {}", words.batch, volume.batch, words.day, volume.day)
        } else {
            String::new()
        };
        line(format!(
            "{:>4}. {}  {} ({kind}{batch})\n      {}",
            volume.number,
            volume.path,
            volume.bytes,
            volume.sha256.hex()
        ));
    }
    if let Some(content) = &list.content {
        line(format!("\n{}", words.content));
        for (n, item) in content.items.iter().enumerate() {
            line(format!(
                "{:>4}. {} {}  {}\n      {}",
                n + 1,
                item.kind,
                item.name,
                human_size(item.bytes),
                item.sha256
            ));
        }
    }
    line(String::new());
    for who in words.approved {
        line(format!("{who}: ______________________"));
    }
    text
}
