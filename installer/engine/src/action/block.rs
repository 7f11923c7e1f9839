//! Lines of ours in a file that others write, too, such as `/etc/hosts`: between two marks, replaced as a whole.

use ferry_bundle_format::Digest;
use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key};
use crate::host::quote;

/// Lines in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The file. It is made if it is not there.
    pub path: String,
    /// The name in the marks.
    pub name: String,
    /// The lines, each with its end.
    pub text: String,
}

impl Block {
    fn begin(&self) -> String {
        format!("# BEGIN ferry {}", self.name)
    }

    fn end(&self) -> String {
        format!("# END ferry {}", self.name)
    }

    /// Prints the digest of what stands between the marks, marks included.
    pub(super) fn probe(&self) -> String {
        let (path, begin, end) = (quote(&self.path), quote(&self.begin()), quote(&self.end()));
        format!(
            "if [ -f {path} ]; then awk -v b={begin} -v e={end} '$0==b{{p=1}} p{{print}} $0==e{{p=0}}' {path} | sha256sum | cut -c1-64; else echo absent; fi"
        )
    }

    /// A script that prints the lines between the marks, without the marks. `file` is the file as the shell writes it.
    pub(crate) fn lines_script(&self, file: &str) -> String {
        let (begin, end) = (quote(&self.begin()), quote(&self.end()));
        format!("awk -v b={begin} -v e={end} '$0==e{{p=0}} p{{print}} $0==b{{p=1}}' {file}")
    }

    fn whole(&self) -> String {
        format!("{}\n{}{}\n", self.begin(), self.text, self.end())
    }

    pub(super) fn wanted(&self) -> String {
        Digest::of(self.whole().as_bytes()).hex()
    }

    fn what(&self) -> String {
        format!("block:{} {}", self.name, self.path)
    }

    /// The other lines stay as they are; the file keeps its owner and mode; it is replaced by rename. What is written is recorded
    /// before, beside what was recorded earlier: so ferry's lines are known when the end mark is gone.
    pub(super) fn part(&self) -> Part {
        let body = format!(
            "{FIND}R={record}; mkdir -p -m 700 \"${{R%/*}}\"; cat >\"$R.new\"; cat \"$R.new\" >>\"$R\"; f_sync \"$R\"\n\
             f_keep \"$p\" {key}\n[ -e \"$p\" ] || : >\"$p\"\n\
             cp -a -- \"$p\" \"$p.ferry-part\"\n\
             {cut} || {{ rm -f -- \"$p.ferry-part\"; echo {missing} >&2; exit 1; }}\n\
             cat \"$R.new\" >>\"$p.ferry-part\"\n\
             f_sync \"$p.ferry-part\"\nmv -f -- \"$p.ferry-part\" \"$p\"; mv -f -- \"$R.new\" \"$R\"",
            record = self.record(),
            key = key(&self.path),
            cut = self.cut(),
            missing = quote(&format!("{}; nothing was changed", self.missing())),
        )
        .replacen("{path}", &quote(&self.path), 2);
        Part { what: self.what(), probe: self.probe(), wanted: self.wanted(), body, input: Input::Text(self.whole()) }
    }

    /// Where the host keeps the lines that ferry wrote.
    fn record(&self) -> String {
        format!("$S/blocks/{}", key(&self.what()))
    }

    /// Writes `$p` without the block to `$p.ferry-part`; fails where it can't tell ferry's lines from others'.
    fn cut(&self) -> String {
        let (begin, end) = (quote(&self.begin()), quote(&self.end()));
        format!("awk -v b={begin} -v e={end} -v r=\"$R\" '{CUT}' \"$p\" >\"$p.ferry-part\"")
    }

    fn missing(&self) -> String {
        format!(
            "{}: the line `{}` is missing, and ferry has no record of what it wrote: put the line back at the end of ferry's lines, or remove them and the line `{}`",
            self.path,
            self.end(),
            self.begin()
        )
    }

