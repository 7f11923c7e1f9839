//! Strict YAML in: the only place that knows the YAML library.
//!
//! What a person wrote is either understood exactly or refused with file, line, column, the line itself and
//! what to do. Unknown and duplicate keys, merge keys, tags, anchors that multiply, and plain scalars
//! where a text is wanted (`1.30` is the number 1.3 to every other reader) are errors. The library stops
//! at the first structural error; what is wrong in meaning is collected through [`Problems`].

pub mod tree;

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The largest YAML file that is read, in bytes. A lock of 5,000 images with 20 layers each is 20 MB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A value and where it stands in its file. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

/// By this name [`tree::Node`] recognises that a place is asked for.
const AT: &str = "__ferry_at";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AT, Placed(PhantomData))
    }
}

/// Takes a place from the YAML library, or, as line, column and value, from a tree.
struct Placed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Placed<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its place")
    }

    fn visit_newtype_struct<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<At<T>, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        Ok(At { line: spanned.referenced.line(), column: spanned.referenced.column(), value: spanned.value })
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut access: A) -> Result<At<T>, A::Error> {
        let missing = || serde::de::Error::custom("no place");
        let line = access.next_element()?.ok_or_else(missing)?;
        let column = access.next_element()?.ok_or_else(missing)?;
        let value = access.next_element()?.ok_or_else(missing)?;
        Ok(At { value, line, column })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// Column, from 1; 0 where the line must not be shown, because a secret stands in it.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong in one file, with the text to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The file.
    pub file: PathBuf,
    /// Its text, for the snippets.
    text: String,
    /// What was found, in the order of the file.
    pub list: Vec<Problem>,
}

impl Problems {
    /// None found yet in `file`.
    #[must_use]
    pub fn new(file: &Path, text: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), list: Vec::new() }
    }

    /// Adds a problem at `place`.
    pub fn add<T>(&mut self, place: &At<T>, message: impl Into<String>, hint: Option<&str>) {
        self.list.push(Problem {
            line: place.line,
            column: place.column,
            message: message.into(),
            hint: hint.map(str::to_owned),
        });
    }

    /// Adds a problem of the whole file.
    pub fn add_whole(&mut self, message: impl Into<String>, hint: Option<&str>) {
        self.list.push(Problem { line: 0, column: 0, message: message.into(), hint: hint.map(str::to_owned) });
    }

    /// Adds a problem at the first place where `word` stands, or of the whole file where it stands nowhere.
    pub fn add_at(&mut self, word: &str, message: impl Into<String>, hint: Option<&str>) {
        let found =
            self.text.lines().zip(1..).find_map(|(line, n)| Some((n, line[..line.find(word)?].chars().count())));
        let (line, column) = found.map_or((0, 0), |(line, before)| (line, before as u64 + 1));
        self.add(&At { value: (), line, column }, message, hint);
    }

    /// Shows none of these lines beside what is wrong there: secrets stand in them.
    pub fn hide(&mut self, lines: &BTreeSet<u64>) {
        for problem in self.list.iter_mut().filter(|problem| lines.contains(&problem.line)) {
            problem.column = 0;
        }
    }

    /// `value` if nothing was found, else all that was found.
    pub fn or_else<T>(mut self, value: T) -> Result<T, Self> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by_key(|p| (p.line, p.column));
        Err(self)
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.list.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            let file = self.file.display();
            if problem.line == 0 {
                write!(f, "{file}: {}", problem.message)?;
            } else if problem.column == 0 {
                write!(f, "{file}:{}: {}", problem.line, problem.message)?;
            } else {
                write!(f, "{file}:{}:{}: {}", problem.line, problem.column, problem.message)?;
                let index = usize::try_from(problem.line - 1).unwrap_or(usize::MAX);
                if let Some(line) = self.text.lines().nth(index) {
                    let shown: String =
                        line.chars().take(160).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                    let gutter = problem.line.to_string();
                    let pad = " ".repeat(gutter.len());
                    let before = usize::try_from(problem.column.saturating_sub(1)).unwrap_or(0).min(160);
                    write!(f, "\n {gutter} | {shown}\n {pad} | {}^", " ".repeat(before))?;
                }
            }
            if let Some(hint) = &problem.hint {
                write!(f, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

/// Parses one strict YAML document. `file` is only named in errors.
pub fn read<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problems> {
    read_with(file, text, options())
}

/// Parses YAML that others wrote for other readers (`Chart.yaml`, a chart repository's index): plain scalars may stand
/// for texts, merge keys are understood. The limits are the same.
pub fn read_foreign<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, Problems> {
    let mut options = options();
    options.no_schema = false;
    options.strict_booleans = false;
    options.merge_keys = serde_saphyr::MergeKeyPolicy::Merge;
    options.reject_unsupported_tags = false;
    read_with(file, text, options)
}

fn read_with<T: DeserializeOwned>(file: &Path, text: &str, options: serde_saphyr::Options) -> Result<T, Problems> {
    let mut problems = Problems::new(file, text);
    if text.len() as u64 > MAX_BYTES {
        problems.add_whole(format!("the file is larger than {MAX_BYTES} bytes"), None);
        return Err(problems);
    }
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let message = one_line(&error.to_string());
        let place = error.location();
        problems.list.push(Problem {
            line: place.map_or(0, |l| l.line()),
            column: place.map_or(0, |l| l.column()),
            hint: hint_for(&message),
            message,
        });
        problems
    })
}

