//! The gate: how large volumes may be, what they are called, how many go at a time, how much parity they carry. A strict
//! YAML file, or one of the presets in `profiles/gate-*.yaml`.

use std::path::Path;

use serde::Deserialize;

use super::error::{VolumeError, io};
use crate::manifest::file::ApiVersion;
use crate::yaml::{self, At, Problems};

/// The presets that travel with ferry: name, content.
pub const PRESETS: [(&str, &str); 6] = [
    ("fat32", include_str!("../../../profiles/gate-fat32.yaml")),
    ("dvd", include_str!("../../../profiles/gate-dvd.yaml")),
    ("bd", include_str!("../../../profiles/gate-bd.yaml")),
    ("av2g", include_str!("../../../profiles/gate-av2g.yaml")),
    ("mail", include_str!("../../../profiles/gate-mail.yaml")),
    ("usb", include_str!("../../../profiles/gate-usb.yaml")),
];

/// The smallest volume that a gate may ask for, in bytes: below it heads are most of a volume.
pub const MIN_VOLUME: u64 = 16 * 1024;

/// Says which document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Kind {
    /// A gate.
    Gate,
}

/// A gate, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GateFile {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: Kind,
    name: At<String>,
    volume_bytes: At<u64>,
    #[serde(default)]
    least_volumes: Option<At<u32>>,
    file_name: At<String>,
    suffixes: At<Vec<String>>,
    #[serde(default)]
    files_per_batch: Option<At<u32>>,
    #[serde(default)]
    bytes_per_batch: Option<At<u64>>,
    #[serde(default)]
    bytes_per_day: Option<At<u64>>,
    #[serde(default)]
    parity: Parity,
}

/// How much parity: the largest of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Parity {
    /// Of the data volumes, in percent, rounded up.
    #[serde(default)]
    pub percent: u32,
    /// At least so many.
    #[serde(default)]
    pub least: u32,
    /// As many as so many batches hold: discs or sticks that may be lost.
    #[serde(default)]
    pub batches: u32,
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its name.
    pub name: String,
    /// The most bytes of a volume.
    pub volume_bytes: u64,
    /// Split into at least so many data volumes, so that parity is worth its bytes.
    pub least_volumes: u32,
    /// The name of volumes, with `{number}` and perhaps `{set}`.
    pub file_name: String,
    /// The suffixes that pass; the first is used.
    pub suffixes: Vec<String>,
    /// How many files pass at a time.
    pub files_per_batch: Option<u32>,
    /// How many bytes.
    pub bytes_per_batch: Option<u64>,
    /// How many bytes pass in a day.
    pub bytes_per_day: Option<u64>,
    /// How much parity.
    pub parity: Parity,
}

impl Gate {
    /// A preset by name, or a file.
    pub fn find(name: &str) -> Result<Self, VolumeError> {
        if let Some((name, text)) = PRESETS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::parse(Path::new(&format!("gate-{name}.yaml")), text)?);
        }
        let path = Path::new(name);
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(path, &text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(VolumeError::NoGate { name: name.to_owned(), known: PRESETS.map(|(name, _)| name).join(", ") })
            }
            Err(error) => Err(io("read", path)(error)),
        }
    }

    /// Parses and checks a gate's file.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        let file: GateFile = yaml::read(path, text)?;
        let mut problems = Problems::new(path, text);
        check(&file, &mut problems);
        problems.or_else(Self {
            name: file.name.value,
            volume_bytes: file.volume_bytes.value,
            least_volumes: file.least_volumes.map_or(1, |least| least.value),
            file_name: file.file_name.value,
            suffixes: file.suffixes.value,
            files_per_batch: file.files_per_batch.map(|files| files.value),
            bytes_per_batch: file.bytes_per_batch.map(|bytes| bytes.value),
            bytes_per_day: file.bytes_per_day.map(|bytes| bytes.value),
            parity: file.parity,
        })
    }

    /// How many volumes of this length pass at a time.
    #[must_use]
    pub fn batch_of(&self, volume: u64) -> u64 {
        let by_bytes = self.bytes_per_batch.map_or(u64::MAX, |bytes| (bytes / volume.max(1)).max(1));
        by_bytes.min(self.files_per_batch.map_or(u64::MAX, u64::from))
    }

    /// Whether volumes are told apart by batches at all.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        self.files_per_batch.is_some() || self.bytes_per_batch.is_some()
    }

    /// The name of volume `number` (from 1) of `count`, of the set whose id begins with `set`.
    #[must_use]
    pub fn name_of(&self, number: u32, count: u32, set: &str) -> String {
        let width = count.to_string().len().max(3);
        let stem = self.file_name.replace("{number}", &format!("{number:0width$}"));
        let stem = stem.replace("{set}", set).replace("{count}", &count.to_string());
        format!("{stem}.{}", self.suffixes[0])
    }
}

