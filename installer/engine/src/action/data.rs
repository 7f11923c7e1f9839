//! Folders that hold what a site must not lose: etcd, the registry, snapshots, volumes. ferry takes one that is absent or empty,
//! marks it, and later deletes nothing but what lies in a folder with its mark, under the path that was recorded.
//!
//! ```text
//! /var/lib/ferry/install      the id of this install on this host, made once
//! DATA/.ferry-data            the mark: four lines, `ferry-data 1`, `install ID`, `kind KIND`, `path DATA`; a fifth, `released`,
//!                             once an uninstall has left the content, so that the next install may take it
//! ledger                      `data ID KIND DATA` before the mark is written; `gone …` or `left …` when it is taken back
//! /var/lib/ferry/kept         `KIND DATA`: a folder that a ferry without marks has used and in which others have put something:
//!                             it goes on to be used, and nothing in it is ever deleted
//! ```
//! Even in a marked folder only what has a name of ferry's programs is deleted ([`FUNCTIONS`], `f_known`).

use serde::{Deserialize, Serialize};

use super::script::PRELUDE;
use crate::host::{TRUSTED, quote};

/// What a data folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataKind {
    /// A member of etcd.
    Etcd,
    /// The registry's content.
    Registry,
    /// Snapshots of etcd.
    Snapshots,
    /// Volumes of pods.
    Volumes,
}

impl DataKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Etcd, Self::Registry, Self::Snapshots, Self::Volumes];

    /// The word for it in marks and ledgers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Registry => "registry",
            Self::Snapshots => "snapshots",
            Self::Volumes => "volumes",
        }
    }

    /// From the word for it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Whether an uninstall leaves the content, unless it is told not to.
    #[must_use]
    pub const fn outlives(self) -> bool {
        matches!(self, Self::Snapshots | Self::Volumes)
    }
}

/// A data folder as a host's ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFolder {
    /// The id of the install that took it; `None` where a ferry without marks did.
    pub install: Option<String>,
    /// What it holds.
    pub kind: DataKind,
    /// Its path, as the site file had it then.
    pub path: String,
}

