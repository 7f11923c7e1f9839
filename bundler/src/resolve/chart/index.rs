//! The index of a chart repository, as lenient as Helm: what is broken in it is left out and said, so that one chart's
//! broken entry does not hide the others.

use std::collections::BTreeMap;
use std::path::Path;

use ferry_bundle_format::yaml;
use serde::Deserialize;
use serde_json::Value;

use super::same_version;

/// One version of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) version: String,
    pub(super) urls: Vec<String>,
    /// Hex digits in lower case.
    pub(super) digest: Option<String>,
}

/// What the index has of one chart.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) entries: Vec<Entry>,
    /// What was left out, of this chart and of others.
    pub(super) broken: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    entries: Option<BTreeMap<String, Option<Vec<Option<Raw>>>>>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    urls: Option<Vec<Option<String>>>,
    #[serde(default)]
    digest: Option<String>,
}

/// The same where a member has a type of its own: numbers are not taken for texts then, because `1.10` would be 1.1.
#[derive(Deserialize)]
struct LooseFile {
    #[serde(default)]
    entries: Option<BTreeMap<String, Value>>,
}

impl Listed {
    /// Reads the index for one chart. Fails if it is no index at all.
    pub(super) fn read(text: &str, chart: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let path = Path::new("index.yaml");
        let all: BTreeMap<String, Vec<Option<Raw>>> = match yaml::read_foreign::<File>(path, text) {
            Ok(file) => {
                let entries = file.entries.unwrap_or_default();
                entries.into_iter().map(|(name, list)| (name, list.unwrap_or_default())).collect()
            }
            Err(first) => {
                let why = |problems: yaml::Problems| problems.list.first().map_or(String::new(), |p| p.message.clone());
                let Ok(file) = yaml::read_foreign::<LooseFile>(path, text) else { return Err(why(first)) };
                let entries = file.entries.unwrap_or_default();
                entries.into_iter().map(|(name, list)| (name, loose(list))).collect()
            }
        };
        let mut listed = Self::default();
        for (name, list) in all {
            for raw in list {
                match raw.map(Raw::entry) {
                    Some(Ok(entry)) if name == chart => listed.entries.push(entry),
                    Some(Ok(_)) => {}
                    Some(Err(why)) => listed.broken.push(format!("{name} ({why})")),
                    None => listed.broken.push(format!("{name} (empty)")),
                }
            }
        }
        Ok(listed)
    }

    pub(super) fn version(&self, version: &str) -> Option<&Entry> {
        // The very text first: an index may have both `v1.0.0` and `1.0.0`.
        let exact = self.entries.iter().find(|entry| entry.version == version);
        exact.or_else(|| self.entries.iter().find(|entry| same_version(&entry.version, version)))
    }
}

fn loose(list: Value) -> Vec<Option<Raw>> {
    let Value::Array(list) = list else { return if list.is_null() { Vec::new() } else { vec![None] } };
    list.into_iter()
        .map(|entry| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            let urls = entry.get("urls").and_then(Value::as_array);
            let urls = urls.map(|urls| urls.iter().map(|url| url.as_str().map(str::to_owned)).collect());
            entry.is_object().then(|| Raw { version: text("version"), urls, digest: text("digest") })
        })
        .collect()
}

