//! Site files of `kill-resume`, each with a state folder of its own, on hosts as new.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::Course;
use crate::error::Error;
use crate::hosts::Driver as _;
use crate::installer::{self, SiteOptions};
use crate::run::Bench;

/// The site file.
fn site_text(bench: &Bench, course: Course) -> Result<String, Error> {
    match course.hosts {
        [line] => installer::single_node_site(&bench.driver, line.host, &SiteOptions::default()),
        lines => installer::site(&bench.driver, "ha", lines, &SiteOptions::default()),
    }
}

/// Hosts as new, their site file, and a state folder with nothing but the vault, if one is given.
pub(super) fn fresh(bench: &Bench, course: Course, name: &str, vault: Option<&Path>) -> Result<PathBuf, Error> {
    bench.step(&format!("hosts: as new, {name}"), || {
        course.hosts.iter().try_for_each(|line| bench.driver.reset(line.host))
    })?;
    site_of(bench, course, name, vault)
}

/// A site file with a state folder of its own, and in that nothing but the vault, if one is given.
pub(super) fn site_of(bench: &Bench, course: Course, name: &str, vault: Option<&Path>) -> Result<PathBuf, Error> {
    let folder = bench.work.join(name);
    let site = folder.join("site.yaml");
    let state = installer::state_of(&site);
    // As ferry makes it: one that others can enter is refused.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&state);
    made.map_err(Error::file("create", &state))?;
    std::fs::write(&site, site_text(bench, course)?).map_err(Error::file("write", &site))?;
    if let Some(vault) = vault {
        std::fs::copy(vault, state.join("vault.age")).map_err(Error::file("copy", vault))?;
    }
    Ok(site)
}
