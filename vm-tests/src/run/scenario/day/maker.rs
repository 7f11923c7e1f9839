//! The maker's side of the day: an application of two versions, the platform with the first, and an upgrade package to the second.

use std::path::Path;

use super::shown;
use crate::error::Error;
use crate::installer;
use crate::program::Program;
use crate::run::{Bench, Bundle, Shipped, shipped};

/// The application's image, without its version.
pub(super) const IMAGE: &str = "registry.lager.example/lager/web";
const SCRIPT: &str = include_str!("../../../../hosts/day/image.sh");
const PLATFORM: &str = "kubernetes-1.34-core.yaml";

/// The first delivery and the upgrade package on it.
pub(super) fn deliveries(bench: &Bench, shipped: &Shipped) -> Result<(Bundle, Bundle), Error> {
    let manifest = manifest(bench, "lager.yaml", "1.0")?;
    images(bench)?;
    let first = Bundle::of(bench, shipped, &manifest)?;
    // A copy of the manifest, as people make one for the next version, has no lock beside it.
    let next = self::manifest(bench, "lager-v2.yaml", "2.0")?;
    let upgrade = first.upgraded(bench, shipped, &next)?;
    let size = std::fs::metadata(&upgrade.file).map_err(Error::file("look at", &upgrade.file))?.len();
    bench.check("three bytes of difference make a small package", size < 300_000, format!("{size} bytes"));
    let show = installer::bundle(&shipped.bundle, "show").arg(&upgrade.file).ended()?;
    bench.evidence.save("show-upgrade.txt", &format!("{}{}", show.stdout, show.stderr));
    let serial = show
        .stdout
        .lines()
        .chain(show.stderr.lines())
        .any(|line| line.contains("serial 2") || line.contains("serial: 2"));
    bench.check("the upgrade has the next serial", serial, show.stdout.lines().take(6).collect::<Vec<_>>().join("; "));
    let unasked = format!("{}{}", show.stdout, show.stderr).contains("--insecure-unsigned");
    bench.check("nobody is said to have let it in", !unasked, "");
    Ok((first, upgrade))
}

/// The platform's manifest with the application's image in it.
fn manifest(bench: &Bench, name: &str, version: &str) -> Result<std::path::PathBuf, Error> {
    let root = shipped::workspace();
    let path = root.join("manifests").join(PLATFORM);
    let text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let text = text
        .replace("../dist/", &format!("{}/", shown(&root.join("dist"))))
        .replace("name: platform", "name: lager")
        .replace("version: \"1.34\"", &format!("version: \"{version}\""));
    let image = format!("images:\n- name: {IMAGE}:{version}\n  from: {{dockerArchive: web-{version}.tar}}\n");
    let to = bench.work.join(name);
    std::fs::write(&to, format!("{text}{image}")).map_err(Error::file("write", &to))?;
    Ok(to)
}

/// Two versions of the image as tars of `docker save`.
fn images(bench: &Bench) -> Result<(), Error> {
    let noise = bench.work.join("noise");
    Program::new("sh").args(["-c", "head -c 3000000 /dev/urandom >\"$0\""]).arg(&noise).run()?;
    let tree = bench.driver.busybox()?;
    for version in ["1.0", "2.0"] {
        bench.step(&format!("the application's image {version}"), || {
            let to = bench.work.join(format!("web-{version}.tar"));
            image(&to, version, &tree, &noise)
        })?;
    }
    Ok(())
}

fn image(to: &Path, version: &str, busybox: &Path, noise: &Path) -> Result<(), Error> {
    let words = [shown(to), format!("{IMAGE}:{version}"), version.to_owned(), shown(busybox), shown(noise)];
    Program::new("sh").arg("-s").args(words).input(SCRIPT).run().map(drop)
}
