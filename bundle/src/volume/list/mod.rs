//! The transfer list of volumes, for the person who must let them pass: which files, how large, with which digests, what is
//! in them, who signed. In English and Chinese; as text, as CSV, as a page to print; and as `SHA256SUMS`.
//!
//! ```text
//! TransferList (a value) ─► sums: SHA256SUMS   text, csv, html: transfer-list.{en,zh}.{txt,csv,html}
//! ```

mod csv;
mod html;
mod text;
mod words;

use std::fmt::Write as _;
use std::sync::Arc;

use super::folder::Listed;
use super::gate::Gate;
use super::set::SetPlan;

pub use words::Language;

/// What a bundle says of itself, as far as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// The fingerprints of the keys that signed.
    pub keys: Vec<String>,
    /// Whether those keys are trusted where the list was made.
    pub trusted: bool,
    /// What is carried.
    pub items: Vec<Item>,
}

/// Something carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `image`, `chart`, `file`.
    pub kind: String,
    /// Its name and version, as the bundle lists it.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its digest, 64 hex digits.
    pub sha256: String,
}

/// Everything a list says.
#[derive(Debug, Clone)]
pub struct TransferList {
    /// The set.
    pub plan: Arc<SetPlan>,
    /// Its volumes.
    pub volumes: Vec<Listed>,
    /// The gate.
    pub gate: Gate,
    /// What is in the file, if it is a bundle.
    pub content: Option<Content>,
}

impl TransferList {
    /// All documents: name, content.
    #[must_use]
    pub fn documents(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = vec![("SHA256SUMS".to_owned(), self.sums())];
        for language in [Language::English, Language::Chinese] {
            let code = language.code();
            all.push((format!("transfer-list.{code}.txt"), text::render(self, language).into_bytes()));
            all.push((format!("transfer-list.{code}.csv"), csv::render(self, language).into_bytes()));
            all.push((format!("transfer-list.{code}.html"), html::render(self, language).into_bytes()));
        }
        all
    }

    /// `SHA256SUMS`, as `sha256sum -c` reads it.
    #[must_use]
    pub fn sums(&self) -> Vec<u8> {
        let mut text = String::new();
        for volume in &self.volumes {
            writeln!(text, "{}  {}", volume.sha256.hex(), volume.path).expect("a String can always be written to");
        }
        text.into_bytes()
    }

    /// What stands above the table: label and value.
    fn facts(&self, language: Language) -> Vec<(&'static str, String)> {
        let (words, set) = (language.words(), &self.plan.set);
        let mut facts =
            vec![(words.file, set.name.clone()), (words.bytes, set.length.to_string()), ("SHA-256", set.sha256.hex())];
        if let Some(bundle) = &set.bundle {
            facts.push((words.product, format!("{} {}", bundle.product, bundle.version)));
            facts.push((words.channel, format!("{} / {}", bundle.channel, bundle.serial)));
            facts.push((words.bundle, bundle.id.hex()));
        }
        if let Some(content) = &self.content {
            let state = if content.keys.is_empty() {
                words.unsigned
            } else if content.trusted {
                words.trusted
            } else {
                words.unknown_keys
            };
            facts.push((words.signed, state.to_owned()));
            facts.extend(content.keys.iter().map(|key| (words.fingerprint, key.clone())));
        }
        facts.push((words.set, self.plan.id.hex()));
        facts.push((words.gate, self.gate.name.clone()));
        facts.push((words.volumes, format!("{} + {} ({})", set.data, set.parity, words.parity)));
        facts.push((words.total, self.volumes.iter().map(|volume| volume.bytes).sum::<u64>().to_string()));
        facts
    }

    /// The sentence on how many may be lost.
    fn tolerance(&self, language: Language) -> String {
        let set = &self.plan.set;
        language.words().tolerance.replace("{any}", &set.data.to_string()).replace("{all}", &set.volumes().to_string())
    }

    /// Whether batches and days are worth a column.
    fn is_batched(&self) -> bool {
        self.volumes.iter().any(|volume| volume.batch > 1 || volume.day > 1)
    }
}