/// Shell functions about data folders. They need those of the prelude.
const FUNCTIONS: &str = r#"f_id() { [ -s "$S/install" ] || { cat /proc/sys/kernel/random/uuid >"$S/install.part"; chmod 600 "$S/install.part"; f_sync "$S/install.part"; mv -f "$S/install.part" "$S/install"; f_sync "$S"; }; cat "$S/install"; }
f_text() { printf 'ferry-data 1\ninstall %s\nkind %s\npath %s\n' "$1" "$2" "$3"; }
# Whether the folder has the mark of ID KIND PATH. It is never followed as a link, nor read as anything but a file.
f_marked() { [ -f "$3/.ferry-data" ] && [ ! -L "$3/.ferry-data" ] && [ "$(cat "$3/.ferry-data")" = "$(f_text "$1" "$2" "$3")" ]; }
f_released() { [ -f "$2/.ferry-data" ] && [ ! -L "$2/.ferry-data" ] && [ "$(sed -e 2d -e 4d "$2/.ferry-data")" = "$(printf 'ferry-data 1\nkind %s\nreleased' "$1")" ]; }
# Whether a name in a folder of this kind is one that ferry's programs make.
f_known() { case $1:$2 in
*:.ferry-data|*:.ferry-data.part|*:lost+found) ;;
etcd:member|etcd:member.before-*|etcd:restore-*|registry:docker|volumes:pvc-*_*_*) ;;
snapshots:etcd-????????T??????Z.db|snapshots:etcd-????????T??????Z.db.json|snapshots:etcd-????????T??????Z.db*.part) ;;
snapshots:from-*|snapshots:restore|snapshots:.ferry-rehearsal|snapshots:rehearsal) ;;
*) return 1;; esac; }
# The first names in the folder that are not; nothing where there are none.
f_strange() { f_c=0; for f_e in "$2"/* "$2"/.[!.]* "$2"/..?*; do if f_there "$f_e" && ! f_known "$1" "${f_e##*/}"; then f_c=$((f_c+1)); [ $f_c -gt 3 ] || printf '%s ' "$(printf %s "${f_e##*/}" | tr -cd '[:print:]' | cut -c1-60)"; fi; done
[ $f_c -le 3 ] || printf 'and %s more' $((f_c-3)); }
f_empty() { for f_e in "$1"/* "$1"/.[!.]* "$1"/..?*; do case ${f_e##*/} in lost+found|.ferry-data|.ferry-data.part) continue;; esac; ! f_there "$f_e" || return 1; done; }
# Whether the content looks like that of its kind.
f_looks() { case $1 in etcd) [ -d "$2/member" ];; registry) [ -d "$2/docker" ];; snapshots) ls -d "$2"/etcd-*T*Z.db "$2"/from-* >/dev/null 2>&1 || [ -d "$2/restore" ];; volumes) ls -d "$2"/pvc-*_*_* >/dev/null 2>&1;; esac; }
# Writes the mark: a new file, never through a link that the folder's owner has put there.
f_write() { rm -f -- "$1/.ferry-data.part"; ( set -C; umask 077; cat >"$1/.ferry-data.part" ); f_sync "$1/.ferry-data.part"; mv -fT -- "$1/.ferry-data.part" "$1/.ferry-data"; f_sync "$1"; }
f_refuse() { echo "$1" >&2; exit 1; }
# Whether a ferry without marks has used this folder for this kind: its ledger says that it was done, and no folder of the kind has a mark.
f_old() { [ -s "$S/ledger" ] || return 1
f_w="folder:$2"; [ "$1" != volumes ] || f_w=unit:kubelet.service
awk -v k="$1" -v w="$f_w" '{ v = $2; l = $0; sub(/^[^ ]+ [^ ]+ /, "", l); if ((v == "data" || v == "left") && $4 == k) m = 1; if (l == w && v == "done") f = 1; if (l == w && v == "undone") f = 0 } END { exit !(f && !m) }' "$S/ledger"; }
"#;

/// Takes a folder, `f_data KIND PATH`, before anything else is done to it; marks it, `f_data_mark KIND PATH`, once it is there.
const TAKE: &str = r#"f_data() { f_i=$(f_id); f_new=
! f_marked "$f_i" "$1" "$2" && ! grep -qxF -e "$1 $2" "$S/kept" 2>/dev/null || return 0
f_trusted "$2" || f_refuse "$2: the folder that it lies in, or one above, can be changed by other users than root: choose another place, or change its owner and mode"
if [ -d "$2" ]; then
if f_empty "$2" || { case $1 in snapshots|volumes) f_released "$1" "$2";; *) false;; esac; }; then :
elif f_there "$2/.ferry-data"; then f_refuse "$2 belongs to another install of ferry: move it away, or choose another folder"
elif f_old "$1" "$2" && f_looks "$1" "$2"; then
if [ -n "$(f_strange "$1" "$2")" ]; then echo "$1 $2" >>"$S/kept"; f_sync "$S/kept"; return 0; fi
else f_refuse "$2 is not empty: ferry takes only an empty folder, because it deletes what is in it later. Save what is in it and move it away, or choose another folder"; fi
elif f_there "$2"; then f_refuse "$2 is no folder"; fi
f_new=1; f_log data "$f_i $1 $2"; }
f_data_mark() { [ -z "$f_new" ] || f_text "$f_i" "$1" "$2" | f_write "$2"; }
"#;

