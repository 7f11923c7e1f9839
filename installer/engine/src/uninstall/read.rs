//! What a host has recorded of ferry's work on it: its ledger, and how to take commands back.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{DataFolder, DataKind};

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
    /// The data folders that were taken, and not given back since.
    pub data: Vec<DataFolder>,
    /// The kinds of data folders of which one was ever taken or given back.
    marked: BTreeSet<DataKind>,
    /// What came to its end, and was not taken back since.
    done: BTreeSet<String>,
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

    /// Whether ferry has done this here to its end, and not taken it back. What it was refused is begun, and no more.
    #[must_use]
    pub fn has_done(&self, what: &str) -> bool {
        self.done.contains(what)
    }

    /// Whether a data folder of this kind was ever taken with a mark, or given back.
    #[must_use]
    pub fn has_marked(&self, kind: DataKind) -> bool {
        self.marked.contains(&kind)
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
        match verb {
            "done" => drop(record.done.insert(what.to_owned())),
            "undone" => drop(record.done.remove(what)),
            "data" => {
                record.marked.extend(data(what).map(|one| one.kind));
                record.data.extend(data(what));
            }
            "gone" | "left" => {
                let back = data(what);
                record.marked.extend(back.as_ref().map(|one| one.kind));
                record.data.retain(|one| Some(one) != back.as_ref());
            }
            _ => {}
        }
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

/// `ID KIND PATH` of the ledger. What is no absolute path of at least two names, without `..`, names nothing.
fn data(text: &str) -> Option<DataFolder> {
    let mut words = text.splitn(3, ' ');
    let (install, kind, path) = (words.next()?, DataKind::parse(words.next()?)?, words.next()?);
    let names: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_path = names.len() >= 2 && names.iter().all(|name| !matches!(*name, "" | "." | ".."));
    let is_id = install == "-" || (install.len() == 36 && install.chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
    (is_path && is_id).then(|| DataFolder {
        install: (install != "-").then(|| install.to_owned()),
        kind,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_folders_are_those_that_were_taken_and_not_given_back() {
        let id = "0b2f5a1e-7a5c-4d0e-9d55-1f0a2b3c4d5e";
        let read = |lines: &[&str]| {
            let text: String = lines.iter().map(|line| format!("|T {line}\n")).collect();
            parse(&format!("@ledger\n{text}")).unwrap()
        };
        let lines = [
            format!("data {id} etcd /var/lib/my etcd"),
            format!("data {id} registry /srv/registry"),
            format!("gone {id} registry /srv/registry"),
            format!("data {id} volumes /srv/v"),
            format!("left {id} volumes /srv/v"),
        ];
        let record = read(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let one = DataFolder { install: Some(id.into()), kind: DataKind::Etcd, path: "/var/lib/my etcd".into() };
        assert_eq!(record.data, [one]);
        assert_eq!(record.open().count(), 0, "they are no entries that are taken back one by one");
        for bad in ["/", "/srv", "srv/x", "/srv/../etc", "/srv//x", "/srv/x/", "/srv/.", "", "//etc"] {
            assert!(read(&[&format!("data {id} etcd {bad}")]).data.is_empty(), "{bad}");
        }
        for bad in ["data x etcd /srv/x", "data - what /srv/x", "data $(id) etcd /srv/x", "data -"] {
            assert!(read(&[bad]).data.is_empty(), "{bad}");
        }
        let record = read(&[
            "begin folder:/srv/a",
            "begin folder:/srv/b",
            "done folder:/srv/b",
            "done folder:/c",
            "undone folder:/c",
        ]);
        assert!(record.has("folder:/srv/a") && !record.has_done("folder:/srv/a"));
        assert!(record.has_done("folder:/srv/b") && !record.has_done("folder:/c"));
    }

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
