//! A chart folder as an archive: the files that `helm package` would take, and the same bytes whenever it is made.
//!
//! ```text
//!  folder ─► .helmignore ─► links followed, within reach ─► files ─► dependencies in charts/? ─► sorted tar.gz
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::archive::{metadata_of, metadata_of_archive, text_of};
use super::ignore::{HELM_IGNORE, Rules};
use super::{ChartError, MAX_CHART};

/// The most that a chart folder may hold, in bytes.
const MAX_FOLDER: u64 = 512 * 1024 * 1024;

/// The files of a chart folder, by their path in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The archive of a chart folder: the same folder always gives the same bytes (sorted, fixed owner and times).
pub fn archive_folder(folder: &Path) -> Result<Vec<u8>, ChartError> {
    let files = files_of(folder)?;
    let chart = files.get(Path::new("Chart.yaml"));
    let chart = chart.ok_or_else(|| ChartError::Archive(format!("{} has no Chart.yaml", folder.display())))?;
    let metadata = metadata_of(chart)?;
    let name = text_of(&metadata, "name")?;
    let name = ferry_bundle_format::name::Name::parse(&name)
        .map_err(|error| ChartError::Archive(format!("Chart.yaml: {error}")))?;
    let missing = missing_dependencies(&metadata, &files)?;
    if !missing.is_empty() {
        let locked = files.contains_key(Path::new("Chart.lock")) || files.contains_key(Path::new("requirements.lock"));
        return Err(ChartError::Dependencies { folder: folder.to_owned(), missing, locked });
    }
    let fail = |source| ChartError::Io { path: folder.to_owned(), source };
    // A fixed level of a pinned library: the bytes are part of the lock.
    let gzip = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::new(6));
    let mut tar = tar::Builder::new(gzip);
    for (relative, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(315_532_800);
        header.set_entry_type(tar::EntryType::Regular);
        tar.append_data(&mut header, Path::new(name.as_str()).join(relative), &bytes[..]).map_err(fail)?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(fail)
}

pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ChartError> {
    let fail = |source| ChartError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(fail)?.take(limit + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() as u64 > limit {
        Err(ChartError::Archive(format!("{} is larger than {limit} bytes", path.display())))
    } else {
        Ok(bytes)
    }
}

fn files_of(folder: &Path) -> Result<Files, ChartError> {
    let ignore = folder.join(HELM_IGNORE);
    let text = if ignore.exists() { read_limited(&ignore, 1024 * 1024)? } else { Vec::new() };
    let rules = Rules::parse(&String::from_utf8_lossy(&text)).map_err(ChartError::Archive)?;
    let top = folder.canonicalize().map_err(|source| ChartError::Io { path: folder.to_owned(), source })?;
    let mut walk = Walk { rules, reach: reach_of(&top), files: Files::new(), bytes: 0 };
    walk.folder(folder, Path::new(""), &mut vec![top])?;
    Ok(walk.files)
}

/// How far links may lead: to the checkout that the folder belongs to, else to the folder around it.
fn reach_of(top: &Path) -> PathBuf {
    let checkout = top.ancestors().skip(1).find(|folder| folder.join(".git").exists());
    checkout.or(top.parent()).unwrap_or(top).to_owned()
}

struct Walk {
    rules: Rules,
    reach: PathBuf,
    files: Files,
    bytes: u64,
}

impl Walk {
    /// Takes what is in `folder`, which is `relative` in the chart; `inside` are the real folders above and it itself.
    fn folder(&mut self, folder: &Path, relative: &Path, inside: &mut Vec<PathBuf>) -> Result<(), ChartError> {
        let fail = |source| ChartError::Io { path: folder.to_owned(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(fail)? {
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort();
        for name in names {
            let (path, relative) = (folder.join(&name), relative.join(&name));
            let Some(text) = relative.to_str() else {
                return Err(ChartError::Archive(format!("{} is no UTF-8 name", path.display())));
            };
            let fail = |source: io::Error| ChartError::Io { path: path.clone(), source };
            let link = path.symlink_metadata().map_err(fail)?.is_symlink();
            let kind = path.metadata().map_err(fail)?;
            if self.rules.leave_out(text, kind.is_dir()) || is_no_subchart(text) {
                continue;
            }
            let real = path.canonicalize().map_err(fail)?;
            if link && !real.starts_with(&self.reach) {
                return Err(ChartError::Link { path, to: real, reach: self.reach.clone() });
            }
            if kind.is_dir() {
                if inside.contains(&real) {
                    return Err(ChartError::Archive(format!(
                        "{} leads back to a folder that it is in",
                        path.display()
                    )));
                }
                inside.push(real);
                self.folder(&path, &relative, inside)?;
                inside.pop();
            } else if kind.is_file() {
                let bytes = read_limited(&path, MAX_CHART)?;
                self.bytes += bytes.len() as u64;
                if self.bytes > MAX_FOLDER {
                    return Err(ChartError::Archive(format!("it holds more than {MAX_FOLDER} bytes")));
                }
                self.files.insert(relative, bytes);
            } else {
                return Err(ChartError::Archive(format!("{} is neither a file nor a folder", path.display())));
            }
        }
        Ok(())
    }
}

/// What Helm leaves out of `charts/`: names that begin with `_` or `.`.
fn is_no_subchart(path: &str) -> bool {
    path.strip_prefix("charts/")
        .is_some_and(|name| name.starts_with(['_', '.']) && (name.contains('/') || !has_end(name, "prov")))
}

/// Whether a name ends so. Helm compares the ending with its case.
fn has_end(name: &str, end: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == end)
}

/// The dependencies that `Chart.yaml` names and `charts/` lacks.
fn missing_dependencies(metadata: &Value, files: &Files) -> Result<Vec<String>, ChartError> {
    let requirements = files.get(Path::new("requirements.yaml")).map(|bytes| metadata_of(bytes)).transpose()?;
    let listed = requirements.iter().chain([metadata]).find_map(|document| document.get("dependencies")?.as_array());
    let mut present = BTreeSet::new();
    for (path, bytes) in files {
        let Some(below) = path.to_str().and_then(|path| path.strip_prefix("charts/")) else { continue };
        let sub = match below.split_once('/') {
            Some((_, "Chart.yaml")) => metadata_of(bytes),
            None if has_end(below, "tgz") => metadata_of_archive(bytes),
            None if !has_end(below, "prov") => {
                return Err(ChartError::Archive(format!(
                    "charts/{below} is no chart, and Helm refuses that: name it in {HELM_IGNORE}, or move it"
                )));
            }
            _ => continue,
        };
        let sub = sub.map_err(|error| ChartError::Archive(format!("charts/{below}: {error}")))?;
        present.insert(text_of(&sub, "name")?);
    }
    let names = listed.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
    let mut missing: Vec<_> = names.filter(|name| !present.contains(*name)).map(str::to_owned).collect();
    missing.dedup();
    Ok(missing)
}