/// Takes folders back: `f_wipe ID KIND PATH` deletes what ferry's programs have put there, `f_leave ID KIND PATH` lets the content be.
/// The id `-` stands for a ferry without marks. What can't be told to be ferry's stays, and a note says so.
const GIVE_BACK: &str = r#"f_ours() { if [ "$1" = - ]; then ! f_there "$3/.ferry-data" && f_looks "$2" "$3" && [ -z "$(f_strange "$2" "$3")" ]; else f_marked "$1" "$2" "$3"; fi; }
f_wipe() { [ -d "$3" ] || { f_log gone "$1 $2 $3"; return 0; }
if ! f_trusted "$3" || ! f_ours "$1" "$2" "$3"; then
f_empty "$3" || echo "note: $3 stays, with what is in it: nothing there shows that it is still the folder that this install of ferry took"
f_log gone "$1 $2 $3"; return 0; fi
if awk -v d="$(readlink -f -- "$3")/" 'index($5, d) == 1 { f = 1 } END { exit !f }' /proc/self/mountinfo; then f_refuse "$3: something is still mounted below; see \`findmnt\`, end what uses it, and run this again"; fi
for f_e in "$3"/* "$3"/.[!.]* "$3"/..?*; do f_there "$f_e" || continue
case ${f_e##*/} in .ferry-data|lost+found) continue;; esac
f_known "$2" "${f_e##*/}" || continue
case $2:${f_e##*/} in snapshots:from-*|snapshots:restore) [ -d "$f_e" ] && [ ! -L "$f_e" ] || continue
rm -f -- "$f_e"/etcd-????????T??????Z.db "$f_e"/snapshot.db "$f_e"/.ferry-part-*; rmdir -- "$f_e" 2>/dev/null || :;;
*) rm -rf --one-file-system -- "$f_e";; esac
done
f_s=$(f_strange "$2" "$3"); [ -z "$f_s" ] || echo "note: $3 stays, with what ferry has not made: $f_s"
rm -f -- "$3/.ferry-data"; f_sync "$3"; f_log gone "$1 $2 $3"; }
f_leave() { [ -d "$3" ] || { f_log gone "$1 $2 $3"; return 0; }
if f_empty "$3"; then ! f_marked "$1" "$2" "$3" || rm -f -- "$3/.ferry-data"; f_log gone "$1 $2 $3"; return 0; fi
if f_trusted "$3" && f_ours "$1" "$2" "$3"; then { f_text "$1" "$2" "$3"; echo released; } | f_write "$3"; fi
echo "note: $3 stays, with what is in it"; f_log left "$1 $2 $3"; }
"#;

/// The functions with which a folder is taken.
pub(super) fn taking() -> String {
    format!("{TRUSTED}{FUNCTIONS}{TAKE}")
}

/// A script that takes a folder of this kind outside a plan, with this mode, for root; for copies of snapshots on another host.
#[must_use]
pub fn take_folder(kind: DataKind, path: &str, mode: u32) -> String {
    let above = path.rsplit_once('/').map_or("/", |(above, _)| if above.is_empty() { "/" } else { above });
    let quoted = quote(above);
    // Recorded before the folder, so that it is taken back after it, if nothing else is in it then.
    let make = super::Run::unless(
        format!("folder {above}"),
        super::Subject::Other,
        format!("[ -d {quoted} ]"),
        format!("mkdir -p -m 755 {quoted}"),
    );
    let make = make.undone_by(format!("rmdir {quoted} 2>/dev/null || :"));
    super::script(&[make.part(), super::Folder::new(path, mode).data(kind).part()])
}

/// A script that takes these folders back; with `wipe` the content goes, else it stays.
#[must_use]
pub fn give_back<'a>(folders: impl IntoIterator<Item = (&'a DataFolder, bool)>) -> String {
    let mut script = format!("{PRELUDE}{TRUSTED}{FUNCTIONS}{GIVE_BACK}");
    for (folder, wipe) in folders {
        let verb = if wipe { "f_wipe" } else { "f_leave" };
        let install = folder.install.as_deref().unwrap_or("-");
        script.push_str(&format!("{verb} {} {} {}\n", quote(install), folder.kind.word(), quote(&folder.path)));
    }
    script
}

