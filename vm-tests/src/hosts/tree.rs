//! The Debian tree that every host boots from, made once by mmdebstrap and kept by the hash of its recipe.

use std::path::{Path, PathBuf};

use super::lab::USER_PASSWORD;
use crate::error::Error;
use crate::place::{Place, recipe_hash};
use crate::program::Program;

/// The release. Everything that the scenarios say about distributions is said about this one.
const RELEASE: &str = "bookworm";
const PACKAGES: &str = include_str!("../../hosts/tree-packages.txt");
const CUSTOMIZE: &str = include_str!("../../hosts/customize.sh");

/// The tree; made if it is not there. Returns whether it was.
pub(super) fn tree(place: &Place) -> Result<(PathBuf, bool), Error> {
    let kernel = Program::new("uname").arg("-r").run()?.trim().to_owned();
    let name = format!("tree-{}", recipe_hash([RELEASE, PACKAGES, CUSTOMIZE, USER_PASSWORD, &kernel]));
    place.made(&name, |partial| make(partial, &kernel))
}

fn make(folder: &Path, kernel: &str) -> Result<(), Error> {
    let packages: Vec<&str> = PACKAGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    Program::new("mmdebstrap")
        .args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"])
        .arg("--dpkgopt=path-exclude=/usr/share/man/*")
        .arg("--dpkgopt=path-exclude=/usr/share/doc/*")
        .arg(format!("--include={}", packages.join(",")))
        .arg(RELEASE)
        .arg(folder)
        .run()?;
    Program::new("sh")
        .args(["-s"])
        .arg(folder)
        .arg(kernel)
        .env("FERRY_VM_PASSWORD", USER_PASSWORD)
        .input(CUSTOMIZE)
        .run()?;
    Ok(())
}
