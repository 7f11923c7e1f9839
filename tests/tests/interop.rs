//! A bundle in the hands of programs that know nothing of ferry: tar, sha256sum, ssh-keygen, minisign, skopeo,
//! crane and helm read it, check it and agree on every digest.

use std::path::{Path, PathBuf};
use std::process::Command;

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{Lock, LockedImage};
use ferry_bundler::origin::{Origin, OriginConfig};
use tests::delivery::{Delivery, shop_chart, tools_chart};
use tests::ferry::{Ended, Ferry};
use tests::program::Program;

/// A bundle, unpacked as its README says, in a folder with the public keys beside it.
struct Unpacked<'a> {
    ferry: &'a Ferry,
    folder: PathBuf,
    readme: String,
}

impl<'a> Unpacked<'a> {
    fn new(ferry: &'a Ferry) -> Self {
        let folder = ferry.path("unpacked");
        std::fs::create_dir(&folder).unwrap();
        let mut tar = Command::new("tar");
        ferry.at_home(&mut tar);
        // The README is read first, so that the very command it gives unpacks the rest.
        let readme = Ended::of(tar.args(["xOf", "site.ferry", "README.txt"]).output()).expect_code(0, "tar").stdout;
        let unpacked = Self { ferry, folder, readme };
        let _ = unpacked.follow("tar xf", "release").expect_code(0, "tar");
        unpacked
    }

    /// Runs the README's command that begins with `start`, with the public key `key`.
    fn follow(&self, start: &str, key: &str) -> Ended {
        let line = self.readme.lines().find_map(|line| line.find(start).map(|at| &line[at..]));
        let line = line.unwrap_or_else(|| panic!("the README has no {start}"));
        let keys = self.ferry.folder();
        let command = line
            .replace("BUNDLE", "../site.ferry")
            .replace("-f allowed_signers", &format!("-f {}/{key}.allowed_signers", keys.display()))
            .replace("NAME", &format!("{}/{key}", keys.display()));
        let mut shell = Command::new("sh");
        self.ferry.at_home(&mut shell);
        Ended::of(shell.args(["-ec", &command]).current_dir(&self.folder).output())
    }
}

const SIGNATURES: [&str; 2] = ["ssh-keygen -Y verify", "minisign -V"];

#[test]
fn the_readmes_commands_check_a_bundle_without_ferry() {
    for (program, package) in [("ssh-keygen", "openssh-client"), ("minisign", "minisign")] {
        if Program::find(program, &format!("apt-get install {package}")).is_none() {
            return;
        }
    }
    let delivery = Delivery::new();
    let _ = delivery.made();
    delivery.keygen("other");
    let unpacked = Unpacked::new(&delivery.ferry);

    for start in SIGNATURES {
        let _ = unpacked.follow(start, "release").expect_code(0, start);
        let wrong = unpacked.follow(start, "other");
        assert_ne!(wrong.code, 0, "{start} accepts another key: {}", wrong.all());
    }
    let checked = unpacked.follow("sha256sum -c", "release").expect_code(0, "sha256sum");
    let listed = checked.stdout.lines().count();
    let signed_apart = ["SHA256SUMS", "SHA256SUMS.sig", "SHA256SUMS.minisig", "signatures.json"];
    let mut members = Vec::new();
    files_below(&unpacked.folder, &mut members);
    assert_eq!(listed, members.len() - signed_apart.len(), "each member is listed, but the signatures");
    assert!(checked.stdout.lines().all(|line| line.ends_with(": OK")), "{}", checked.stdout);

    let sums = std::fs::read_to_string(unpacked.folder.join("SHA256SUMS")).unwrap();
    let changed = sums.replacen(|c: char| c.is_ascii_digit(), "f", 1);
    assert_ne!(sums, changed);
    std::fs::write(unpacked.folder.join("SHA256SUMS"), changed).unwrap();
    for start in SIGNATURES.iter().chain(&["sha256sum -c"]) {
        let ended = unpacked.follow(start, "release");
        assert_ne!(ended.code, 0, "{start} accepts changed checksums: {}", ended.all());
    }
}

