//! `calico`: two nodes with Calico by VXLAN. Its images and its manifest can't be built here: the scenario runs where
//! `FERRY_VM_CALICO` names a folder that has them, and says so where it does not.

use std::path::{Path, PathBuf};

use ferry_bundle_format::digest::digest_reader;

use crate::error::Error;
use crate::hosts::{self, Driver as _};
use crate::installer::{self, HostLine, SiteOptions};
use crate::run::{Bench, Bundle, Shipped, cluster, shipped};

const HOSTS: [HostLine; 2] = [
    HostLine { host: 1, name: "one", roles: "control-plane, etcd, worker, registry" },
    HostLine { host: 2, name: "two", roles: "worker" },
];

/// The manifest that Calico's part is added to.
const CORE: &str = "kubernetes-1.34-core.yaml";

/// The images, and the archives of `docker save` in the folder.
const IMAGES: [(&str, &str); 3] =
    [("calico/cni", "cni.tar"), ("calico/node", "node.tar"), ("calico/kube-controllers", "kube-controllers.tar")];

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let missing = "Calico's images are not here: FERRY_VM_CALICO=FOLDER with calico.yaml and, by `docker save`, cni.tar, node.tar, kube-controllers.tar";
    let folder = std::env::var_os("FERRY_VM_CALICO").map(PathBuf::from);
    let whole = |folder: &PathBuf| {
        let files = IMAGES.iter().map(|(_, file)| *file).chain(["calico.yaml"]);
        files.into_iter().all(|file| folder.join(file).is_file())
    };
    let folder = folder.filter(whole).ok_or_else(|| Error::CannotRun(missing.into()))?;
    let shipped = bench.step("build the programs", Shipped::made)?;
    let bundle = Bundle::of(bench, &shipped, &manifest(bench, &folder)?)?;
    bench.step("hosts: two, as new", || {
        bench.driver.prepare()?;
        bench.driver.down()?;
        bench.driver.up(2)
    })?;
    bench.step("hosts: what leaves is counted", || hosts::self_test(&bench.driver, 1))?;
    let site = bench.work.join("calico.yaml");
    let shape = "endpoint: {kind: local, port: 8443}\nnetwork: {kind: calico, encapsulation: vxlan}\n";
    let text = installer::site_shaped(&bench.driver, "calico", &HOSTS, &SiteOptions::default(), shape)?;
    std::fs::write(&site, text).map_err(Error::file("write", &site))?;
    for name in ["first", "again"] {
        let log = bench.evidence.path(&format!("ferry-install-{name}.log"));
        let program =
            installer::with_bundle(&bench.driver, &shipped.install, "install", &site, &bundle.file, &bundle.key);
        let before = cluster::snapshot(&bench.driver, 2)?;
        let code = bench.step(&format!("ferry-install: {name}"), || program.logged(&log))?;
        bench.evidence.copy(&installer::state_of(&site), "site");
        bench.check(&format!("{name}: ferry-install ends with 0"), code == 0, format!("exit code {code}"));
        if name == "again" {
            bench.check("a second install changes nothing", before == cluster::snapshot(&bench.driver, 2)?, "");
        } else if code == 0 {
            cluster::several(bench, 1, 2, &bundle)?;
            let link = bench.driver.must(1, "ip -d -o link show vxlan.calico")?;
            bench.check("packets between nodes travel by VXLAN", link.contains("vxlan id"), link);
        }
    }
    cluster::egress(bench)
}

/// The core manifest with Calico from the folder: the images under the names that its own manifest has.
fn manifest(bench: &Bench, folder: &Path) -> Result<PathBuf, Error> {
    let path = shipped::workspace().join("manifests").join(CORE);
    let mut text = std::fs::read_to_string(&path).map_err(Error::file("read", &path))?;
    let published = folder.join("calico.yaml");
    let calico = std::fs::read_to_string(&published).map_err(Error::file("read", &published))?;
    let (digest, _) = digest_reader(calico.as_bytes()).map_err(Error::file("read", &published))?;
    bench.evidence.note("calico.yaml", digest.to_string());
    text = text.replace("../dist/", &format!("{}/", shipped::workspace().join("dist").display()));
    text.push_str(&format!("- name: calico.yaml\n  path: {}\nimages:\n", published.display()));
    for (image, archive) in IMAGES {
        let named = calico.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("image: "));
        let name = named.map(|name| name.trim_matches('"')).find(|name| name.contains(&format!("/{image}:")));
        let name = name.ok_or_else(|| Error::Asked(format!("calico.yaml names no image {image}")))?;
        text.push_str(&format!("- name: {name}\n  from: {{dockerArchive: {}}}\n", folder.join(archive).display()));
    }
    let to = bench.work.join("calico-manifest.yaml");
    std::fs::write(&to, text).map_err(Error::file("write", &to))?;
    Ok(to)
}
