//! A bundle with everything a plan asks for, of small made-up programs: what is measured is how often they travel.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ferry_bundle_format::fake::{Fake, noise};
use ferry_bundle_format::lock::{LockedComponent, LockedFile, LockedImage, Origin};
use ferry_bundle_format::name::{FileName, Name, Version};
use ferry_bundle_format::open::{Silent, UnverifiedBundle};
use ferry_bundle_format::sign::SecretKey;
use ferry_bundle_format::trust::TrustPolicy;
use ferry_bundle_format::{Arch, Digest, Reference};
use ferry_bundler::origin::Tarball;
use ferry_engine::supply::Supply;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Bytes of a made-up program: more than what is sent to each host because the registry is not worth asking for it.
const PROGRAM: usize = 100 << 10;
/// Bytes of the probe, which goes to each host: as many as the real one has, roughly.
const PROBE: usize = 600 << 10;

/// Archives of vendors, with the programs in them.
const ARCHIVES: [(&str, &[&str]); 4] = [
    ("containerd.tar.gz", &["bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"]),
    ("cni-plugins.tgz", &["bridge", "host-local", "loopback", "portmap"]),
    ("etcd.tar.gz", &["etcd", "etcdctl", "etcdutl"]),
    ("registry.tar.gz", &["registry"]),
];

/// Images whose names a plan looks for.
const IMAGES: [&str; 5] = [
    "registry.k8s.io/pause:3.10",
    "registry.k8s.io/kube-apiserver:v1.34.4",
    "registry.k8s.io/kube-proxy:v1.34.4",
    "registry.k8s.io/coredns/coredns:v1.12.1",
    "docker.io/library/haproxy:3.2",
];

/// Writes the bundle to `path`, and opens it as an installer does: signed, trusted, every byte verified.
///
/// # Errors
/// When it can't be written or read.
///
/// # Panics
/// Never: the names are literals that are names.
pub fn supply(path: &Path) -> Result<Supply, Box<dyn std::error::Error>> {
    supply_with(path, &[], &[])
}

/// Likewise, with more images by name and more files by name and content.
///
/// # Errors
/// When it can't be written or read, or a name is none.
///
/// # Panics
/// When a file's name is none.
pub fn supply_with(path: &Path, images: &[&str], files: &[(&str, &str)]) -> Result<Supply, Box<dyn std::error::Error>> {
    let mut fake = Fake::new(7, 50_000);
    let image = fake.lock.images.first().cloned().ok_or("the fake carries images")?;
    fake.lock.images.clear();
    for name in IMAGES.iter().chain(images) {
        let name = Reference::parse(name)?;
        let from = Origin::Registry(name.name());
        fake.lock.images.push(LockedImage { name, from, ..image.clone() });
    }
    fake.lock.files.clear();
    fake.lock.charts.clear();
    for (n, name) in ["kubeadm", "kubelet", "kubectl", "runc"].into_iter().enumerate() {
        file(&mut fake, name, noise(1_000 + n as u64, PROGRAM));
    }
    file(&mut fake, "ferry-probe", noise(900, PROBE));
    for (name, text) in files {
        file(&mut fake, name, text.as_bytes().to_vec());
    }
    for (n, (name, members)) in ARCHIVES.into_iter().enumerate() {
        let add = |tar: Tarball, (m, member): (usize, &&str)| {
            tar.executable(member, &noise(2_000 + 10 * n as u64 + m as u64, PROGRAM))
        };
        let tar = members.iter().enumerate().fold(Tarball::new(), add).finish();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&tar)?;
        file(&mut fake, name, packed.finish()?);
    }
    let (name, version) = (Name::parse("kubernetes")?, Version::parse("v1.34.4")?);
    fake.lock.components.push(LockedComponent { name, version });
    fake.lock.sort();
    let used: std::collections::BTreeSet<Digest> = fake.needed().into_iter().collect();
    fake.blobs.retain(|digest, _| used.contains(digest));
    let key = SecretKey::from_seed([7; 32]);
    std::fs::write(path, fake.bytes(std::slice::from_ref(&key))?)?;
    let policy = TrustPolicy { keys: vec![key.public()], threshold: 1, ..TrustPolicy::default() };
    let bundle = UnverifiedBundle::open(path)?.trust(&policy, &Silent)?.verify(2, &Silent)?;
    Ok(Supply::of(Arc::new(bundle))?)
}

fn file(fake: &mut Fake, name: &str, bytes: Vec<u8>) {
    let digest = Digest::of(&bytes);
    fake.lock.files.push(LockedFile {
        name: FileName::parse(name).expect("a literal"),
        version: Some(Version::parse("v1").expect("a literal")),
        arch: Some(Arch::Amd64),
        from: Origin::Url(format!("https://dl.example/{name}")),
        via: None,
        groups: vec![],
        component: None,
        chart: None,
        executable: true,
        digest,
        size: bytes.len() as u64,
    });
    fake.blobs.insert(digest, bytes);
}