/// What a probe of a data folder prints after mode and owner: `taken`, or what is still to be done.
pub(super) fn probe(kind: DataKind, path: &str) -> String {
    let (kind, path) = (kind.word(), quote(path));
    format!(
        "if [ -f {path}/.ferry-data ] && [ ! -L {path}/.ferry-data ] && [ \"$(cat {path}/.ferry-data)\" = \"$(printf 'ferry-data 1\\ninstall %s\\nkind {kind}\\npath %s' \"$(cat /var/lib/ferry/install 2>/dev/null)\" {path})\" ] || grep -qxF -e {kind}' '{path} /var/lib/ferry/kept 2>/dev/null; then echo taken; else echo 'not taken'; fi"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Output};

    use super::super::script::{SHELLS, said, script};
    use super::super::{Folder, taking_back};
    use super::*;

    struct Bed {
        folder: tempfile::TempDir,
        shell: &'static [&'static str],
    }

    impl Bed {
        fn new(shell: &'static [&'static str]) -> Self {
            Self { folder: tempfile::tempdir().unwrap(), shell }
        }
        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }
        fn sh(&self, script: &str) -> Output {
            let script = script.replace("/var/lib/ferry", &self.at("state").display().to_string());
            Command::new(self.shell[0]).args(&self.shell[1..]).args(["-c", &script]).output().unwrap()
        }
        fn put(&self, name: &str, text: &str) {
            let path = self.at(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        fn folder(&self, kind: DataKind, name: &str) -> Folder {
            let text = |flag: &str| {
                let output = Command::new("id").arg(flag).output().unwrap();
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            };
            let owner = format!("{}:{}", text("-un"), text("-gn"));
            Folder::new(self.at(name).display().to_string(), 0o700).owner(&owner).data(kind)
        }
        fn take(&self, kind: DataKind, name: &str) -> Result<(), String> {
            let part = self.folder(kind, name).part();
            let output = self.sh(&script(std::slice::from_ref(&part)));
            let seen = said(&String::from_utf8_lossy(&output.stdout)).seen.remove(&0);
            match (output.status.success(), seen) {
                (true, Some(seen)) if seen == part.wanted => Ok(()),
                (_, seen) => Err(format!("{seen:?} {}", String::from_utf8_lossy(&output.stderr))),
            }
        }
        fn ledger(&self) -> String {
            std::fs::read_to_string(self.at("state/ledger")).unwrap_or_default()
        }
        fn install(&self) -> Option<String> {
            std::fs::read_to_string(self.at("state/install")).ok().map(|text| text.trim().to_owned())
        }
        fn give_back(&self, install: Option<String>, kind: DataKind, name: &str, wipe: bool) -> String {
            let one = DataFolder { install, kind, path: self.at(name).display().to_string() };
            let output = self.sh(&give_back([(&one, wipe)]));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
            text
        }
        fn names(&self, name: &str) -> BTreeSet<String> {
            let Ok(entries) = std::fs::read_dir(self.at(name)) else { return BTreeSet::new() };
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
        }
    }

    /// What each kind's programs put into its folder.
    fn fill(bed: &Bed, kind: DataKind, name: &str) {
        let files: &[&str] = match kind {
            DataKind::Etcd => &["member/snap/db", "member.before-1/snap/db", "restore-2/member/x"],
            DataKind::Registry => &["docker/registry/v2/x"],
            DataKind::Snapshots => &[
                "etcd-20260101T000000Z.db",
                "etcd-20260101T000000Z.db.json",
                "etcd-20260101T000000Z.db.part",
                "from-b/etcd-20260101T000000Z.db",
                "restore/snapshot.db",
            ],
            DataKind::Volumes => &["pvc-1_a_b/x", "pvc-2_a_b/y"],
        };
        for file in files {
            bed.put(&format!("{name}/{file}"), "ferry's");
        }
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn an_empty_folder_is_taken_and_marked_and_only_what_ferry_put_there_is_wiped() {
        for shell in SHELLS {
            for kind in DataKind::ALL {
                let bed = Bed::new(shell);
                bed.take(kind, "my data").unwrap();
                let id = bed.install().unwrap();
                let mark = std::fs::read_to_string(bed.at("my data/.ferry-data")).unwrap();
                let path = bed.at("my data").display().to_string();
                assert_eq!(mark, format!("ferry-data 1\ninstall {id}\nkind {}\npath {path}\n", kind.word()));
                let mode = std::fs::metadata(bed.at("my data/.ferry-data")).unwrap().permissions().mode();
                assert!(mode & 0o777 == 0o600 && id.len() == 36, "{mode:o} {id}");
                assert!(bed.ledger().contains(&format!(" data {id} {} {path}\n", kind.word())));
                // Again it changes nothing, also once it is full.
                fill(&bed, kind, "my data");
                let before = bed.ledger();
                bed.take(kind, "my data").unwrap();
                assert_eq!(bed.ledger(), before);

                bed.put("my data/of others", "x");
                bed.put("my data/.hidden", "x");
                bed.put("elsewhere", "x");
                symlink(bed.at("elsewhere"), bed.at("my data/link")).unwrap();
                let said = bed.give_back(Some(id.clone()), kind, "my data", true);
                assert_eq!(bed.names("my data"), set(&["of others", ".hidden", "link"]), "{kind:?} {said}");
                assert!(
                    said.contains("stays, with what ferry has not made: ") && bed.at("elsewhere").exists(),
                    "{said}"
                );
                assert!(bed.ledger().contains(&format!(" gone {id} {} {path}\n", kind.word())));
            }
        }
    }

    #[test]
    fn what_is_not_empty_or_of_somebody_else_is_refused_and_left_as_it_was() {
        for shell in SHELLS {
            for kind in DataKind::ALL {
                let bed = Bed::new(shell);
                let refused = |name: &str, why: &str| {
                    let said = bed.take(kind, name).unwrap_err();
                    assert!(said.contains(why), "{kind:?} {name}: {said}");
                    assert!(!bed.ledger().contains(" data "), "{}", bed.ledger());
                };
                // Also where what is there looks like the data of another cluster.
                fill(&bed, kind, "theirs");
                std::fs::set_permissions(bed.at("theirs"), std::fs::Permissions::from_mode(0o751)).unwrap();
                let names = bed.names("theirs");
                refused("theirs", "is not empty");
                assert_eq!(bed.names("theirs"), names);
                assert_eq!(std::fs::metadata(bed.at("theirs")).unwrap().permissions().mode() & 0o777, 0o751);
                bed.put("srv/.hidden", "x");
                refused("srv", "is not empty");
                bed.put("file", "x");
                refused("file", "is no folder");
                symlink("/nowhere", bed.at("dangling")).unwrap();
                refused("dangling", "is no folder");
                bed.put("open/x", "x");
                std::fs::set_permissions(bed.at("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
                refused("open/data", "can be changed by other users");
                // A mark of another install, one that is a link to our own, and one for another path.
                fill(&bed, kind, "other");
                bed.put(
                    "other/.ferry-data",
                    &format!("ferry-data 1\ninstall other\nkind {}\npath {}\n", kind.word(), bed.at("other").display()),
                );
                refused("other", "belongs to another install");
                // The ledger has the tries, and no uninstall may take them for more.
                assert!(bed.ledger().contains(" begin folder:"));
            }
        }
    }

    #[test]
    fn without_the_very_mark_nothing_is_wiped() {
        for shell in SHELLS {
            for kind in DataKind::ALL {
                for how in
                    ["gone", "other install", "other kind", "other path", "link", "folder is a link", "open parent"]
                {
                    let bed = Bed::new(shell);
                    std::fs::create_dir(bed.at("parent")).unwrap();
                    bed.take(kind, "parent/data").unwrap();
                    fill(&bed, kind, "parent/data");
                    let (id, mark) = (bed.install().unwrap(), bed.at("parent/data/.ferry-data"));
                    let text = std::fs::read_to_string(&mark).unwrap();
                    match how {
                        "gone" => std::fs::remove_file(&mark).unwrap(),
                        "other install" => std::fs::write(&mark, text.replace(&id, "other")).unwrap(),
                        "other kind" => std::fs::write(&mark, text.replace(kind.word(), "x")).unwrap(),
                        "other path" => std::fs::write(&mark, text.replace("parent", "other")).unwrap(),
                        "link" => {
                            bed.put("mark", &text);
                            std::fs::remove_file(&mark).unwrap();
                            symlink(bed.at("mark"), &mark).unwrap();
                        }
                        "folder is a link" => {
                            std::fs::remove_dir_all(bed.at("parent/data")).unwrap();
                            fill(&bed, kind, "theirs");
                            symlink(bed.at("theirs"), bed.at("parent/data")).unwrap();
                        }
                        _ => {
                            std::fs::set_permissions(bed.at("parent"), std::fs::Permissions::from_mode(0o777)).unwrap();
                        }
                    }
                    let names = bed.names("parent/data");
                    for wipe in [false, true] {
                        let said = bed.give_back(Some(id.clone()), kind, "parent/data", wipe);
                        assert!(said.contains("note: ") && said.contains("stays"), "{how}: {said}");
                        assert_eq!(bed.names("parent/data"), names, "{kind:?} {how}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_an_uninstall_leaves_is_taken_by_the_next_install() {
        for shell in SHELLS {
            for kind in DataKind::ALL {
                let bed = Bed::new(shell);
                bed.take(kind, "data").unwrap();
                fill(&bed, kind, "data");
                let names = bed.names("data");
                let said = bed.give_back(bed.install(), kind, "data", false);
                assert!(said.contains("stays, with what is in it") && bed.names("data") == names, "{said}");
                std::fs::remove_dir_all(bed.at("state")).unwrap();
                let again = bed.take(kind, "data");
                assert_eq!(again.is_ok(), kind.outlives(), "{kind:?} {again:?}");
                if kind.outlives() {
                    bed.give_back(bed.install(), kind, "data", true);
                    assert!(bed.names("data").is_empty(), "{:?}", bed.names("data"));
                }
            }
        }
    }

    #[test]
    fn folders_of_a_ferry_without_marks_are_marked_if_nothing_else_is_in_them() {
        for shell in SHELLS {
            for kind in DataKind::ALL {
                let bed = Bed::new(shell);
                let path = bed.at("data").display().to_string();
                let old = format!("T begin folder:{path}\nT done folder:{path}\nT done unit:kubelet.service\n");
                bed.put("state/ledger", &old);
                fill(&bed, kind, "data");
                bed.take(kind, "data").unwrap();
                assert!(bed.names("data").contains(".ferry-data"), "{kind:?}");
                // One in which others have put something is used on, and never emptied.
                let bed = Bed::new(shell);
                bed.put("state/ledger", &old.replace(&path, &bed.at("data").display().to_string()));
                fill(&bed, kind, "data");
                bed.put("data/of others", "x");
                let names = bed.names("data");
                bed.take(kind, "data").unwrap();
                bed.take(kind, "data").unwrap();
                assert!(bed.names("data") == names && !bed.ledger().contains(" data "), "{kind:?}");
                bed.give_back(None, kind, "data", true);
                assert_eq!(bed.names("data"), names, "{kind:?}");
                // One that the ledger does not name, or that holds something else, is refused.
                let bed = Bed::new(shell);
                bed.put("state/ledger", "T done folder:/other\nT begin unit:kubelet.service\n");
                fill(&bed, kind, "data");
                assert!(bed.take(kind, "data").unwrap_err().contains("is not empty"));
                let bed = Bed::new(shell);
                bed.put("state/ledger", &old.replace(&path, &bed.at("data").display().to_string()));
                bed.put("data/x", "x");
                assert!(bed.take(kind, "data").unwrap_err().contains("is not empty"));
                // Straight to the uninstall.
                let bed = Bed::new(shell);
                fill(&bed, kind, "data");
                bed.give_back(None, kind, "data", true);
                assert!(bed.names("data").is_empty());
            }
        }
    }

    #[test]
    fn a_folder_is_undone_only_as_far_as_it_was_changed() {
        for shell in SHELLS {
            let bed = Bed::new(shell);
            bed.put("srv/x", "x");
            std::fs::set_permissions(bed.at("srv"), std::fs::Permissions::from_mode(0o751)).unwrap();
            bed.take(DataKind::Etcd, "srv").unwrap_err();
            let what = format!("folder:{}", bed.at("srv").display());
            let body = super::super::back(&what, None).unwrap();
            assert!(bed.sh(&taking_back([(what.as_str(), body.as_str())])).status.success());
            assert!(bed.at("srv/x").exists());
            assert_eq!(std::fs::metadata(bed.at("srv")).unwrap().permissions().mode() & 0o777, 0o751);
        }
    }

    #[test]
    fn the_owner_of_a_folder_can_not_have_root_write_elsewhere() {
        for shell in SHELLS {
            let bed = Bed::new(shell);
            bed.put("target", "kept");
            std::fs::create_dir(bed.at("data")).unwrap();
            symlink(bed.at("target"), bed.at("data/.ferry-data.part")).unwrap();
            bed.take(DataKind::Etcd, "data").unwrap();
            // Between two of its commands, too: a new file is made, or none.
            let races = format!(
                "{PRELUDE}{FUNCTIONS}rm() {{ :; }}\nln -sf {0}/target {0}/data/.ferry-data.part\necho x | f_write {0}/data",
                bed.folder.path().display()
            );
            assert!(!bed.sh(&races).status.success());
            assert_eq!(std::fs::read_to_string(bed.at("target")).unwrap(), "kept");
        }
    }

    #[test]
    fn a_folder_outside_a_plan_goes_with_the_one_around_it() {
        for shell in SHELLS {
            let bed = Bed::new(shell);
            let path = bed.at("up/data").display().to_string();
            let owner = bed.folder(DataKind::Snapshots, "x").owner;
            let script = take_folder(DataKind::Snapshots, &path, 0o700).replace("root:root", &owner);
            assert!(bed.sh(&script).status.success());
            assert!(bed.names("up/data").contains(".ferry-data"));
            bed.put("up/data/from-b/etcd-20260101T000000Z.db", "x");
            bed.give_back(bed.install(), DataKind::Snapshots, "up/data", true);
            let undo = format!("rmdir {} 2>/dev/null || :", bed.at("up").display());
            let entries = [format!("folder:{path}"), format!("run:folder {}", bed.at("up").display())];
            let bodies: Vec<String> = entries.iter().filter_map(|what| super::super::back(what, Some(&undo))).collect();
            let pairs = entries.iter().map(String::as_str).zip(bodies.iter().map(String::as_str));
            assert!(bed.sh(&taking_back(pairs)).status.success() && !bed.at("up").exists());
            let ledger = bed.ledger();
            let at = |line: &str| ledger.find(line).unwrap();
            assert!(at(" begin run:folder ") < at(&format!(" begin folder:{path}")), "{ledger}");
        }
    }

    #[test]
    fn words_are_read_back() {
        assert!(DataKind::ALL.into_iter().all(|kind| DataKind::parse(kind.word()) == Some(kind)));
        assert_eq!(DataKind::parse("x"), None);
    }
}
