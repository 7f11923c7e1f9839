//! From a line of the ledger to what takes it back, without the action that made it: the host's own record is enough.
//!
//! ```text
//! file:PATH  folder:PATH  block:NAME PATH  unit:NAME     follow from the line and from `before/`
//! run:TITLE                                              as the command itself wrote it into `undo/KEY`
//! ```

use super::script::{PRELUDE, key};
use super::{Block, File, Folder, Unit};
use crate::host::quote;

/// The name under which the record of `what` lies in `undo/`.
#[must_use]
pub fn record_key(what: &str) -> String {
    key(what)
}

/// What takes `what` back, as the body of a script; `recorded` is what the host keeps in `undo/` for it. None where nothing
/// has to be, or can be, taken back.
#[must_use]
pub fn back(what: &str, recorded: Option<&str>) -> Option<String> {
    let (kind, rest) = what.split_once(':')?;
    match kind {
        "file" => Some(File::back(rest)),
        "folder" => Some(Folder::back(rest)),
        "unit" => Some(Unit::back(rest)),
        "block" => rest.split_once(' ').map(|(name, path)| Block::back(name, path)),
        "run" => recorded.map(|text| format!("( exec 9>&-\n{text}\n)")),
        _ => None,
    }
}

/// One script that takes all of these back, in this order, each entered in the ledger before and after. Whatever it was cut
/// off at, it can be run again.
#[must_use]
pub fn taking_back<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut script = PRELUDE.to_owned();
    for (what, body) in entries {
        let what = quote(what);
        script.push_str(&format!("f_log undo {what}\n{body}\nf_log undone {what}\n"));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_way_back_but_commands_without_a_record() {
        for what in ["file:/etc/x", "folder:/etc/y z", "unit:a.service", "block:demo /etc/hosts"] {
            assert!(back(what, None).is_some(), "{what}");
        }
        assert_eq!(back("run:image x", None), None);
        assert!(back("run:user etcd", Some("userdel etcd")).unwrap().contains("userdel etcd"));
        assert!(back("folder:/etc/y z", None).unwrap().contains("'/etc/y z'"));
    }
}
