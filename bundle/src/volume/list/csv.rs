//! The list as CSV: one table, whose first column says what a row is about. The Chinese one begins with the mark by which
//! spreadsheets know UTF-8.

use super::{Language, TransferList};
use crate::documents::csv_field;

pub(super) fn render(list: &TransferList, language: Language) -> String {
    let words = language.words();
    let mut text = String::from(if language == Language::Chinese { "\u{feff}" } else { "" });
    let mut row = |fields: [String; 7]| {
        text.push_str(&fields.map(|field| csv_field(&field)).join(","));
        text.push_str("\r\n");
    };
    row([words.kind, words.number, words.name, words.bytes, "SHA-256", words.batch, words.day].map(str::to_owned));
    let set = &list.plan.set;
    let none = String::new;
    row([words.file.into(), none(), set.name.clone(), set.length.to_string(), set.sha256.hex(), none(), none()]);
    for volume in &list.volumes {
        row([
            (if volume.parity { words.parity } else { words.data }).into(),
            volume.number.to_string(),
            volume.path.clone(),
            volume.bytes.to_string(),
            volume.sha256.hex(),
            volume.batch.to_string(),
            volume.day.to_string(),
        ]);
    }
    for (n, item) in list.content.iter().flat_map(|content| &content.items).enumerate() {
        let number = (n + 1).to_string();
        row([
            item.kind.clone(),
            number,
            item.name.clone(),
            item.bytes.to_string(),
            item.sha256.clone(),
            none(),
            none(),
        ]);
    }
    text
}