/// What every file system and gate lets pass: letters, digits, `-` and `_`.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Names that a Windows system in the gate takes for devices.
fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    let numbered =
        |name: &str| stem.strip_prefix(name).is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit());
    ["con", "prn", "aux", "nul"].contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

fn check(file: &GateFile, problems: &mut Problems) {
    if !is_plain(&file.name.value) {
        problems.add(&file.name, "a gate's name is made of letters, digits, `-` and `_`", None);
    }
    let bytes = &file.volume_bytes;
    if bytes.value < MIN_VOLUME {
        problems.add(bytes, format!("volumes of less than {MIN_VOLUME} bytes would be mostly heads"), None);
    }
    if let Some(least) = file.least_volumes.as_ref().filter(|least| !(1..=1000).contains(&least.value)) {
        problems.add(least, "leastVolumes is from 1 to 1000", None);
    }
    let pattern = &file.file_name.value;
    if pattern.matches("{number}").count() != 1 {
        problems.add(&file.file_name, "the file name needs {number} once", Some("such as fileName: \"v{number}\""));
    }
    let stem = pattern.replace("{number}", "0001").replace("{count}", "0001").replace("{set}", "00000000");
    if !is_plain(&stem) || stem.len() > 24 || is_device(&stem) || stem.starts_with('-') {
        let hint = "letters, digits, `-` and `_`, at most 24 with the numbers filled in; no device's name";
        problems.add(&file.file_name, format!("{pattern:?} gives no name that every system takes"), Some(hint));
    }
    let suffixes = &file.suffixes;
    if suffixes.value.is_empty() || !suffixes.value.iter().all(|suffix| is_plain(suffix) && suffix.len() <= 8) {
        let hint = Some("without a dot: suffixes: [bin, dat]");
        problems.add(suffixes, "give at least one suffix of 1 to 8 letters and digits", hint);
    }
    if let Some(files) = file.files_per_batch.as_ref().filter(|files| files.value == 0) {
        problems.add(files, "no file passes at a time", None);
    }
    for (what, limit) in [("a batch", &file.bytes_per_batch), ("a day", &file.bytes_per_day)] {
        if let Some(limit) = limit.as_ref().filter(|limit| limit.value < bytes.value) {
            problems.add(limit, format!("{what} has less room than one volume"), None);
        }
    }
    let parity = file.parity;
    if parity.percent > 300 || parity.least > 1000 || parity.batches > 100 {
        problems.add_whole("parity is at most 300 percent, 1000 volumes, 100 batches", None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_gates_of_their_names() {
        for (name, _) in PRESETS {
            let gate = Gate::find(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(gate.name, name);
            let one = gate.name_of(7, 24, "3fa29c01");
            assert!(one.contains("007") && one.ends_with(&gate.suffixes[0]), "{one}");
        }
    }

    #[test]
    fn a_gate_is_understood_exactly_or_refused_with_its_lines() {
        let good = PRESETS[0].1;
        let parse = |text: &str| Gate::parse(Path::new("gate.yaml"), text);
        assert!(parse(good).is_ok());
        for (from, to) in [
            ("volumeBytes: ", "volumeBytes: 1 #"),
            ("volumeBytes: ", "volumebytes: "),
            ("{number}", "{n}"),
            ("v{number}", "a b{number}"),
            ("v{number}", "../{number}"),
            ("suffixes: [", "suffixes: [\".exe\", "),
            ("kind: Gate", "kind: Manifest"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with("gate.yaml"), "{error}");
        }
        assert!(is_device("con") && is_device("COM1") && !is_device("volume-1"));
    }
}
