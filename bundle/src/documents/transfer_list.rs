//! The transfer list: what crosses the gate, for the person who must approve it. As CSV and as text.

use std::fmt::Write as _;

use super::human_size;
use crate::digest::Digest;
use crate::lock::contents::Contents;
use crate::lock::{Lock, Origin, derived};

struct Row {
    kind: &'static str,
    name: String,
    version: String,
    arches: String,
    bytes: u64,
    sha256: Digest,
    origin: String,
    groups: String,
}

fn rows(lock: &Lock) -> Vec<Row> {
    let groups = |groups: &[crate::name::Name]| groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let mut rows = Vec::new();
    for image in &lock.images {
        let layers = |m: &crate::lock::LockedManifest| {
            m.manifest.size + m.config.size + m.layers.iter().map(|l| l.size).sum::<u64>()
        };
        rows.push(Row {
            kind: "image",
            name: image.name.name(),
            version: image.name.tag().map_or_else(|| image.name.selector(), str::to_owned),
            arches: image.manifests.iter().map(|m| m.arch.as_str()).collect::<Vec<_>>().join(" "),
            bytes: image.manifests.iter().map(layers).sum(),
            sha256: image.carried().digest,
            origin: origin(&image.from),
            groups: groups(&image.groups),
        });
    }
    for chart in &lock.charts {
        let archive = chart.layers.first().unwrap_or(&chart.manifest);
        rows.push(Row {
            kind: "chart",
            name: chart.name.to_string(),
            version: chart.version.to_string(),
            arches: String::new(),
            bytes: archive.size,
            sha256: archive.digest,
            origin: origin(&chart.from),
            groups: groups(&chart.groups),
        });
    }
    for file in &lock.files {
        rows.push(Row {
            kind: "file",
            name: derived::file_name(file).0.trim_start_matches("files/").to_owned(),
            version: file.version.as_ref().map_or(String::new(), ToString::to_string),
            arches: file.arch.map_or(String::new(), |arch| arch.to_string()),
            bytes: file.size,
            sha256: file.digest,
            origin: origin(&file.from),
            groups: groups(&file.groups),
        });
    }
    rows
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Registry(text) | Origin::Url(text) => text.clone(),
        Origin::DockerArchive(text) | Origin::OciArchive(text) | Origin::OciLayout(text) | Origin::Path(text) => {
            format!("local: {text}")
        }
    }
}

/// As CSV (RFC 4180, UTF-8, header line). A field that a spreadsheet would run as a formula gets a `'` before it.
#[must_use]
pub fn transfer_list_csv(lock: &Lock) -> Vec<u8> {
    let mut text = String::from("number,kind,name,version,architectures,bytes,sha256,origin,groups\r\n");
    for (n, row) in rows(lock).into_iter().enumerate() {
        let fields = [
            (n + 1).to_string(),
            row.kind.to_owned(),
            row.name,
            row.version,
            row.arches,
            row.bytes.to_string(),
            row.sha256.hex(),
            row.origin,
            row.groups,
        ];
        text.push_str(&fields.map(|field| csv_field(&field)).join(","));
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// A field of a CSV row, quoted where it must be; one that a spreadsheet would run as a formula gets a `'` before it.
pub(crate) fn csv_field(field: &str) -> String {
    let field =
        if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// As text, 100 columns, with totals.
#[must_use]
pub fn transfer_list_text(lock: &Lock) -> Vec<u8> {
    let product = &lock.product;
    let rows = rows(lock);
    let total = Contents::of(lock).map_or(0, |contents| contents.total());
    let count = |kind| rows.iter().filter(|row| row.kind == kind).count();
    let mut text = format!(
        "Transfer list: {} {} (channel {}, serial {})\nLocked {}; architectures: {}\n\
         {} images, {} charts, {} files; {} once each ({total} bytes)\nLock: {}\n",
        product.name,
        product.version,
        product.channel,
        lock.serial,
        lock.created,
        lock.arches.iter().map(|a| a.as_str()).collect::<Vec<_>>().join(", "),
        count("image"),
        count("chart"),
        count("file"),
        human_size(total),
        lock.digest(),
    );
    for (n, row) in rows.iter().enumerate() {
        let arches = if row.arches.is_empty() { "-" } else { &row.arches };
        write!(
            text,
            "\n{:>4}. {} {} {}\n      {} ({} bytes), architectures: {arches}\n      sha256 {}\n      from {}\n",
            n + 1,
            row.kind,
            row.name,
            row.version,
            human_size(row.bytes),
            row.bytes,
            row.sha256.hex(),
            row.origin,
        )
        .expect("a String can always be written to");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::csv_field;

    #[test]
    fn fields_can_neither_break_the_line_nor_become_formulas() {
        assert_eq!(csv_field("a,b"), "\"a,b\"");
        assert_eq!(csv_field("say \"x\"\n"), "\"say \"\"x\"\"\n\"");
        assert_eq!(csv_field("=1+1"), "'=1+1");
    }
}
