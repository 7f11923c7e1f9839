//! What of a Debian some images need, taken out of the tree that the hosts boot from, or of one of their own where hosts must
//! not have it.
//!
//! kube-proxy changes packet filters with `iptables`, whose extensions are loaded at run time: each needs its own
//! libraries (`libxt_statistic` needs libm), which show only once a Service has two endpoints. So the libraries of
//! every extension are taken, as the tree's own `ldd` finds them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Archive;
use crate::error::Error;
use crate::place::{Place, recipe_hash};
use crate::program::Program;

const EXTENSIONS: &str = "usr/lib/x86_64-linux-gnu/xtables";
const PROGRAMS: [&str; 5] = [
    "usr/sbin/xtables-nft-multi",
    "usr/sbin/xtables-legacy-multi",
    "usr/sbin/nft",
    "usr/sbin/conntrack",
    "usr/sbin/ipset",
];

/// Debian packages that images have and hosts do not.
const EXTRA: [&str; 2] = ["haproxy", "keepalived"];

/// The tree with the packages that only images have: unpacked, never configured.
pub(super) fn tree(place: &Place) -> Result<PathBuf, Error> {
    let name = format!("extra-{}", recipe_hash(EXTRA));
    let make = |folder: &Path| {
        Program::new("mmdebstrap")
            .args(["--quiet", "--mode=root", "--variant=extract", "--format=directory"])
            .arg(format!("--include={},bash,coreutils,libc-bin", EXTRA.join(",")))
            .arg("bookworm")
            .arg(folder)
            .run()?;
        Ok(())
    };
    Ok(place.made(&name, make)?.0)
}

/// A program where its own image has it, and its libraries.
pub(super) fn program(archive: &mut Archive, tree: &Path, program: &str, path: &str) -> Result<(), Error> {
    archive.file(path, &tree.join(program))?;
    for library in libraries(tree, &[program.to_owned()])? {
        archive.file(&library, &resolved(tree, &library)?)?;
    }
    Ok(())
}

/// busybox under all its names.
pub(super) fn busybox(archive: &mut Archive, tree: &Path) -> Result<(), Error> {
    archive.file("bin/busybox", &tree.join("bin/busybox"))?;
    for name in Program::new("chroot").arg(tree).args(["/bin/busybox", "--list"]).run()?.lines() {
        archive.link(&format!("bin/{name}"), "busybox")?;
    }
    Ok(())
}

/// busybox as sh, iptables in both kinds, nft, conntrack, ipset, and all that they load.
pub(super) fn netfilter(archive: &mut Archive, tree: &Path) -> Result<(), Error> {
    archive.file("bin/busybox", &tree.join("bin/busybox"))?;
    archive.link("bin/sh", "busybox")?;
    let extensions = tree.join(EXTENSIONS);
    let mut loaded: Vec<String> = PROGRAMS.map(str::to_owned).to_vec();
    for entry in fs::read_dir(&extensions).map_err(Error::file("list", &extensions))?.flatten() {
        loaded.push(format!("{EXTENSIONS}/{}", entry.file_name().to_string_lossy()));
    }
    loaded.sort();
    for path in &loaded {
        archive.file(path, &tree.join(path))?;
    }
    for library in libraries(tree, &loaded)? {
        archive.file(&library, &resolved(tree, &library)?)?;
    }
    links(archive, tree)
}

/// The names of iptables, as Debian's alternatives lead them.
fn links(archive: &mut Archive, tree: &Path) -> Result<(), Error> {
    let folder = tree.join("usr/sbin");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .map_err(Error::file("list", &folder))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("iptables") || name.starts_with("ip6tables"))
        .collect();
    names.sort();
    for name in names {
        let path = format!("usr/sbin/{name}");
        let Ok(target) = fs::read_link(tree.join(&path)) else { continue };
        archive.link(&path, &target.to_string_lossy())?;
        if let Some(alternative) = target.to_string_lossy().strip_prefix('/')
            && let Ok(target) = fs::read_link(tree.join(alternative))
        {
            archive.link(alternative, &target.to_string_lossy())?;
        }
    }
    Ok(())
}

/// The libraries of these files, by the paths under which the loader finds them.
fn libraries(tree: &Path, files: &[String]) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    let absolute = files.iter().map(|path| format!("/{path}"));
    let text = Program::new("chroot").arg(tree).arg("ldd").args(absolute).run()?;
    for line in text.lines() {
        if line.contains("not found") {
            return Err(Error::Asked(format!("the Debian tree lacks a library: {}", line.trim())));
        }
        // `name => /path (address)`, or `/path (address)` for the loader itself.
        let path = line.split("=>").last().unwrap_or_default().split_whitespace().next().unwrap_or_default();
        if path.starts_with('/') && !path.ends_with(':') {
            found.insert(path.trim_start_matches('/').to_owned());
        }
    }
    Ok(found)
}

/// The file behind a path of the tree, whose links are relative to the tree and not to us.
fn resolved(tree: &Path, path: &str) -> Result<std::path::PathBuf, Error> {
    let real = Program::new("chroot").arg(tree).args(["readlink", "-f", &format!("/{path}")]).run()?;
    Ok(tree.join(real.trim().trim_start_matches('/')))
}
