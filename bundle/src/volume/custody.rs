//! The custody log: who handed what on, when, on which machine. One JSON object a line, each with the digest of the line
//! before it, so that a line that was changed, removed or put in between shows.
//!
//! It is a record, not a proof: whoever can write the file can write all of it anew. The digest of its last line, written
//! down on the transfer list by hand, is what fixes it.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{VolumeError, io};
use crate::digest::Digest;
use crate::lock::Timestamp;
use crate::store::sync_folder_of;

/// The longest log that is read, in bytes: some hundred thousand lines.
const MAX_LOG: u64 = 64 * 1024 * 1024;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When, by this machine's clock.
    pub at: Timestamp,
    /// `split`, `resend`, `received`, `incomplete`.
    pub what: String,
    /// Who: the user's name, as the system has it.
    pub by: String,
    /// On which host.
    pub host: String,
    /// The file's name.
    pub file: String,
    /// Its digest.
    pub sha256: Digest,
    /// The set's id.
    pub set: String,
    /// One line more.
    pub detail: String,
    /// The digest of the line before, without its line end; of nothing in the first line.
    pub previous: Digest,
}

/// A log that holds together so far.
#[derive(Debug)]
pub struct Custody {
    path: PathBuf,
    last: Digest,
    entries: Vec<Entry>,
    whole: u64,
}

impl Custody {
    /// Reads a log and checks its chain. A log that is not there is an empty one. A last line without its end was being
    /// written when the machine stopped: it never was an entry.
    pub fn open(path: &Path) -> Result<Self, VolumeError> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => {
                file.take(MAX_LOG).read_to_end(&mut bytes).map_err(io("read", path))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io("read", path)(error)),
        }
        let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let (mut last, mut entries) = (Digest::of(b""), Vec::new());
        for (n, line) in bytes[..whole].split(|&b| b == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let entry: Option<Entry> = serde_json::from_slice(line).ok();
            let entry = entry.filter(|entry| entry.previous == last);
            entries.push(entry.ok_or_else(|| VolumeError::Custody { path: path.to_owned(), line: n + 1 })?);
            last = Digest::of(line);
        }
        Ok(Self { path: path.to_owned(), last, entries, whole: whole as u64 })
    }

    /// What is in it.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The digest of the last line: what one writes down to fix the log.
    #[must_use]
    pub fn last(&self) -> Digest {
        self.last
    }

    /// Adds an entry and syncs it. `previous` is filled in.
    pub fn add(&mut self, mut entry: Entry) -> Result<(), VolumeError> {
        entry.previous = self.last;
        let mut line = serde_json::to_vec(&entry).expect("texts, times and digests can always be written");
        self.last = Digest::of(&line);
        line.push(b'\n');
        let open = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path);
        let mut file = open.map_err(io("open", &self.path))?;
        file.set_len(self.whole).map_err(io("shorten", &self.path))?;
        file.seek(SeekFrom::End(0)).map_err(io("read", &self.path))?;
        file.write_all(&line).and_then(|()| file.sync_all()).map_err(io("write", &self.path))?;
        sync_folder_of(&self.path).map_err(io("sync the folder of", &self.path))?;
        self.whole += line.len() as u64;
        self.entries.push(entry);
        Ok(())
    }
}

/// Who and where, as far as the system says without being asked over a network.
#[must_use]
pub fn who() -> (String, String) {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("SUDO_USER").or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|text| text.trim().to_owned());
    (user.unwrap_or_else(|| "?".into()), host.unwrap_or_else(|| "?".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: &str) -> Entry {
        Entry {
            at: Timestamp::from_unix(1_700_000_000),
            what: what.into(),
            by: "anna".into(),
            host: "gate".into(),
            file: "site.ferry".into(),
            sha256: Digest::of(b"x"),
            set: "00".into(),
            detail: String::new(),
            previous: Digest::of(b""),
        }
    }

    #[test]
    fn a_changed_removed_or_added_line_shows_and_a_torn_one_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("custody.jsonl");
        for what in ["split", "resend", "received"] {
            Custody::open(&path).unwrap().add(entry(what)).unwrap();
        }
        let good = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Custody::open(&path).unwrap().entries().len(), 3);
        let lines: Vec<&str> = good.lines().collect();
        for (bad, line) in [
            (good.replacen("anna", "eve", 1), 2),
            ([lines[0], lines[2], ""].join("\n"), 2),
            ([lines[1], lines[2], ""].join("\n"), 1),
            ([lines[0], lines[0], lines[1], ""].join("\n"), 2),
            (good.replacen('{', "[", 1), 1),
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(Custody::open(&path), Err(VolumeError::Custody { line: at, .. }) if at == line), "{line}");
        }
        std::fs::write(&path, format!("{good}{}", &lines[2][..40])).unwrap();
        let mut torn = Custody::open(&path).unwrap();
        torn.add(entry("again")).unwrap();
        assert_eq!(Custody::open(&path).unwrap().entries().len(), 4);
    }
}
