//! A chart archive as Helm reads it: its members, and its `Chart.yaml`. Nothing is unpacked.

use std::io::Read;
use std::path::Path;

use ferry_bundle_format::yaml;
use serde_json::Value;

use super::{ChartError, same_version};

/// The largest unpacked chart that is looked through, in bytes, so that a small archive can't unpack without end.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;

/// The largest `Chart.yaml`, in bytes.
pub(super) const MAX_CHART_YAML: u64 = 1024 * 1024;

/// `Chart.yaml` as JSON with sorted keys.
pub(super) fn metadata_of(bytes: &[u8]) -> Result<Value, ChartError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ChartError::Archive("Chart.yaml is not UTF-8".into()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = yaml::read_foreign(Path::new("Chart.yaml"), text)
        .map_err(|problems| ChartError::Archive(problems.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(ChartError::Archive("Chart.yaml is no list of keys".into())) }
}

/// A text of `Chart.yaml`, which Helm wants as a text too.
pub(super) fn text_of(metadata: &Value, key: &str) -> Result<String, ChartError> {
    match metadata.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Err(ChartError::Archive(format!(
            "Chart.yaml: {key} is the number {number}, and Helm wants a text: put it in quotes and pack it again"
        ))),
        Some(Value::Null) | None => Err(ChartError::Archive(format!("Chart.yaml has no {key}"))),
        Some(_) => Err(ChartError::Archive(format!("Chart.yaml: {key} is no text"))),
    }
}

/// Compares name and version with what was asked for.
pub(super) fn is_asked_for(metadata: &Value, name: &str, version: &str) -> Result<(), ChartError> {
    let (own_name, own_version) = (text_of(metadata, "name")?, text_of(metadata, "version")?);
    if own_name != name || !same_version(&own_version, version) {
        return Err(ChartError::Other { name: shown(&own_name), version: shown(&own_version) });
    }
    Ok(())
}

/// A text of somebody's chart, for a message.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// `<chart>/Chart.yaml` of a chart archive.
pub(super) fn metadata_of_archive(archive: &[u8]) -> Result<Value, ChartError> {
    if !archive.starts_with(&[0x1f, 0x8b]) {
        let what = if archive.trim_ascii_start().starts_with(b"<") { "a page of HTML" } else { "no gzip" };
        return Err(ChartError::Archive(format!("it is {what}")));
    }
    let bad = |error: std::io::Error| ChartError::Archive(error.to_string());
    let plain = flate2::read::MultiGzDecoder::new(archive).take(MAX_UNPACKED);
    let mut tar = tar::Archive::new(plain);
    let mut found = None;
    for entry in tar.entries().map_err(bad)? {
        let entry = entry.map_err(bad)?;
        let kind = entry.header().entry_type();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind.is_dir() || kind.is_pax_global_extensions() || kind.is_pax_local_extensions() || name.ends_with('/') {
            continue;
        }
        let path = inner_path(&name)?;
        if path != "Chart.yaml" || !kind.is_file() {
            continue;
        }
        if found.is_some() {
            return Err(ChartError::Archive("it has more than one Chart.yaml".into()));
        }
        let mut bytes = Vec::new();
        entry.take(MAX_CHART_YAML).read_to_end(&mut bytes).map_err(bad)?;
        found = Some(bytes);
    }
    metadata_of(&found.ok_or_else(|| ChartError::Archive("it has no Chart.yaml in its one folder".into()))?)
}

/// The path of a member inside the chart: without its first part. What Helm refuses is refused here, while it can still
/// be packed again.
fn inner_path(name: &str) -> Result<String, ChartError> {
    let refused = |why: &str| {
        Err(ChartError::Archive(format!(
            "its member {:?} {why}, and Helm refuses that: pack it with `helm package`",
            shown(name)
        )))
    };
    // Helm 3.0 and 3.1 wrote backslashes on Windows; a name has either.
    let delimiter = if name.contains('\\') { '\\' } else { '/' };
    let Some((first, rest)) = name.split_once(delimiter) else {
        return refused("is in no folder");
    };
    if first == "Chart.yaml" {
        return refused("is in no folder");
    }
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') {
        return refused("is an absolute path");
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.pop().is_none() => return refused("leads out of the chart"),
            ".." => {}
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let drive = path.as_bytes();
    if drive.len() > 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' && drive[2] == b'/' {
        return refused("is a path of Windows");
    }
    if path.is_empty() { refused("has no name") } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_as_helm_names_them() {
        for (name, inner) in [
            ("app/Chart.yaml", Some("Chart.yaml")),
            ("app\\Chart.yaml", Some("Chart.yaml")),
            ("app\\templates\\d.yaml", Some("templates/d.yaml")),
            ("./app/Chart.yaml", Some("app/Chart.yaml")),
            ("app/./Chart.yaml", Some("Chart.yaml")),
            ("app/x/../Chart.yaml", Some("Chart.yaml")),
            ("app//Chart.yaml", None),
            ("Chart.yaml", None),
            ("Chart.yaml/x", None),
            ("app/../x", None),
            ("app/c:/x", None),
            ("app/.", None),
        ] {
            assert_eq!(inner_path(name).ok().as_deref(), inner, "{name}");
        }
    }
}