impl Raw {
    fn entry(self) -> Result<Entry, &'static str> {
        let version = self.version.filter(|version| !version.trim().is_empty()).ok_or("no version")?;
        let urls = self.urls.unwrap_or_default().into_iter().flatten().filter(|url| !url.trim().is_empty()).collect();
        // An empty digest is none, and capitals are the same digits.
        let digest = self.digest.map(|digest| digest.trim().to_ascii_lowercase());
        let digest = digest.map(|digest| digest.strip_prefix("sha256:").unwrap_or(&digest).to_owned());
        Ok(Entry { version, urls, digest: digest.filter(|digest| !digest.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

    fn index(entries: &str) -> Result<Listed, String> {
        Listed::read(&format!("apiVersion: v1\nentries:\n{entries}"), "app")
    }

    #[test]
    fn a_broken_entry_hides_no_other() {
        let app = "  app:\n  - {version: 1.0.0, urls: [app-1.0.0.tgz]}\n";
        for (other, broken) in [
            ("", 0),
            ("  other: [null]\n", 1),
            ("  other:\n", 0),
            ("  other: []\n", 0),
            ("  other: [{name: other, urls: [x.tgz]}]\n", 1),
            ("  other: [{version: '', urls: [x.tgz]}]\n", 1),
            ("  other: [{version: 1.0.0, urls: null}]\n", 0),
            ("  other: [{version: 1.0.0}]\n", 0),
            ("  other: [{version: 1.2, urls: [x.tgz]}]\n", 0),
            ("  other: text\n", 1),
            ("  other: {version: 1.0.0}\n", 1),
            ("  other: [text, 5]\n", 2),
            ("  other: [{version: [1], urls: [x.tgz]}]\n", 1),
            ("  other: [{version: {a: b}, urls: {c: d}}, {version: 2.0.0, urls: x.tgz}]\n", 1),
            ("  other: [{version: 1.0.0, urls: [[x], null, y]}]\n", 0),
            ("  other: [{version: 1.0.0, digest: {a: b}}]\n", 0),
            ("  other: [{version: 1.0.0, dependencies: 7, maintainers: [null], created: never}]\n", 0),
        ] {
            for text in [format!("{other}{app}"), format!("{app}{other}")] {
                let listed = index(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
                assert_eq!(listed.version("1.0.0").unwrap().urls, ["app-1.0.0.tgz"], "{text}");
                assert_eq!(listed.broken.len(), broken, "{text}: {:?}", listed.broken);
            }
        }
        assert!(index("  other: []\n  other: []\n").is_err(), "a key twice is no index");
        assert!(Listed::read("<html>", "app").is_err() && Listed::read("[]", "app").is_err());
    }

    #[test]
    fn digests_are_compared_as_digits() {
        let lower = HEX.to_ascii_lowercase();
        for (text, digest) in [
            (String::new(), None),
            ("digest: null".into(), None),
            ("digest: \"\"".into(), None),
            ("digest: ' '".into(), None),
            ("digest: ~".into(), None),
            ("digest:".into(), None),
            ("digest: 'sha256:'".into(), None),
            (format!("digest: {lower}"), Some(&lower)),
            (format!("digest: {HEX}"), Some(&lower)),
            (format!("digest: sha256:{lower}"), Some(&lower)),
            (format!("digest: SHA256:{HEX}"), Some(&lower)),
            (format!("digest: ' {lower} '"), Some(&lower)),
        ] {
            let listed = index(&format!("  app:\n  - version: 1.0.0\n    {text}\n")).unwrap();
            assert_eq!(listed.version("1.0.0").unwrap().digest.as_ref(), digest, "{text}");
        }
        // Digits that look like a number stay the digits they are.
        let number = "1".repeat(60) + "e123";
        let listed = index(&format!("  app:\n  - {{version: 1.10, digest: {number}}}\n")).unwrap();
        assert_eq!(listed.version("1.10").unwrap().digest.as_ref(), Some(&number));
    }

    #[test]
    fn the_very_version_is_preferred() {
        let listed = index("  app:\n  - {version: v1.0.0, urls: [a]}\n  - {version: 1.0.0, urls: [b]}\n").unwrap();
        assert_eq!(listed.version("1.0.0").unwrap().urls, ["b"]);
        assert_eq!(listed.version("v1.0.0").unwrap().urls, ["a"]);
        assert_eq!(
            Listed::read("\u{feff}entries: {app: [{version: v2.0.0}]}", "app")
                .unwrap()
                .version("2.0.0")
                .unwrap()
                .version,
            "v2.0.0"
        );
        assert!(Listed::read("apiVersion: v1", "app").unwrap().entries.is_empty());
        assert!(
            Listed::read("{\"entries\":{\"app\":[{\"version\":\"1.0.0\"}]}}", "app")
                .unwrap()
                .version("1.0.0")
                .is_some()
        );
    }
}
