//! What the checks must know beside the site: versions and digests of the bundle, the cluster's authorities, the probe.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ferry_bundle_format::lock::LockedImage;
use ferry_bundle_format::{Arch, Digest};

use super::table::is_below;
use crate::registry::ProbeImage;
use crate::run::Stop;
use crate::supply::Supply;
use crate::vault::Vault;

/// What the checks must know beside the site.
#[derive(Debug, Clone, Default)]
pub struct AcceptNeeds {
    /// The version of Kubernetes, such as `v1.34.4`. None: versions are compared with each other only.
    pub kubernetes: Option<String>,
    /// The version of containerd, such as `v2.2.7`.
    pub containerd: Option<String>,
    /// Every digest by which a container runtime may call an image of the bundle: index, manifest and config.
    pub images: BTreeSet<Digest>,
    /// The names of the bundle's images by their repositories, `registry/path`.
    pub names: BTreeMap<String, String>,
    /// The images of the serials that the site had before, and their names: pods go on with them until they are rolled.
    pub earlier: BTreeMap<Digest, String>,
    /// The manifest of the probe's image, by architecture.
    pub probe: BTreeMap<Arch, Digest>,
    /// The certificate of the cluster's authority, PEM.
    pub cluster_ca: String,
    /// The certificate of etcd's authority, PEM.
    pub etcd_ca: String,
    /// The certificate of the registry's authority, PEM.
    pub registry_ca: String,
    /// How long nodes and pods are waited for.
    pub patience: Duration,
    /// Only checks with one of these ids, or below one of them (`dns` names all of `dns.…`). Empty: all.
    pub only: Vec<String>,
    /// The wish to end early.
    pub stop: Stop,
}

impl AcceptNeeds {
    /// From what a run has at hand.
    #[must_use]
    pub fn of(supply: &Supply, vault: &Vault, probe: &BTreeMap<Arch, ProbeImage>) -> Self {
        let certificate = |name: &str| vault.get(name).map(|text| text.expose().to_owned()).unwrap_or_default();
        let mut images = BTreeSet::new();
        for image in &supply.lock().images {
            images.extend(digests(image));
        }
        let names = supply.lock().images.iter().map(|image| {
            let repository = format!("{}/{}", image.name.registry(), image.name.repository());
            (repository, image.name.to_string())
        });
        Self {
            kubernetes: supply.version("kubernetes").map(version),
            containerd: supply.version("containerd").map(version),
            images,
            names: names.collect(),
            earlier: BTreeMap::new(),
            probe: probe.iter().map(|(arch, image)| (*arch, image.digest())).collect(),
            cluster_ca: certificate("pki/ca.crt"),
            etcd_ca: certificate("pki/etcd/ca.crt"),
            registry_ca: certificate("registry/ca.crt"),
            patience: Duration::from_secs(180),
            only: Vec::new(),
            stop: Stop::default(),
        }
    }

    /// With the images of serials that the site had before. What the bundle still has is no earlier one.
    #[must_use]
    pub fn after(mut self, earlier: BTreeMap<Digest, String>) -> Self {
        self.earlier = earlier.into_iter().filter(|(digest, _)| !self.images.contains(digest)).collect();
        self
    }

    /// Whether a check is asked for.
    pub(super) fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| is_below(id, name))
    }
}

/// Every digest by which a container runtime may call an image: index, manifest and config.
#[must_use]
pub fn digests(image: &LockedImage) -> BTreeSet<Digest> {
    let parts = image.manifests.iter().flat_map(|one| [one.manifest.digest, one.config.digest]);
    parts.chain([image.target.digest, image.carried().digest]).collect()
}

/// With one leading `v`, as the programs say it.
fn version(text: &str) -> String {
    format!("v{}", text.trim_start_matches('v'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_chosen_by_id_or_topic() {
        let mut needs = AcceptNeeds::default();
        assert!(needs.wants("dns.cluster"));
        needs.only = vec!["dns".into(), "etcd.health".into()];
        assert!(needs.wants("dns.cluster") && needs.wants("etcd.health"));
        assert!(!needs.wants("dnsx.y") && !needs.wants("etcd.fsync"));
    }
}
