//! Layers of Go's programs as an image gets them: built from modules at two adjacent releases, static, stripped, without
//! paths of the machine; and Go's own gzip, by which the layers of docker and BuildKit are made.

use std::path::{Path, PathBuf};

use super::Failure;
use super::tool::{run, run_with, text};

/// A layer by its programs.
pub(super) struct Layer {
    /// What it is called in the table.
    pub(super) name: &'static str,
    /// The packages.
    pub(super) packages: &'static [&'static str],
    /// The older and the newer release of their module.
    pub(super) versions: [&'static str; 2],
}

/// Programs that clusters carry, small enough to be built within minutes.
pub(super) const LAYERS: [Layer; 2] = [
    Layer {
        name: "cni-plugins",
        packages: &[
            "github.com/containernetworking/plugins/plugins/main/bridge",
            "github.com/containernetworking/plugins/plugins/main/loopback",
            "github.com/containernetworking/plugins/plugins/ipam/host-local",
            "github.com/containernetworking/plugins/plugins/ipam/dhcp",
            "github.com/containernetworking/plugins/plugins/meta/bandwidth",
            "github.com/containernetworking/plugins/plugins/meta/portmap",
        ],
        versions: ["v1.9.0", "v1.9.1"],
    },
    Layer {
        name: "crane",
        packages: &["github.com/google/go-containerregistry/cmd/crane"],
        versions: ["v0.22.0", "v0.22.1"],
    },
];

/// The two trees of a layer: `usr/local/bin` with its programs. Built once.
pub(super) fn trees(layer: &Layer, folder: &Path) -> Result<([PathBuf; 2], String), Failure> {
    let root = |version: &str| folder.join("go").join(layer.name).join(version);
    for version in layer.versions {
        let bin = root(version).join("usr/local/bin");
        std::fs::create_dir_all(&bin)?;
        for package in layer.packages {
            let name = package.rsplit('/').next().unwrap_or_default();
            if !bin.join(name).exists() {
                let package = format!("{package}@{version}");
                let arguments = ["install", "-trimpath", "-ldflags", "-s -w", &package];
                run_with(folder, "go", &arguments, &[("CGO_ENABLED", "0"), ("GOBIN", text(&bin)?)])?;
            }
        }
    }
    let [old, new] = layer.versions;
    let programs = match layer.packages.len() {
        1 => "1 program".to_owned(),
        n => format!("{n} programs"),
    };
    Ok(([root(old), root(new)], format!("{programs}, {old} → {new}")))
}

/// Reads a file, puts it under gzip at the default level as docker and BuildKit do, writes another.
const GZIP: &str = "package main

import (
	\"compress/gzip\"
	\"io\"
	\"os\"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	in, err := os.Open(os.Args[1])
	must(err)
	out, err := os.Create(os.Args[2])
	must(err)
	w := gzip.NewWriter(out)
	_, err = io.Copy(w, in)
	must(err)
	must(w.Close())
	must(out.Close())
}
";

/// Go's gzip as a program below `folder`, and the version of Go.
pub(super) fn gzip(folder: &Path) -> Result<(PathBuf, String), Failure> {
    let source = folder.join("gzip");
    std::fs::create_dir_all(&source)?;
    std::fs::write(source.join("main.go"), GZIP)?;
    let program = source.join("gzip");
    run(&source, "go", &["build", "-o", text(&program)?, "main.go"])?;
    Ok((program, run(&source, "go", &["env", "GOVERSION"])?.trim().to_owned()))
}
