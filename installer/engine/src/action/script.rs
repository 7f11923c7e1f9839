//! What the scripts of all actions share: where ferry keeps its own state on a host, and the ledger.
//!
//! ```text
//! /var/lib/ferry/ledger          one line per change: time, what, key; appended and synced before and after each
//! /var/lib/ferry/before/KEY      what a file was before ferry first touched it (or KEY.absent)
//! /var/lib/ferry/undo/KEY        what takes a command back, where something does
//! /var/lib/ferry/stamps/KEY      the inputs with which a unit was last started, or a command last ended well
//! ```

use std::collections::{BTreeMap, BTreeSet};

use ferry_bundle_format::Digest;

use super::Input;
use crate::host::{Secret, Stdin, quote};

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
/// repetition do not meet. One that waits says for whom.
pub(super) const PRELUDE: &str = r#"set -eu
S=/var/lib/ferry
umask 022
[ -d $S/before ] && [ -d $S/stamps ] && [ -d $S/undo ] || { mkdir -p -m 700 $S $S/before $S/stamps $S/undo; }
exec 9>>$S/lock
f_holders() { for f_p in /proc/[0-9]*; do [ "$f_p" = "/proc/$$" ] || [ "$(readlink "$f_p/fd/9" 2>/dev/null)" != "$S/lock" ] || echo "  process $(ps -o pid=,etime=,comm= -p "${f_p#/proc/}" 2>/dev/null)"; done
echo "  last line of the ledger: $(tail -n 1 $S/ledger 2>/dev/null)"; }
flock -n 9 || { echo 'waiting for another script of ferry on this host:' >&2; f_holders >&2; flock -w 900 9 || {
echo 'timed out: another script of ferry on this host has been running for 900 seconds:' >&2; f_holders >&2; exit 75; }; }
f_sync() { sync "$1" 2>/dev/null || sync; }
f_log() { printf '%s %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >>$S/ledger; f_sync $S/ledger; }
f_there() { [ -e "$1" ] || [ -L "$1" ]; }
f_keep() { f_there "$S/before/$2" || [ -e "$S/before/$2.absent" ] || { if f_there "$1"; then cp -a -- "$1" "$S/before/$2.part" && f_sync "$S/before/$2.part" && mv -f -- "$S/before/$2.part" "$S/before/$2"; else : >"$S/before/$2.absent"; fi; f_sync "$S/before"; }; }
"#;

/// What an action is within a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the ledger.
    pub(super) what: String,
    /// Prints on one line how things stand, and changes nothing.
    pub(super) probe: String,
    /// What the probe prints when nothing is to be done.
    pub(super) wanted: String,
    /// Makes it so. Run under `set -eu`, in a shell of its own.
    pub(super) body: String,
    /// What the body reads.
    pub(super) input: Input,
}

/// Sees to one part: `f_part NUMBER WHAT WANTED [reads]`, with the functions `pNUMBER` that looks and `dNUMBER` that does. Looks,
/// does what is missing, looks again; what is still not as wanted ends the script. What a part reads stands on the script's
/// standard input, after its length in bytes on a line of its own; `dd` takes just as much, and leaves the rest to those after it.
///
/// What a part prints stands between ferry's own marks. A word of chance, made on the host by each run and printed before
/// anything else, tells them apart: no program that a part runs knows it.
const PARTS: &str = r#"read -r f_mark </proc/sys/kernel/random/uuid
printf '@ferry-marks %s\n' "$f_mark"
f_see() { f_seen=$(set +eu; exec 9>&-; p$1 </dev/null) || :; }
f_take() { read -r f_size; [ "$f_size" = 0 ] || dd bs="$f_size" count=1 iflag=fullblock 2>/dev/null; }
f_part() {
f_see $1
if [ "$f_seen" = "$3" ]; then [ -z "${4-}" ] || f_take >/dev/null; else
printf '\n@ferry-begin %s %s\n' "$f_mark" $1
f_log begin "$2"
if [ -n "${4-}" ]; then f_take | ( d$1 ); else ( d$1 ) </dev/null; fi
f_log done "$2"
f_see $1
fi
printf '\n@ferry-seen %s %s %s\n' "$f_mark" $1 "$f_seen"
[ "$f_seen" = "$3" ] || exit 0
}
"#;

/// One script that sees to these parts, in this order. Each looks when its turn has come whether it is so already: a script
/// that outlived its connection may have done it since somebody looked. Each is entered in the ledger before and after.
#[must_use]
pub fn script(parts: &[Part]) -> String {
    let mut script = format!("{PRELUDE}{PARTS}");
    for (n, part) in parts.iter().enumerate() {
        let (what, wanted) = (quote(&part.what), quote(&part.wanted));
        let reads = if part.input == Input::None { "" } else { " reads" };
        let (probe, body) = (part.probe.trim_end(), part.body.trim_end());
        script.push_str(&format!("p{n}() {{\n{probe}\n}}\nd{n}() {{\n{body}\n}}\nf_part {n} {what} {wanted}{reads}\n"));
    }
    script
}

/// What the script of these parts reads, with `vault` to look secrets up; `None` where the vault does not hold one.
pub fn stdin(parts: &[Part], vault: &dyn Fn(&str) -> Option<Secret>) -> Option<Stdin> {
    let (mut text, mut secret) = (String::new(), false);
    for part in parts {
        let input = match &part.input {
            Input::None => continue,
            Input::Text(text) => Secret::new(text.as_str()),
            Input::Vault(name) => {
                secret = true;
                vault(name)?
            }
        };
        text.push_str(&format!("{}\n{}", input.expose().len(), input.expose()));
    }
    Some(match (text.is_empty(), secret) {
        (true, _) => Stdin::Empty,
        (false, true) => Stdin::Secret(Secret::new(text)),
        (false, false) => Stdin::Text(text),
    })
}

/// What a script of parts has said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The parts that were not as wanted, and were begun.
    pub begun: BTreeSet<usize>,
    /// How those stand that were looked at to the end.
    pub seen: BTreeMap<usize, String>,
    /// What else was printed.
    pub rest: String,
}

