//! The layers that are measured: trees put into tars as layers are, in order of names and owned by root, then under the
//! gzip of Go. Everything that was downloaded, built or made stays in the folder; a rerun goes on from there.

use std::path::{Path, PathBuf};

use super::tool::{run, text};
use super::{Failure, debian, golang};

/// What is in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Packages of Debian.
    Debian,
    /// Programs of Go.
    Go,
    /// Named on the command line.
    Given,
}

/// The same layer in two adjacent versions.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What it is called in the table.
    pub name: String,
    /// What is in it.
    pub kind: Kind,
    /// What has changed from one to the other, in words.
    pub changed: String,
    /// The older: a tar, or its gzip.
    pub old: PathBuf,
    /// The newer.
    pub new: PathBuf,
}

/// Makes all layers below `folder`; `say` hears what is going on.
pub fn fetch(folder: &Path, say: impl Fn(&str)) -> Result<Vec<Pair>, Failure> {
    std::fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let (gzip, version) = golang::gzip(&folder)?;
    say(&format!("layers under the gzip of {version}, in {}", folder.display()));
    let mut pairs = Vec::new();
    let archive = debian::Archive::open(&folder)?;
    for layer in &debian::LAYERS {
        say(&format!("{}: packages of Debian", layer.name));
        let (trees, changed) = archive.trees(layer, &folder)?;
        pairs.push(pair(layer.name, Kind::Debian, changed, &trees, &gzip, &folder)?);
    }
    for layer in &golang::LAYERS {
        say(&format!("{}: programs of Go", layer.name));
        let (trees, changed) = golang::trees(layer, &folder)?;
        pairs.push(pair(layer.name, Kind::Go, changed, &trees, &gzip, &folder)?);
    }
    Ok(pairs)
}

fn pair(
    name: &str,
    kind: Kind,
    changed: String,
    trees: &[PathBuf; 2],
    gzip: &Path,
    folder: &Path,
) -> Result<Pair, Failure> {
    let layers = folder.join("layers");
    std::fs::create_dir_all(&layers)?;
    let layer = |side: &str, tree: &Path| -> Result<PathBuf, Failure> {
        let (tar, blob) = (layers.join(format!("{name}-{side}.tar")), layers.join(format!("{name}-{side}.tar.gz")));
        let owner = ["--sort=name", "--numeric-owner", "--owner=0", "--group=0"];
        run(folder, "tar", &[&owner[..], &["-C", text(tree)?, "-cf", text(&tar)?, "."]].concat())?;
        run(folder, text(gzip)?, &[text(&tar)?, text(&blob)?])?;
        std::fs::remove_file(&tar)?;
        Ok(blob)
    };
    let (old, new) = (layer("old", &trees[0])?, layer("new", &trees[1])?);
    Ok(Pair { name: name.to_owned(), kind, changed, old, new })
}
