//! What the scripts of all actions share: where ferry keeps its own state on a host, and the ledger.
//!
//! ```text
//! /var/lib/ferry/ledger          one line per change: time, what, key; appended and synced before and after each
//! /var/lib/ferry/before/KEY      what a file was before ferry first touched it (or KEY.absent)
//! /var/lib/ferry/undo/KEY        what takes a command back, where something does
//! /var/lib/ferry/stamps/KEY      the inputs with which a unit was last started, or a command last ended well
//! ```

use ferry_bundle_format::Digest;

use crate::host::quote;

/// Where ferry keeps its state on a host.
pub const STATE_FOLDER: &str = "/var/lib/ferry";

/// The ledger of changes on a host.
pub const LEDGER: &str = "/var/lib/ferry/ledger";

/// A short name for something long, the same in every run: 16 hex digits.
pub(super) fn key(text: &str) -> String {
    Digest::of(text.as_bytes()).hex()[..16].to_owned()
}

/// Functions that the scripts below use. `f_sync` has one file on disk, and not whatever else the host has still to write;
/// a `sync` that takes no file does that, too. `f_log` enters a line in the ledger; `f_keep` keeps what a file was before
/// the first change; all scripts of ferry on one host take turns, so that one that outlived its connection and its own
/// repetition do not meet.
pub(super) const PRELUDE: &str = r#"set -eu
S=/var/lib/ferry
umask 022
[ -d $S/before ] && [ -d $S/stamps ] && [ -d $S/undo ] || { mkdir -p -m 700 $S $S/before $S/stamps $S/undo; }
exec 9>$S/lock; flock -w 900 9
f_sync() { sync "$1" 2>/dev/null || sync; }
f_log() { printf '%s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >>$S/ledger; f_sync $S/ledger; }
f_keep() { [ -e "$S/before/$2" ] || [ -e "$S/before/$2.absent" ] || { if [ -e "$1" ]; then cp -a -- "$1" "$S/before/$2.part" && sync && mv -f -- "$S/before/$2.part" "$S/before/$2"; else : >"$S/before/$2.absent"; fi; }; }
"#;

/// A script that changes something: with the prelude, and entered in the ledger under `what`. When its turn has come it
/// looks once more whether it is so already (`probe` prints `wanted`): a script that outlived its connection may have done it
/// since somebody looked.
pub(super) fn changing(what: &str, (probe, wanted): (&str, &str), body: &str) -> String {
    let (what, wanted) = (quote(what), quote(wanted));
    format!(
        "{PRELUDE}[ \"$(set +eu; exec 9>&-\n{probe}\n)\" != {wanted} ] || exit 0\nf_log begin {what}\n{body}\nf_log done {what}\n"
    )
}

/// A script that takes something back, likewise.
pub(super) fn undoing(what: &str, body: &str) -> String {
    let what = quote(what);
    format!("{PRELUDE}f_log undo {what}\n{body}\nf_log undone {what}\n")
}
