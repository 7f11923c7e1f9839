//! The state folder of a site: its owner's alone, and for one run at a time.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::failure::{self, ExitCode, Failure};

/// The state folder holds keys and what was seen on hosts: it has to be its owner's alone.
pub(crate) fn private(state: &Path) -> Result<(), Failure> {
    let there = std::fs::metadata(state).map_err(failure::file("read", state))?;
    let ours = std::fs::metadata("/proc/self").map_err(failure::file("read", Path::new("/proc/self")))?;
    let name = state.display();
    if there.uid() != ours.uid() {
        return Err(Failure::new(
            ExitCode::Machine,
            format!(
                "the state folder {name} belongs to user {}, and ferry-install runs as {}",
                there.uid(),
                ours.uid()
            ),
        )
        .hint("run ferry-install as its owner, or name another folder with --state"));
    }
    if there.mode() & 0o077 != 0 {
        return Err(Failure::new(
            ExitCode::Machine,
            format!(
                "other users of this machine can enter the state folder {name} (mode {:04o})",
                there.mode() & 0o7777
            ),
        )
        .hint(format!("chmod 700 {name}")));
    }
    Ok(())
}

/// The lock of a run: nobody else's until the file is closed.
pub(crate) fn lock(state: &Path) -> Result<File, Failure> {
    let path = state.join("lock");
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failure::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(Failure::new(ExitCode::Held, format!("another ferry-install works in {}", state.display()))
            .hint("wait for it, or end it; the lock ends with it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_state_folder_that_others_can_enter_is_refused_with_what_to_type() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("demo.ferry");
        std::fs::create_dir(&state).expect("made");
        for mode in [0o755, 0o750, 0o701, 0o777] {
            std::fs::set_permissions(&state, std::fs::Permissions::from_mode(mode)).expect("changed");
            let failure = private(&state).expect_err("refused");
            assert_eq!(failure.code, ExitCode::Machine, "{mode:o}");
            assert_eq!(failure.hints, [format!("chmod 700 {}", state.display())], "{mode:o}");
        }
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).expect("changed");
        private(&state).expect("the owner's alone");
    }
}
