//! A folder with this owner and mode.

use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key};
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

    pub(super) fn part(&self) -> Part {
        let (path, key) = (quote(&self.path), key(&self.path));
        let body = format!(
            "if [ ! -d {path} ]; then : >$S/before/{key}.absent; f_sync $S/before; mkdir -p -- {path}; \
             elif [ ! -e $S/before/{key}.absent ] && [ ! -e $S/before/{key}.folder ]; then stat -c '%a %u:%g' {path}/. >$S/before/{key}.part; mv -f $S/before/{key}.part $S/before/{key}.folder; f_sync $S/before; fi\n\
             chown {} {path}; chmod {:o} {path}",
            quote(&self.owner),
            self.mode
        );
        Part { what: self.what(), probe: self.probe(), wanted: self.wanted(), body, input: Input::None }
    }

    /// A folder that ferry made goes when it is empty, unless something is mounted there; one that stood before gets its
    /// mode and owner back.
    pub(super) fn back(path: &str) -> String {
        let (path, key) = (quote(path), key(path));
        format!(
            "if [ -e $S/before/{key}.absent ]; then [ ! -d {path} ] || rmdir -- {path} 2>/dev/null || echo note: {path} stays, because it is not empty; \
             elif [ -e $S/before/{key}.folder ] && [ -d {path} ]; then read -r mode owner <$S/before/{key}.folder; chown \"$owner\" {path}; chmod \"$mode\" {path}; fi\n\
             rm -f -- $S/before/{key}.absent $S/before/{key}.folder"
        )
    }
}
