//! A folder with this owner and mode.

use serde::{Deserialize, Serialize};

use super::script::{changing, key, undoing};
use crate::host::quote;

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Its absolute path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
}

impl Folder {
    /// A folder of root's.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, owner: "root:root".into() }
    }

    /// With this owner, `user:group`.
    #[must_use]
    pub fn owner(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    pub(super) fn probe(&self) -> String {
        let path = quote(&self.path);
        format!(
            "if [ -d {path} ]; then stat -c '%a %U:%G' {path}/.; elif [ -e {path} ]; then echo other; else echo absent; fi"
        )
    }

    pub(super) fn wanted(&self) -> String {
        format!("{:o} {}", self.mode, self.owner)
    }

    fn what(&self) -> String {
        format!("folder:{}", self.path)
    }

    pub(super) fn apply(&self) -> String {
        let (path, key) = (quote(&self.path), key(&self.path));
        let body = format!(
            "[ -d {path} ] || {{ : >$S/before/{key}.absent; mkdir -p -- {path}; }}\nchown {} {path}; chmod {:o} {path}",
            quote(&self.owner),
            self.mode
        );
        changing(&self.what(), (&self.probe(), &self.wanted()), &body)
    }

    /// Only a folder that ferry made, and only when it is empty.
    pub(super) fn undo(&self) -> String {
        let (path, key) = (quote(&self.path), key(&self.path));
        let body = format!(
            "if [ -e $S/before/{key}.absent ]; then [ ! -d {path} ] || rmdir -- {path} 2>/dev/null || true; rm -f $S/before/{key}.absent; fi"
        );
        undoing(&self.what(), &body)
    }
}
