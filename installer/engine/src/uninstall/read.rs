//! What a host has recorded of ferry's work on it: its ledger, and how to take commands back.

use std::collections::{BTreeMap, BTreeSet};

/// Prints the record; nothing where ferry has never worked, or has been taken back. Changes nothing.
pub const READ: &str = r#"S=/var/lib/ferry
[ -s $S/ledger ] || exit 0
echo @ledger; sed 's/^/|/' $S/ledger
for file in $S/undo/*; do case $file in *.part|*/\*) ;; *) echo "@undo ${file##*/}"; sed 's/^/|/' "$file";; esac; done
"#;

/// A host's record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The ledger as it is.
    pub ledger: String,
    /// What was begun: name, and whether it is still to be taken back. In the order in which each was first begun.
    entries: Vec<(String, bool)>,
    /// What takes commands back, by the key of the record.
    pub undo: BTreeMap<String, String>,
}

impl Record {
    /// What is still to be taken back, last first.
    pub fn open(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().rev().filter(|(_, open)| *open).map(|(what, _)| what.as_str())
    }

    /// Whether ferry has ever begun this here.
    #[must_use]
    pub fn has(&self, what: &str) -> bool {
        self.entries.iter().any(|(one, _)| one == what)
    }

    /// The units that ferry has brought.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|(what, _)| what.strip_prefix("unit:"))
    }

    /// How many things of each kind are still to be taken back, for people.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |kind: &str| self.open().filter(|what| what.starts_with(kind)).count();
        format!(
            "{} files, {} folders, {} units, {} commands",
            count("file:") + count("block:"),
            count("folder:"),
            count("unit:"),
            self.open().filter(|what| what.starts_with("run:")).count()
        )
    }
}

/// Reads what [`READ`] printed; `None` where there was nothing.
#[must_use]
pub fn parse(text: &str) -> Option<Record> {
    let mut record = Record::default();
    let mut undo: Option<String> = None;
    let mut ledger = false;
    for line in text.lines() {
        if line == "@ledger" {
            ledger = true;
        } else if let Some(key) = line.strip_prefix("@undo ") {
            ledger = false;
            undo = Some(key.to_owned());
            record.undo.insert(key.to_owned(), String::new());
        } else if let Some(content) = line.strip_prefix('|') {
            if ledger {
                record.ledger.push_str(content);
                record.ledger.push('\n');
            } else if let Some(text) = undo.as_ref().and_then(|key| record.undo.get_mut(key)) {
                text.push_str(content);
                text.push('\n');
            }
        }
    }
    let mut known = BTreeSet::new();
    for line in record.ledger.lines() {
        // A line that a power cut has torn names nothing that was begun.
        let mut words = line.splitn(3, ' ');
        let (Some(_), Some(verb), Some(what)) = (words.next(), words.next(), words.next()) else { continue };
        let open = match verb {
            "begin" | "done" | "undo" => true,
            "undone" => false,
            _ => continue,
        };
        if known.insert(what.to_owned()) {
            record.entries.push((what.to_owned(), open));
        } else if let Some(entry) = record.entries.iter_mut().find(|(one, _)| one == what) {
            entry.1 = open;
        }
    }
    (!record.ledger.is_empty()).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledgers_are_read_with_torn_lines_and_odd_names() {
        let text = "noise\n@ledger\n|T begin run:label a=b of n 1\n|T done run:label a=b of n 1\n|T beg\n|T begin file:/a\n@undo 0123\n|one\n||two\n";
        let record = parse(text).unwrap();
        assert_eq!(record.open().collect::<Vec<_>>(), ["file:/a", "run:label a=b of n 1"]);
        assert_eq!(record.undo["0123"], "one\n|two\n");
        assert!(record.has("file:/a") && !record.has("file:/b"));
        assert_eq!(parse(""), None);
        assert_eq!(record.summary(), "1 files, 0 folders, 0 units, 1 commands");
    }

    #[test]
    fn the_script_prints_what_is_read() {
        let folder = std::env::temp_dir().join(format!("ferry-read-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("undo")).unwrap();
        let script = READ.replacen("/var/lib/ferry", &folder.display().to_string(), 1);
        let run = || {
            String::from_utf8(std::process::Command::new("sh").args(["-c", &script]).output().unwrap().stdout).unwrap()
        };
        assert_eq!(parse(&run()), None);
        std::fs::write(folder.join("ledger"), "T begin run:a b\n").unwrap();
        assert!(parse(&run()).unwrap().undo.is_empty());
        std::fs::write(folder.join("undo/00ff"), "userdel x\n").unwrap();
        std::fs::write(folder.join("undo/00ff.part"), "torn").unwrap();
        let record = parse(&run()).unwrap();
        assert_eq!((record.undo.len(), record.undo["00ff"].as_str()), (1, "userdel x\n"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