/// Writes a value as YAML. The library version is pinned, so that the same value gives the same bytes.
pub fn write<T: serde::Serialize>(value: &T) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false, folded_wrap_chars: 100_000 };
    serde_saphyr::to_string_with_options(value, options)
}

fn options() -> serde_saphyr::Options {
    // Wide enough for a lock of 64 MB, far below what an anchor bomb needs.
    let mut budget = serde_saphyr::Budget::default();
    budget.max_events = 8_000_000;
    budget.max_nodes = 4_000_000;
    budget.max_total_scalar_bytes = 64 * 1024 * 1024;
    budget.max_depth = 64;
    budget.max_anchors = 64;
    budget.max_aliases = 256;
    serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        no_schema: true,
        reject_unsupported_tags: true,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        budget: Some(budget),
    }
}

/// The parser's message without what we say ourselves (the place) and what only its programmers can do.
fn one_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let is_place = |c: char| c.is_ascii_digit() || ", column".contains(c);
    let line =
        line.rsplit_once(" at line ").filter(|(_, place)| place.chars().all(is_place)).map_or(line, |(text, _)| text);
    let line = line.strip_suffix(", set DuplicateKeyPolicy in Options if acceptable").unwrap_or(line);
    line.chars().filter(|c| !c.is_control()).take(400).collect()
}

fn hint_for(message: &str) -> Option<String> {
    let lower = message.to_lowercase();
    let hint = if lower.contains("duplicate") {
        "each key may stand once in a mapping; remove one of the two"
    } else if lower.contains("unknown field") {
        "check the spelling; `ferry-bundle schema` prints what is allowed"
    } else if lower.contains("quoted") || lower.contains("quote") {
        "put the value in quotes: to YAML `1.30` is the number 1.3 and `no` is false"
    } else if lower.contains("missing field") {
        "add the key; `ferry-bundle schema` prints what is needed"
    } else if lower.contains("merge") {
        "write the keys out; merge keys (`<<`) are not read"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Doc {
        version: At<String>,
        #[serde(default)]
        flag: Option<bool>,
    }

    fn refused(text: &str) -> String {
        read::<Doc>(Path::new("a.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn places_are_kept() {
        let doc: Doc = read(Path::new("a.yaml"), "# c\nversion: \"1.30\"\n").unwrap();
        assert_eq!((doc.version.value.as_str(), doc.version.line, doc.version.column), ("1.30", 2, 10));
        assert_eq!(doc.flag, None);
    }

    #[test]
    fn what_could_be_misread_is_refused_with_the_line() {
        for text in [
            "version: 1.30\n",
            "version: true\n",
            "version: a\nversion: b\n",
            "version: a\nunknown: 1\n",
            "version: a\nflag: yes\n",
            "base: &b {version: a}\n<<: *b\n",
            "version: !!python/object x\n",
            "version: a\n---\nversion: b\n",
            "flag: true\n",
            "version: [a\n",
        ] {
            let message = refused(text);
            assert!(message.starts_with("a.yaml"), "{text:?} → {message}");
        }
        let message = refused("version: a\nunknown: 1\n");
        assert!(
            message.contains("a.yaml:2:1") && message.contains("2 | unknown: 1") && message.contains("hint:"),
            "{message}"
        );
        let message = refused("version: 1.30\n");
        assert!(message.contains("quotes"), "{message}");
    }

    #[test]
    fn an_anchor_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let previous = format!("*a{}, ", n - 1).repeat(10);
            text.push_str(&format!("a{n}: &a{n} [{}]\n", previous.trim_end_matches(", ")));
        }
        text.push_str("version: a\n");
        assert!(!refused(&text).is_empty());
    }
}
