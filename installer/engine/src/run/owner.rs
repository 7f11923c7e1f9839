//! Whose leases a run takes: a random word that is kept in the state folder, so that a run which was killed goes on at once.
//!
//! ```text
//! STATE/owner     WORD PLACE       PLACE: device and inode of the folder, and a word for this machine
//! ```
//! Who has a copy of the folder is somebody else, so the word is only good in the folder that it was made in. A copy gets a word of
//! its own when it is first used; a clone of the whole machine can't be told from the machine itself.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ferry_bundle_format::Digest;
use ferry_bundle_format::store::write_atomically;

/// The file in the state folder.
const FILE: &str = "owner";

/// Why it is not known whose leases they would be.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The file can't be read or written.
    #[error("can't use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file holds no word.
    #[error("{path} does not hold the name of a lease's owner: it is empty or damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl OwnerError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path } => Some(format!(
                "see that no other ferry-install works on this site, then remove {}: the next run makes a new one",
                path.display()
            )),
            Self::File { .. } => None,
        }
    }
}

/// The owner's word, and whether the folder is a copy of another one, which has just got a word of its own.
pub fn owner(state: &Path) -> Result<(String, bool), OwnerError> {
    let path = state.join(FILE);
    let failed = |source| OwnerError::File { path: path.clone(), source };
    let place = place(state).map_err(failed)?;
    match std::fs::read(&path) {
        Ok(bytes) => {
            let damaged = || OwnerError::Damaged { path: path.clone() };
            let text = String::from_utf8(bytes).map_err(|_| damaged())?;
            let mut words = text.split_whitespace();
            let word = words.next().filter(|word| is_word(word)).ok_or_else(damaged)?;
            match words.next() {
                Some(here) if here == place => Ok((word.to_owned(), false)),
                Some(_) => Ok((write(&path, &new_word().map_err(failed)?, &place).map_err(failed)?, true)),
                // As the first versions wrote it.
                None => Ok((write(&path, word, &place).map_err(failed)?, false)),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok((write(&path, &new_word().map_err(failed)?, &place).map_err(failed)?, false))
        }
        Err(error) => Err(failed(error)),
    }
}

fn is_word(word: &str) -> bool {
    (16..=64).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit())
}

fn new_word() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// What only this folder on this machine has.
fn place(state: &Path) -> std::io::Result<String> {
    let found = std::fs::metadata(state)?;
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    Ok(format!("{}:{}:{}", found.dev(), found.ino(), &Digest::of(&machine).hex()[..8]))
}

fn write(path: &Path, word: &str, place: &str) -> std::io::Result<String> {
    write_atomically(path, format!("{word} {place}\n").as_bytes())?;
    Ok(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_the_same_in_its_folder_and_is_another_one_in_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (one, copy) = (folder.path().join("one"), folder.path().join("copy"));
        std::fs::create_dir(&one).unwrap();
        let (first, copied) = owner(&one).unwrap();
        assert!(first.len() == 32 && !copied, "{first}");
        assert_eq!(owner(&one).unwrap(), (first.clone(), false));
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(one.join(FILE), copy.join(FILE)).unwrap();
        let (second, copied) = owner(&copy).unwrap();
        assert!(second != first && copied);
        assert_eq!(owner(&copy).unwrap(), (second, false), "told once");
        // A folder that is only moved stays what it is.
        std::fs::rename(&one, folder.path().join("moved")).unwrap();
        assert_eq!(owner(&folder.path().join("moved")).unwrap(), (first, false));
    }

    #[test]
    fn an_empty_or_damaged_file_is_an_error_that_says_what_to_do() {
        for text in
            ["", "\n", "   ", "short", "0123456789abcdeg", "../../etc/passwd", "0123456789abcdef\u{1b}[2J", "\u{fffd}"]
        {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = owner(folder.path()).unwrap_err();
            assert!(matches!(error, OwnerError::Damaged { .. }), "{text:?}: {error}");
            assert!(error.hint().unwrap().contains("remove"), "{text:?}");
            assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), text, "it is left as it is");
        }
    }

    #[test]
    fn a_word_of_the_first_versions_is_kept_and_bound_to_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "0123456789abcdef").unwrap();
        assert_eq!(owner(folder.path()).unwrap(), ("0123456789abcdef".to_owned(), false));
        assert!(std::fs::read_to_string(folder.path().join(FILE)).unwrap().contains(':'));
    }
}
