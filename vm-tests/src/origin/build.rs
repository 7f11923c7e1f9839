//! Builds the components with Go, once for each recipe: module files, flags and toolchain.
//!
//! Modules come through the Go proxy and are checked against the committed `go.sum`; nothing is built from what
//! does not verify.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::components::{COMPONENTS, Component};
use crate::error::Error;
use crate::place::{Place, recipe_hash};
use crate::program::Program;
use crate::ui::Ui;

/// Where a component's programs are.
#[derive(Debug, Clone)]
pub(super) struct Built {
    /// The component.
    pub(super) name: &'static str,
    /// The folder with its programs.
    pub(super) folder: PathBuf,
    /// The hash of its recipe.
    pub(super) hash: String,
}

/// All components, built if they are not there.
pub(super) fn all(place: &Place, ui: &Ui) -> Result<Vec<Built>, Error> {
    let go = toolchain()?;
    COMPONENTS.iter().map(|component| build(component, place, &go, ui)).collect()
}

fn toolchain() -> Result<String, Error> {
    if !Program::new("sh").args(["-c", "command -v go && command -v gcc"]).succeeds() {
        return Err(Error::CannotRun("go and gcc are needed to build the components".into()));
    }
    Program::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").run()
}

fn build(component: &Component, place: &Place, go: &str, ui: &Ui) -> Result<Built, Error> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("components").join(component.name);
    let mut recipe = vec![go.to_owned(), format!("{component:?}")];
    for file in &files_below(&source)? {
        recipe.push(fs::read_to_string(file).map_err(Error::file("read", file))?);
    }
    let hash = recipe_hash(recipe.iter().map(String::as_str));
    let began = Instant::now();
    let make = |folder: &Path| {
        ui.say(format!("building {}", component.name));
        go_build(component, &source, folder)
    };
    let (folder, there) = place.made(&format!("components/{}-{hash}", component.name), make)?;
    if !there {
        ui.say(format!("built {} ({:.0} s)", component.name, began.elapsed().as_secs_f64()));
    }
    Ok(Built { name: component.name, folder, hash })
}

/// All files in a folder and in those below it, in order.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::file("list", folder))?;
    let mut files = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn go_build(component: &Component, source: &Path, folder: &Path) -> Result<(), Error> {
    let mut flags = vec!["-s", "-w"];
    if component.cgo {
        flags.extend(["-linkmode external", "-extldflags -static"]);
    }
    flags.extend(component.ldflags);
    let what = if source.join("main.go").exists() { "." } else { "tool" };
    Program::new("go")
        .arg("build")
        .args(["-trimpath", "-buildvcs=false", "-mod=readonly", "-tags", component.tags])
        .args(["-ldflags", &flags.join(" ")])
        .arg("-o")
        .arg(folder.join(""))
        .arg(what)
        .folder(source)
        .env("CGO_ENABLED", if component.cgo { "1" } else { "0" })
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOOS", "linux")
        .env("GOARCH", "amd64")
        .run()?;
    Ok(())
}