    /// The lines go, and so does a file that ferry made for them, once nothing else is in it. A file in which they can't be told
    /// from others' stays as it is.
    pub(super) fn back(name: &str, path: &str) -> String {
        let one = Self { path: path.to_owned(), name: name.to_owned(), text: String::new() };
        format!(
            "{FIND}R={record}; if [ -e \"$p\" ]; then cp -a -- \"$p\" \"$p.ferry-part\"\n\
             if {cut}; then f_sync \"$p.ferry-part\"; mv -f -- \"$p.ferry-part\" \"$p\"\n\
             [ ! -e $S/before/{key}.absent ] || [ -s \"$p\" ] || rm -f -- \"$p\"\n\
             else rm -f -- \"$p.ferry-part\"; echo {missing}; fi; fi\n\
             rm -f -- $S/before/{key} $S/before/{key}.absent \"$R\" \"$R.new\"",
            record = one.record(),
            cut = one.cut(),
            missing = quote(&format!("note: {}; the file stays as it is", one.missing())),
            key = key(path),
        )
        .replacen("{path}", &quote(path), 2)
    }
}

/// The file itself, where its path is a link: the link stays.
const FIND: &str = "p=$(readlink -f -- {path}) || p={path}\n";

/// Prints a file without the block. Between both marks all lines are ferry's. Where the end mark is missing, only recorded
/// lines (`r`) are, up to the first line that is not one of them; without a record the status is 3.
const CUT: &str = r#"function cut(  i, ours) {
    if (!known) { lost = 1; return }
    ours = 1
    for (i = 1; i <= n; i++) { if (ours && (held[i] in mine)) continue; ours = 0; print held[i] }
}
BEGIN { while ((getline line < r) > 0) { mine[line] = 1; known = 1 } }
{ mark = $0; sub(/[ \t\r]+$/, "", mark) }
mark == b { if (p) cut(); p = 1; n = 0; next }
p && mark == e { p = 0; next }
p { held[++n] = $0; next }
{ print }
END { if (p) cut(); if (lost) exit 3 }"#;

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use super::super::script::{SHELLS, script, stdin};
    use super::super::taking_back;
    use super::*;
    use crate::host::Stdin as Reads;

    fn sh(shell: &[&str], at: &Path, script: &str, input: &str) -> Output {
        let script = script.replace("/var/lib/ferry", &at.join("state").display().to_string());
        let mut child = Command::new(shell[0]);
        child.args(&shell[1..]).args(["-c", &script]).current_dir(at);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn block(at: &Path, lines: &str) -> Block {
        Block { path: at.join("hosts").display().to_string(), name: "demo".into(), text: lines.into() }
    }

    fn put(shell: &[&str], at: &Path, lines: &str) -> Output {
        let parts = [block(at, lines).part()];
        let Some(Reads::Text(input)) = stdin(&parts, &|_| None) else { panic!("it reads text") };
        sh(shell, at, &script(&parts), &input)
    }

    fn back(shell: &[&str], at: &Path) -> Output {
        let one = block(at, "");
        let what = one.what();
        sh(shell, at, &taking_back([(what.as_str(), Block::back("demo", &one.path).as_str())]), "")
    }

    /// What was in the file, what was done to it after ferry's lines `1 a` and `2 b` came, and what must be left.
    const EDITS: [(&str, &str, &str); 9] = [
        ("nothing", "", "127.0.0.1 localhost\n10.1.2.3 printer\n9.9.9.9 later\n"),
        ("end gone", "/^# END/d", "127.0.0.1 localhost\n10.1.2.3 printer\n9.9.9.9 later\n"),
        ("end gone, and one of ours", "/^# END/d;/^2 b/d", "127.0.0.1 localhost\n10.1.2.3 printer\n9.9.9.9 later\n"),
        ("end edited", "s/^# END.*/# END ferr/", "127.0.0.1 localhost\n10.1.2.3 printer\n# END ferr\n9.9.9.9 later\n"),
        ("end with blanks", "s/^# END.*/&  /", "127.0.0.1 localhost\n10.1.2.3 printer\n9.9.9.9 later\n"),
        ("lines of Windows", "s/$/\\r/", "127.0.0.1 localhost\r\n10.1.2.3 printer\r\n9.9.9.9 later\r\n"),
        (
            "end gone, a line put in",
            "/^# END/d;s/^2 b/8 x/",
            "127.0.0.1 localhost\n10.1.2.3 printer\n8 x\n9.9.9.9 later\n",
        ),
        ("begin twice", "s/^2 b/# BEGIN ferry demo/", "127.0.0.1 localhost\n10.1.2.3 printer\n9.9.9.9 later\n"),
        (
            "begin gone",
            "/^# BEGIN/d",
            "127.0.0.1 localhost\n10.1.2.3 printer\n1 a\n2 b\n# END ferry demo\n9.9.9.9 later\n",
        ),
    ];

    #[test]
    fn lines_of_others_survive_whatever_became_of_the_marks() {
        for shell in SHELLS {
            for (name, edit, left) in EDITS {
                let folder = tempfile::tempdir().unwrap();
                let (at, file) = (folder.path(), folder.path().join("hosts"));
                let read = || std::fs::read_to_string(&file).unwrap();
                std::fs::write(&file, "127.0.0.1 localhost\n10.1.2.3 printer\n").unwrap();
                assert!(put(shell, at, "1 a\n2 b\n").status.success());
                let text = read() + "9.9.9.9 later\n";
                std::fs::write(&file, text).unwrap();
                let edited = Command::new("sed").args(["-i", edit]).arg(&file).status().unwrap();
                assert!(edited.success());
                let copy = read();
                // Both ways: other lines of ferry's, and none at all.
                let output = put(shell, at, "3 c\n");
                assert!(output.status.success(), "{name} {shell:?} {output:?}");
                assert_eq!(read(), format!("{left}# BEGIN ferry demo\n3 c\n# END ferry demo\n"), "{name} {shell:?}");
                std::fs::write(&file, copy).unwrap();
                std::fs::write(
                    at.join("state/blocks").join(key(&block(at, "").what())),
                    "1 a\n2 b\n# BEGIN ferry demo\n",
                )
                .unwrap();
                assert!(back(shell, at).status.success());
                assert_eq!(read(), left, "{name} {shell:?}");
            }
        }
    }

    #[test]
    fn without_an_end_mark_and_a_record_nothing_is_touched_and_it_is_said() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let (at, file) = (folder.path(), folder.path().join("hosts"));
            let text = "127.0.0.1 localhost\n# BEGIN ferry demo\n1 a\n10.1.2.3 printer\n";
            std::fs::write(&file, text).unwrap();
            let output = put(shell, at, "1 a\n");
            // Its own lines are known: those of this very try.
            assert!(output.status.success());
            std::fs::write(&file, text.replace("1 a\n", "")).unwrap();
            std::fs::remove_dir_all(at.join("state")).unwrap();
            let output = back(shell, at);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("note: ") && said.contains("`# END ferry demo` is missing"),
                "{said}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text.replace("1 a\n", ""));
            assert!(!at.join("hosts.ferry-part").exists());
        }
    }

    #[test]
    fn a_link_stays_a_link_and_what_ferry_made_goes() {
        for shell in SHELLS {
            let folder = tempfile::tempdir().unwrap();
            let (at, file) = (folder.path(), folder.path().join("hosts"));
            std::fs::write(at.join("real"), "10.1.2.3 printer").unwrap();
            std::os::unix::fs::symlink("real", &file).unwrap();
            assert!(put(shell, at, "1 a\n").status.success());
            assert!(
                file.is_symlink() && std::fs::read_to_string(at.join("real")).unwrap().contains("printer\n# BEGIN")
            );
            assert!(back(shell, at).status.success() && file.is_symlink());
            assert_eq!(std::fs::read_to_string(at.join("real")).unwrap(), "10.1.2.3 printer\n");
            std::fs::remove_file(&file).unwrap();
            assert!(put(shell, at, "1 a\n").status.success() && file.exists());
            assert!(back(shell, at).status.success() && !file.exists());
        }
    }
}
