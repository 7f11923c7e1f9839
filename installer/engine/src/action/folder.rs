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
    /// Whether one that is there already keeps its mode and owner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps: bool,
}

impl Folder {
    /// A folder of root's.
    pub fn new(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, owner: "root:root".into(), data: None, keeps: false }
    }

    /// With this owner, `user:group`.
    #[must_use]
    pub fn owner(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    /// One that is there already is somebody else's, and keeps its mode and owner.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        self.keeps = true;
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
        let stat = if self.keeps { "echo there".to_owned() } else { format!("stat -c '%a %U:%G' {path}/.") };
        let there = if taken.is_empty() { stat } else { format!("echo \"$({stat}) $({taken})\"") };
        format!("if [ -d {path} ]; then {there}; elif [ -e {path} ]; then echo other; else echo absent; fi")
    }

    pub(super) fn wanted(&self) -> String {
        let taken = if self.data.is_some() { " taken" } else { "" };
        if self.keeps { format!("there{taken}") } else { format!("{:o} {}{taken}", self.mode, self.owner) }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_that_is_somebody_elses_keeps_its_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("backup");
        let ours = Folder::new(path.display().to_string(), 0o755);
        let theirs = ours.clone().keeping();
        let seen = |folder: &Folder| {
            let output = std::process::Command::new("sh").args(["-c", &folder.probe()]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(seen(&theirs), "absent", "one that is not there is made");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o705)).unwrap();
        assert_eq!(seen(&theirs), theirs.wanted(), "nothing is to be done");
        assert_ne!(seen(&ours), ours.wanted());
    }
}
