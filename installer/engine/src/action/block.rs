//! Lines of ours in a file that others write, too, such as `/etc/hosts`: between two marks, replaced as a whole.

use ferry_bundle_format::Digest;
use serde::{Deserialize, Serialize};

use super::Input;
use super::script::{Part, key, undoing};
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

    fn whole(&self) -> String {
        format!("{}\n{}{}\n", self.begin(), self.text, self.end())
    }

    pub(super) fn wanted(&self) -> String {
        Digest::of(self.whole().as_bytes()).hex()
    }

    fn what(&self) -> String {
        format!("block:{} {}", self.name, self.path)
    }

    /// The other lines stay as they are; the file keeps its owner and mode; it is replaced by rename.
    pub(super) fn part(&self) -> Part {
        let body = format!(
            "p={path}; f_keep \"$p\" {key}\n[ -e \"$p\" ] || : >\"$p\"\ncp -p -- \"$p\" \"$p.ferry-part\"\n\
             {{ awk -v b={begin} -v e={end} '$0==b{{p=1}} !p{{print}} $0==e{{p=0}}' \"$p\"; cat; }} >\"$p.ferry-part\"\n\
             f_sync \"$p.ferry-part\"\nmv -f -- \"$p.ferry-part\" \"$p\"",
            path = quote(&self.path),
            key = key(&self.path),
            begin = quote(&self.begin()),
            end = quote(&self.end()),
        );
        Part { what: self.what(), probe: self.probe(), wanted: self.wanted(), body, input: Input::Text(self.whole()) }
    }

    pub(super) fn undo(&self) -> String {
        undoing(&self.what(), &Self::back(&self.name, &self.path))
    }

    /// The lines go, and so does a file that ferry made for them, once nothing else is in it.
    pub(super) fn back(name: &str, path: &str) -> String {
        let one = Self { path: path.to_owned(), name: name.to_owned(), text: String::new() };
        format!(
            "p={path}; if [ -e \"$p\" ]; then cp -p -- \"$p\" \"$p.ferry-part\"; \
             awk -v b={begin} -v e={end} '$0==b{{p=1}} !p{{print}} $0==e{{p=0}}' \"$p\" >\"$p.ferry-part\"; mv -f -- \"$p.ferry-part\" \"$p\"; \
             [ ! -e $S/before/{key}.absent ] || [ -s \"$p\" ] || rm -f -- \"$p\"; fi\nrm -f -- $S/before/{key} $S/before/{key}.absent",
            path = quote(path),
            begin = quote(&one.begin()),
            end = quote(&one.end()),
            key = key(path),
        )
    }
}
