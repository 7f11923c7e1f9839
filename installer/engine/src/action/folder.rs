//! A folder with this owner and mode.

use serde::{Deserialize, Serialize};

use super::Input;
use super::data::{self, DataKind};
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
    /// What it holds, where that must not be lost: then it is taken only if it is empty, and marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataKind>,
}

impl Folder {
    /// A folder of root's.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, owner: "root:root".into(), data: None }
    }

    /// With this owner, `user:group`.
    #[must_use]
    pub fn owner(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    /// As a folder that holds data of this kind.
    #[must_use]
    pub fn data(mut self, kind: DataKind) -> Self {
        self.data = Some(kind);
        self
    }

    pub(super) fn probe(&self) -> String {
        let path = quote(&self.path);
        let taken = self.data.map_or_else(String::new, |kind| data::probe(kind, &self.path));
        let stat = format!("stat -c '%a %U:%G' {path}/.");
        let there = if taken.is_empty() { stat } else { format!("echo \"$({stat}) $({taken})\"") };
        format!("if [ -d {path} ]; then {there}; elif [ -e {path} ]; then echo other; else echo absent; fi")
    }

    pub(super) fn wanted(&self) -> String {
        format!("{:o} {}{}", self.mode, self.owner, if self.data.is_some() { " taken" } else { "" })
    }

    fn what(&self) -> String {
        format!("folder:{}", self.path)
    }

    pub(super) fn part(&self) -> Part {
        let (path, key) = (quote(&self.path), key(&self.path));
        // A data folder is judged before anything is done to it.
        let (take, mark) = self.data.map_or_else(Default::default, |kind| {
            let words = format!("{} {path}", kind.word());
            (format!("{}f_data {words}\n", data::taking()), format!("\nf_data_mark {words}"))
        });
        let body = format!(
            "{take}if [ ! -d {path} ]; then : >$S/before/{key}.absent; f_sync $S/before; mkdir -p -- {path}; \
             elif [ ! -e $S/before/{key}.absent ] && [ ! -e $S/before/{key}.folder ]; then stat -c '%a %u:%g' {path}/. >$S/before/{key}.part; mv -f $S/before/{key}.part $S/before/{key}.folder; f_sync $S/before; fi\n\
             chown {} {path}; chmod {:o} {path}{mark}",
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