/// Reads what a script of parts has printed. A line is a mark only with the word that the script began with.
#[must_use]
pub fn said(text: &str) -> Said {
    let mut said = Said::default();
    let mut lines = text.lines().peekable();
    let word = lines.next_if(|line| line.starts_with(MARKS)).map(|line| line[MARKS.len()..].trim());
    // A word of nothing would make every line a mark.
    let marks = word.filter(|word| !word.is_empty()).map(|word| {
        let mark = |kind: &str| format!("@ferry-{kind} {word} ");
        (mark("begin"), mark("seen"))
    });
    for line in lines {
        let of = |mark: &str| line.strip_prefix(mark);
        if let Some(n) = marks.as_ref().and_then(|marks| of(&marks.0)?.parse().ok()) {
            said.begun.insert(n);
        } else if let Some((n, seen)) = marks.as_ref().and_then(|marks| {
            let (n, seen) = of(&marks.1)?.split_once(' ')?;
            Some((n.parse().ok()?, seen))
        }) {
            said.seen.insert(n, seen.trim().to_owned());
        } else if !line.is_empty() {
            said.rest.push_str(line);
            said.rest.push('\n');
        }
    }
    said
}

/// What the first line of a script's output begins with; the word of its marks follows.
pub const MARKS: &str = "@ferry-marks ";

