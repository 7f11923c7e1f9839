//! Host keys that have been seen and accepted: a file of lines `name algorithm key`, one line a name.
//!
//! Written whole beside itself, synced and renamed, so that a crash leaves the old file or the new one. It is read anew
//! for every connection: two runs beside each other see what the other recorded.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The file of recorded host keys.
#[derive(Debug)]
pub struct KnownKeys {
    path: PathBuf,
    writing: Mutex<()>,
}

/// A recorded key, in the form of OpenSSH public keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// `ssh-ed25519`, `ssh-rsa`, …
    pub algorithm: String,
    /// Base64 of the key.
    pub key: String,
}

impl KnownKeys {
    /// The file at `path`; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), writing: Mutex::new(()) }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The key recorded for `name`. A line that can't be understood is an error, not a host never seen.
    pub fn get(&self, name: &str) -> io::Result<Option<KnownKey>> {
        Ok(self.lines()?.into_iter().find(|(one, _)| one == name).map(|(_, key)| key))
    }

    /// Records the key of `name`, in place of what was recorded.
    pub fn put(&self, name: &str, key: KnownKey) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut lines: Vec<_> = self.lines()?.into_iter().filter(|(one, _)| one != name).collect();
        lines.push((name.to_owned(), key));
        lines.sort_by(|(a, _), (b, _)| a.cmp(b));
        let text: String = lines.iter().map(|(name, key)| format!("{name} {} {}\n", key.algorithm, key.key)).collect();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        File::open(folder)?.sync_all()
    }

    fn lines(&self) -> io::Result<Vec<(String, KnownKey)>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(|line| understand(line).ok_or_else(|| self.damaged(line))).collect()
    }

    fn damaged(&self, line: &str) -> io::Error {
        let line: String = line.chars().take(60).collect();
        io::Error::other(format!("{}: {line:?} is not `name algorithm key`", self.path.display()))
    }
}

fn understand(line: &str) -> Option<(String, KnownKey)> {
    let mut words = line.split_whitespace();
    let (name, algorithm, key) = (words.next()?, words.next()?, words.next()?);
    let key = KnownKey { algorithm: algorithm.to_owned(), key: key.to_owned() };
    words.next().is_none().then(|| (name.to_owned(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KnownKey {
        KnownKey { algorithm: "ssh-ed25519".into(), key: text.into() }
    }

    #[test]
    fn a_name_has_one_line_and_a_damaged_file_is_no_first_sight() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownKeys::new(folder.path().join("new/keys"));
        assert_eq!(known.get("a").unwrap(), None);
        known.put("b", key("one")).unwrap();
        known.put("a", key("two")).unwrap();
        known.put("b", key("three")).unwrap();
        assert_eq!(fs::read_to_string(known.path()).unwrap(), "a ssh-ed25519 two\nb ssh-ed25519 three\n");
        assert_eq!(known.get("b").unwrap(), Some(key("three")));
        fs::write(known.path(), "a ssh-ed25519 two\nb ssh-").unwrap();
        assert!(known.get("c").unwrap_err().to_string().contains("name algorithm key"));
        assert!(known.put("c", key("x")).is_err(), "nothing is written over a damaged file");
    }
}