#[test]
fn each_of_two_signers_can_be_checked_without_ferry() {
    if Program::find("minisign", "apt-get install minisign").is_none() {
        return;
    }
    let delivery = Delivery::new();
    delivery.keygen("second");
    let _ = delivery.make("site.ferry", &["--sign", "second.key"]).expect_code(0, "make");
    let unpacked = Unpacked::new(&delivery.ferry);
    // Which signature is whose is not promised; each key has exactly one.
    for key in ["release", "second"] {
        let accepts = |minisig: &str| {
            let readme = unpacked.readme.replace("SHA256SUMS.minisig", minisig);
            Unpacked { ferry: unpacked.ferry, folder: unpacked.folder.clone(), readme }.follow("minisign -V", key).code
        };
        assert_eq!(accepts("SHA256SUMS.minisig") + accepts("SHA256SUMS.2.minisig"), 1, "{key}");
    }
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// Has skopeo copy every image of the lock, each platform apart and the whole index, and compares digests.
fn skopeo_agrees(skopeo: &Program, lock: &Lock, source: impl Fn(&LockedImage) -> String) {
    let copied = |arguments: &[&str], from: &str| {
        let folder = tempfile::tempdir().unwrap();
        let to = format!("dir:{}", folder.path().display());
        let first = ["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"];
        // Options of skopeo itself stand before the verb.
        let (own, of_copy) = arguments.split_at(arguments.iter().take_while(|a| a.starts_with("--override")).count());
        skopeo.run(&[own, &first[..], of_copy, &[from, &to]].concat());
        Digest::of(&std::fs::read(folder.path().join("manifest.json")).unwrap())
    };
    for image in &lock.images {
        let from = source(image);
        let tls: &[&str] = if from.starts_with("docker:") { &["--tls-verify=false"] } else { &[] };
        let raw = skopeo.output(&[&["inspect", "--raw"], tls, &[&from]].concat());
        assert!(raw.status.success(), "{from}: {}", String::from_utf8_lossy(&raw.stderr));
        assert_eq!(Digest::of(&raw.stdout), image.carried().digest, "{from}");
        assert_eq!(copied(&["--all"], &from), image.carried().digest, "{from}, all platforms");
        for manifest in &image.manifests {
            let arch = format!("--override-arch={}", manifest.arch);
            assert_eq!(copied(&[&arch, "--override-os=linux"], &from), manifest.manifest.digest, "{from} {arch}");
            let inspect = ["--override-os=linux", &arch, "inspect"];
            let told: serde_json::Value =
                serde_json::from_str(&skopeo.run(&[&inspect, tls, &[&from]].concat())).unwrap();
            assert_eq!(told["Architecture"], manifest.arch.as_str());
            assert_eq!(told["Layers"].as_array().unwrap().len(), manifest.layers.len());
        }
    }
}

#[test]
fn skopeo_reads_the_bundle_itself() {
    let Some(skopeo) = Program::skopeo() else { return };
    let delivery = Delivery::new();
    let lock = delivery.made();
    assert!(
        lock.images.iter().any(|image| image.narrowed.is_some()) && lock.images.iter().any(|i| i.narrowed.is_none())
    );
    let bundle = delivery.ferry.path("site.ferry");
    skopeo_agrees(&skopeo, &lock, |image| format!("oci-archive:{}:{}", bundle.display(), image.name));
}

#[test]
fn skopeo_and_crane_read_an_export() {
    let (Some(skopeo), Some(crane)) = (Program::skopeo(), Program::crane()) else { return };
    let delivery = Delivery::new();
    let lock = delivery.made();
    delivery.ferry.run(&["export", "site.ferry", "--trust", "release.pub", "--oci", "layout"]);
    let layout = delivery.ferry.path("layout");
    skopeo_agrees(&skopeo, &lock, |image| format!("oci:{}:{}", layout.display(), image.name));
    let mut names: Vec<_> =
        std::fs::read_dir(&layout).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "index.json", "oci-layout"]);

    // crane takes a layout apart into a registry; it re-reads every digest on the way.
    let target = delivery.runtime.block_on(Origin::start(OriginConfig::default())).unwrap();
    let to = format!("{}/all:1", target.registry_host());
    crane.run(&["push", "--index", layout.to_str().unwrap(), &to]);
    let index = Digest::of(&std::fs::read(layout.join("index.json")).unwrap());
    assert_eq!(crane.run(&["digest", &to]).trim(), index.to_string());
}