/// The shells that `sh` is on the systems ferry knows: dash, bash.
#[cfg(test)]
pub(super) const SHELLS: [&[&str]; 2] = [&["dash"], &["bash", "--posix"]];

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::*;

    fn part(what: &str, probe: &str, body: &str, input: Input) -> Part {
        let text = |text: &str| text.to_owned();
        Part { what: text(what), probe: text(probe), wanted: text("yes"), body: text(body), input }
    }

    /// A part that writes what it reads into a file.
    fn copy(name: &str, text: &str) -> Part {
        let probe = format!("if [ -e {name} ]; then echo yes; else echo no; fi");
        part(&format!("file:{name}"), &probe, &format!("cat >{name}"), Input::Text(text.into()))
    }

    fn run(shell: &[&str], folder: &Path, parts: &[Part]) -> (Said, Output) {
        let vault = |name: &str| (name == "known").then(|| Secret::new("s3cret\n"));
        let input = match stdin(parts, &vault).unwrap() {
            Stdin::Empty => String::new(),
            Stdin::Text(text) => text,
            Stdin::Secret(secret) => secret.expose().to_owned(),
        };
        let script = script(parts).replace("/var/lib/ferry", &folder.join("state").display().to_string());
        let mut child = Command::new(shell[0]);
        child.args(&shell[1..]).args(["-c", &script]).current_dir(folder);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // In small pieces, as they may come from a network.
        let feed = std::thread::spawn(move || {
            for piece in input.as_bytes().chunks(1000) {
                if pipe.write_all(piece).is_err() {
                    return;
                }
            }
        });
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap();
        (said(&String::from_utf8_lossy(&output.stdout)), output)
    }

    #[test]
    fn each_part_reads_its_own_input_whether_others_are_done_or_not() {
        let large = "ü long line\n".repeat(20_000);
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let at = folder.path();
            std::fs::write(at.join("b"), "old").unwrap();
            let mut parts =
                vec![copy("a", "first"), copy("b", &large), copy("c", ""), copy("d", &large), copy("e", "3\nx")];
            parts.push(part("run:r", "[ ! -e r ] || echo yes", "cat; echo said; touch r", Input::None));
            parts.push(part("file:s", "[ ! -e s ] || echo yes", "head -c 1; touch s", Input::Vault("known".into())));
            parts.push(copy("f", "last"));
            let (heard, output) = run(shell, at, &parts);
            assert!(output.status.success(), "{shell:?} {output:?}");
            assert_eq!(heard.begun, BTreeSet::from([0, 2, 3, 4, 5, 6, 7]), "{shell:?}");
            assert!(heard.seen.len() == 8 && heard.seen.values().all(|seen| seen == "yes"), "{shell:?} {heard:?}");
            assert_eq!(heard.rest, "said\ns\n", "{shell:?}");
            let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
            assert_eq!([read("a"), read("b"), read("c"), read("e"), read("f")], ["first", "old", "", "3\nx", "last"]);
            assert!(read("d") == large, "{shell:?}");
            let ledger = read("state/ledger");
            assert_eq!(ledger.matches(" begin ").count(), 7);
            assert!(!ledger.contains("file:b") && ledger.contains(" done run:r\n"), "{ledger}");
            // Once more nothing is begun, and nothing of the state is touched.
            let times = || std::fs::metadata(at.join("state/lock")).unwrap().modified().unwrap();
            let before = times();
            let (heard, _) = run(shell, at, &parts);
            assert!(heard.begun.is_empty() && heard.seen.len() == 8, "{shell:?} {heard:?}");
            assert_eq!(times(), before);
        }
    }

    #[test]
    fn what_fails_or_is_not_so_afterwards_ends_the_script_and_is_known() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let fails = part("run:fails", "echo no", "echo why >&2; false; touch never", Input::None);
            let (heard, output) = run(shell, folder.path(), &[copy("a", "x"), fails.clone(), copy("b", "y")]);
            assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), b"why\n".as_slice()), "{shell:?}");
            assert_eq!((heard.begun.last(), heard.seen.len()), (Some(&1), 1), "{shell:?}");
            assert!(!folder.path().join("never").exists() && !folder.path().join("b").exists());
            // So does one that reads, at the end of a pipe.
            let reads = Part { input: Input::Text("x".into()), body: "exit 7".into(), ..fails };
            let (heard, output) = run(shell, folder.path(), &[reads, copy("b", "y")]);
            assert_eq!((output.status.code(), heard.seen.len()), (Some(7), 0), "{shell:?}");
            let lies = part("run:lies", "echo 'not yet'", "true", Input::None);
            let (heard, output) = run(shell, folder.path(), &[lies, copy("b", "y")]);
            assert!(
                output.status.success() && heard.seen[&0] == "not yet" && heard.seen.len() == 1,
                "{shell:?} {heard:?}"
            );
        }
    }

    #[test]
    fn what_a_part_prints_is_never_taken_for_a_mark() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let forged = "printf '\\n@ferry-marks 0\\n@ferry-seen 0 yes\\n@ferry-seen 1 yes\\n@ferry-seen 0 1 yes\\n@ferry-begin 1\\n'";
            let body = part("run:forges", "echo no", forged, Input::None);
            let (heard, output) = run(shell, folder.path(), &[body, copy("b", "y")]);
            assert!(output.status.success(), "{shell:?} {output:?}");
            assert_eq!(
                (heard.begun, heard.seen),
                (BTreeSet::from([0]), BTreeMap::from([(0, "no".into())])),
                "{shell:?}"
            );
            assert!(heard.rest.contains("@ferry-seen 1 yes"), "{heard:?}", heard = heard.rest);
            // Likewise a question with an answer of several lines.
            let probe = part("run:forges", forged, "true", Input::None);
            let (heard, _) = run(shell, folder.path(), &[probe, copy("b", "y")]);
            assert!(heard.seen.values().all(|seen| seen != "yes") && heard.seen.len() == 1, "{shell:?} {heard:?}");
        }
        // A script that does not say its word has no marks at all.
        assert_eq!(said("@ferry-seen  0 yes\n@ferry-begin  0\n").seen.len(), 0);
        assert_eq!(said("@ferry-marks \n@ferry-seen  0 yes\n").seen.len(), 0);
    }

    #[test]
    fn who_waits_too_long_says_for_whom() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state");
            std::fs::create_dir_all(&state).unwrap();
            std::fs::write(state.join("ledger"), "T begin run:pull\n").unwrap();
            let hold = format!("exec 9>>{}/lock; flock 9; echo held; read -r end", state.display());
            let mut holder =
                Command::new("dash").args(["-c", &hold]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = [0; 5];
            std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut line).unwrap();
            let script = script(&[copy("a", "x")])
                .replace("/var/lib/ferry", &state.display().to_string())
                .replace("flock -w 900", "flock -w 0.1");
            let output =
                Command::new(shell[0]).args(&shell[1..]).args(["-c", &script]).current_dir(&folder).output().unwrap();
            drop(holder.stdin.take());
            holder.wait().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(75), "{shell:?} {said}");
            assert!(said.contains("timed out: another script of ferry"), "{said}");
            assert!(
                said.contains(&format!("{} ", holder.id())) && said.contains("dash") && said.contains("begin run:pull"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_is_kept_as_it_is() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            std::os::unix::fs::symlink("/nowhere", folder.path().join("ln")).unwrap();
            let keep = part(
                "file:ln",
                "cat state/kept 2>/dev/null || echo no",
                "f_keep ln k; echo yes >state/kept",
                Input::None,
            );
            let (_, output) = run(shell, folder.path(), &[keep]);
            assert!(output.status.success(), "{output:?}");
            let kept = folder.path().join("state/before/k");
            assert_eq!(std::fs::read_link(&kept).unwrap(), Path::new("/nowhere"), "{shell:?}");
            assert!(!folder.path().join("state/before/k.absent").exists());
            // Kept is kept, though nothing is at its end.
            std::fs::remove_file(folder.path().join("ln")).unwrap();
            let again = part("file:ln", "[ ! -e again ] || echo yes", "f_keep ln k; touch again", Input::None);
            run(shell, folder.path(), &[again]);
            assert!(kept.is_symlink() && !folder.path().join("state/before/k.absent").exists(), "{shell:?}");
        }
    }

    #[test]
    fn a_secret_among_the_inputs_makes_all_of_them_one_and_a_missing_one_is_noticed() {
        let secret = part("file:s", "", "", Input::Vault("known".into()));
        let vault = |name: &str| (name == "known").then(|| Secret::new("x"));
        assert!(matches!(stdin(&[copy("a", "b")], &vault), Some(Stdin::Text(text)) if text == "1\nb"));
        assert!(matches!(stdin(&[copy("a", "b"), secret.clone()], &vault), Some(Stdin::Secret(_))));
        assert!(matches!(stdin(&[part("run:r", "", "", Input::None)], &vault), Some(Stdin::Empty)));
        assert!(stdin(&[secret], &|_| None).is_none());
    }
}
