//! `.helmignore`: what of a chart folder does not travel, read as Helm reads it, oddities included: a chart must not
//! hold more here than in `helm package`, nor less.

use super::pattern::Pattern;

/// The name of the file.
pub(super) const HELM_IGNORE: &str = ".helmignore";

/// Helm leaves these out without being told.
const DEFAULT: &str = "templates/.?*";

/// The rules of one folder.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: Pattern,
    /// Leaves out everything that does not fit: Helm's meaning of `!`, which is not git's.
    not: bool,
    only_folders: bool,
    /// Compared with the whole path; else with the last part of it.
    whole: bool,
}

impl Rules {
    /// Reads the text of a `.helmignore`, which is empty where there is none. Fails with the line that has no meaning.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for line in text.lines().chain([DEFAULT]).map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                rules.push(Rule::parse(line)?);
            }
        }
        Ok(Self(rules))
    }

    /// Whether the file or folder at `path`, relative to the chart and with `/`, is left out.
    pub(super) fn leave_out(&self, path: &str, folder: bool) -> bool {
        for rule in &self.0 {
            let fits = (folder || !rule.only_folders) && rule.fits(path);
            if fits != rule.not {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, String> {
        if line.contains("**") {
            return Err(format!("{HELM_IGNORE}: {line:?} has `**`, which Helm does not know"));
        }
        let bad = || format!("{HELM_IGNORE}: {line:?} is no pattern");
        Pattern::parse(line).ok_or_else(bad)?;
        let rest = line.strip_prefix('!');
        let (not, rest) = (rest.is_some(), rest.unwrap_or(line));
        let folder = rest.strip_suffix('/');
        let (only_folders, rest) = (folder.is_some(), folder.unwrap_or(rest));
        let whole = rest.contains('/');
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        Ok(Self { pattern: Pattern::parse(rest).ok_or_else(bad)?, not, only_folders, whole })
    }

    fn fits(&self, path: &str) -> bool {
        let compared = if self.whole { path } else { path.rsplit('/').next().unwrap_or(path) };
        self.pattern.fits(compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_leave_out_what_helm_leaves_out() {
        for (rules, path, folder, out) in [
            ("", "values.yaml", false, false),
            ("", "templates/.x", false, true),
            ("", "templates/.", false, false),
            ("", "templates/a/.x", false, false),
            ("*.key", "a.key", false, true),
            ("*.key", "secrets/a.key", false, true),
            ("secrets/*.key", "secrets/a.key", false, true),
            ("secrets/*.key", "x/secrets/a.key", false, false),
            ("/a.txt", "a.txt", false, true),
            ("/a.txt", "x/a.txt", false, false),
            ("docs/", "docs", true, true),
            ("docs/", "docs", false, false),
            ("docs", "docs", false, true),
            ("# a\n\n  b  ", "b", false, true),
            ("# a", "a", false, false),
            ("!keep", "keep", false, false),
            ("!keep", "other", false, true),
            ("!keep/", "keep", false, true),
            ("\u{feff}a", "a", false, true),
            ("a\r\nb", "a", false, true),
            ("\\#a", "#a", false, true),
            (".", "a", false, false),
        ] {
            assert_eq!(Rules::parse(rules).unwrap().leave_out(path, folder), out, "{rules:?} on {path}");
        }
        for bad in ["a/**/b", "[", "a\\"] {
            assert!(Rules::parse(bad).unwrap_err().contains(".helmignore"), "{bad}");
        }
    }
}
