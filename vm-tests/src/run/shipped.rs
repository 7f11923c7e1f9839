//! The programs as they are shipped, built from this workspace.
//!
//! `FERRY_VM_BIN` names a folder to take them from instead, as a release's build has left them there. The manifests
//! carry installer and probe out of `dist/`, so they are put there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::program::Program;

const MUSL: &str = "x86_64-unknown-linux-musl";

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Shipped {
    /// `ferry-bundle`.
    pub bundle: PathBuf,
    /// `ferry-install`.
    pub install: PathBuf,
    /// How `ferry-install` is linked, for the evidence.
    pub linked: String,
}

/// The workspace that this program was built from.
#[must_use]
pub(super) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

impl Shipped {
    /// Builds them, unless a folder with them is given.
    pub fn made() -> Result<Self, Error> {
        let root = workspace();
        let dist = root.join("dist");
        fs::create_dir_all(&dist).map_err(Error::file("create", &dist))?;
        let given = std::env::var_os("FERRY_VM_BIN").map(PathBuf::from);
        let (bundle, install, probe) = match given {
            Some(folder) => (folder.join("ferry-bundle"), folder.join("ferry-install"), folder.join("ferry-probe")),
            None => built(&root)?,
        };
        for (name, from) in [("ferry-install", &install), ("ferry-probe", &probe)] {
            let to = dist.join(format!("{name}-linux-amd64"));
            // By rename: a program that another scenario runs is not written to.
            let part = root.join(format!("dist/.{name}-{}", std::process::id()));
            fs::copy(from, &part).map_err(Error::file("copy", from))?;
            fs::rename(&part, &to).map_err(Error::file("rename", &part))?;
        }
        let linked = Program::new("file").args(["-bL"]).arg(&install).run().unwrap_or_default();
        Ok(Self { bundle, install: dist.join("ferry-install-linux-amd64"), linked: linked.trim().to_owned() })
    }
}

fn built(root: &Path) -> Result<(PathBuf, PathBuf, PathBuf), Error> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let build = |arguments: &[&str]| {
        Program::new(&cargo).args(["build", "--quiet", "--release", "--locked"]).args(arguments).folder(root)
    };
    build(&["-p", "ferry-bundler"]).run()?;
    build(&["--target", MUSL, "-p", "ferry-probe"]).run()?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let (here, musl) = (target.join("release"), target.join(MUSL).join("release"));
    // Static where the C toolchain for it is there; the hosts never run it, the operator's machine does.
    let install = if build(&["--target", MUSL, "-p", "ferry-installer"]).succeeds() {
        musl.join("ferry-install")
    } else {
        build(&["-p", "ferry-installer"]).run()?;
        here.join("ferry-install")
    };
    Ok((here.join("ferry-bundle"), install, musl.join("ferry-probe")))
}
