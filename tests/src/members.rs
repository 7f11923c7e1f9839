//! The members of an archive or a folder, by path: built up, bent as a test needs, then written either way.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use ferry_bundler::origin::{Entry, Tarball};

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A folder.
    Directory,
    /// A regular file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Symlink(String),
}

/// Members in the order of their paths. Paths are not checked: a hostile one may be put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members(pub BTreeMap<String, Member>);

impl Members {
    /// Puts a file and, where they are missing, the folders above it.
    pub fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        for (place, _) in path.match_indices('/') {
            self.0.entry(path[..place].to_owned()).or_insert(Member::Directory);
        }
        self.0.insert(path.to_owned(), Member::File(bytes.into()));
    }

    /// Puts a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        self.0.insert(path.to_owned(), Member::Symlink(target.to_owned()));
    }

    /// The members as a tar archive.
    #[must_use]
    pub fn tar(&self) -> Vec<u8> {
        let add = |tar: Tarball, (path, member): (&String, &Member)| match member {
            Member::Directory => tar.directory(path),
            Member::File(bytes) => tar.file(path, bytes),
            Member::Symlink(target) => tar.entry(&Entry::symlink(path, target), &[]),
        };
        self.0.iter().fold(Tarball::new(), add).finish()
    }

    /// Writes the members below a folder that exists.
    pub fn write_to(&self, folder: &Path) -> io::Result<()> {
        for (path, member) in &self.0 {
            let path = folder.join(path);
            match member {
                Member::Directory => fs::create_dir_all(path)?,
                Member::File(bytes) => fs::write(path, bytes)?,
                Member::Symlink(target) => symlink(target, path)?,
            }
        }
        Ok(())
    }
}
