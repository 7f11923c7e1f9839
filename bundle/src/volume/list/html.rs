//! The list as a page to print and sign: one file, no script, nothing that is loaded from elsewhere.

use std::fmt::Write as _;

use super::{Language, TransferList};
use crate::documents::human_size;

const STYLE: &str = "body{font:11pt/1.4 serif;margin:2em auto;max-width:60em}table{border-collapse:collapse;width:100%;margin:1em 0}\
td,th{border:1px solid #888;padding:.2em .5em;text-align:left;vertical-align:top}td.n{text-align:right}\
code{font:9pt monospace;word-break:break-all}tr{break-inside:avoid}thead{display:table-header-group}\
.sign td{height:3em;width:25%}@media print{body{margin:0}}";

pub(super) fn render(list: &TransferList, language: Language) -> String {
    let words = language.words();
    let code = if language == Language::Chinese { "zh-CN" } else { "en" };
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"{code}\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head>\n\
         <body><h1>{0}</h1>\n<table>\n",
        words.title
    );
    let mut put = |text: String| writeln!(page, "{text}").expect("a String can always be written to");
    for (label, value) in list.facts(language) {
        put(format!("<tr><th>{}</th><td><code>{}</code></td></tr>", escape(label), escape(&value)));
    }
    put(format!("</table>\n<p>{}</p>", escape(&list.tolerance(language))));
    put(format!("<p>{} <code>sha256sum -c SHA256SUMS</code></p>", words.check));
    put(format!(
        "<table><thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th><th>SHA-256</th><th>{}</th><th>{}</th></tr></thead>",
        words.number, words.name, words.kind, words.bytes, words.batch, words.day
    ));
    for volume in &list.volumes {
        put(format!(
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td><td><code>{}</code></td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            volume.number,
            escape(&volume.path),
            if volume.parity { words.parity } else { words.data },
            volume.bytes,
            volume.sha256.hex(),
            volume.batch,
            volume.day
        ));
    }
    put("</table>".into());
    if let Some(content) = &list.content {
        put(format!(
            "<h2>{}</h2>\n<table><thead><tr><th>{}</th><th>{}</th><th>{}</th><th>SHA-256</th></tr></thead>",
            words.content, words.kind, words.name, words.bytes
        ));
        for item in &content.items {
            put(format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
                escape(&item.kind),
                escape(&item.name),
                human_size(item.bytes),
                escape(&item.sha256)
            ));
        }
        put("</table>".into());
    }
    let cells = words.approved.map(|who| format!("<td>{who}</td>")).concat();
    put(format!("<table class=\"sign\"><tr>{cells}</tr></table>\n</body></html>"));
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