#[test]
fn skopeo_reads_what_serve_offers() {
    let Some(skopeo) = Program::skopeo() else { return };
    let delivery = Delivery::new();
    let lock = delivery.made();
    let serving = delivery.ferry.serve(&["site.ferry", "--trust", "release.pub"]);
    // By full name, and as containerd asks a mirror.
    skopeo_agrees(&skopeo, &lock, |image| format!("docker://{}/{}", serving.host(), image.name));
    let short = |image: &LockedImage| {
        format!("docker://{}/{}:{}", serving.host(), image.name.repository(), image.name.tag().unwrap())
    };
    skopeo_agrees(&skopeo, &lock, short);
    let (status, said) = serving.terminate();
    assert!(status.success(), "SIGTERM is an ordinary end: {status}\n{said}");
}

#[test]
fn crane_reads_and_validates_what_serve_offers() {
    let Some(crane) = Program::crane() else { return };
    let delivery = Delivery::new();
    let lock = delivery.made();
    let serving = delivery.ferry.serve(&["site.ferry", "--trust", "release.pub"]);
    let host = serving.host();
    for image in &lock.images {
        let name = format!("{host}/{}", image.name);
        assert_eq!(crane.run(&["digest", &name]).trim(), image.carried().digest.to_string());
        assert_eq!(Digest::of(crane.output(&["manifest", &name]).stdout.as_slice()), image.carried().digest);
        // Reads every layer of every platform, and compares sizes, digests and diff IDs.
        crane.run(&["validate", "--remote", &name]);
        let (repository, tag) = name.rsplit_once(':').unwrap();
        assert_eq!(crane.run(&["ls", repository]).trim(), tag);
        for manifest in &image.manifests {
            let platform = format!("--platform=linux/{}", manifest.arch);
            assert_eq!(crane.run(&["digest", &platform, &name]).trim(), manifest.manifest.digest.to_string());
            assert!(crane.run(&["config", &platform, &name]).contains(manifest.arch.as_str()));
        }
    }
    let catalog = crane.run(&["catalog", host]);
    for repository in ["registry.example/shop/api", "shop/web", "db", "charts/shop", "charts/tools", "files/agent"] {
        assert!(catalog.lines().any(|line| line == repository), "{repository} in {catalog}");
    }
    for file in &lock.files {
        let (repository, tag) = ferry_bundle_format::lock::derived::file_name(file);
        let blob = crane.output(&["blob", &format!("{host}/{repository}@{}", file.digest)]).stdout;
        assert_eq!(Digest::of(&blob), file.digest, "{repository}:{tag}");
    }
    let missing = crane.output(&["digest", &format!("{host}/registry.example/shop/api:2.0")]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("MANIFEST_UNKNOWN"));
}

#[test]
fn helm_pulls_the_vendors_charts_from_serve() {
    let Some(helm) = Program::helm() else { return };
    let delivery = Delivery::new();
    let _ = delivery.made();
    let serving = delivery.ferry.serve(&["site.ferry", "--trust", "release.pub"]);
    for chart in [shop_chart(), tools_chart()] {
        let url = format!("oci://{}/charts/{}", serving.host(), chart.name);
        helm.run(&["pull", &url, "--version", &chart.version, "--plain-http"]);
        let pulled = std::fs::read(helm.home().join(chart.file_name())).unwrap();
        assert!(pulled == chart.archive().unwrap(), "{} is not the origin's", chart.file_name());
    }
}
