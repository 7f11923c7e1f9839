//! What goes where: a pure function of the lock and the naming.

use std::collections::{BTreeMap, BTreeSet};

use ferry_bundle_format::Digest;
use ferry_bundle_format::lock::{Lock, Pin, derived};
use ferry_bundle_format::oci::{Descriptor, media_type};
use ferry_bundle_format::reference::is_repository;

use super::PushError;
use crate::names::{Clashes, clashes, image_repository};

/// How repositories are called in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// The target's `host[:port]`.
    pub registry: String,
    /// Everything goes below this path: a Harbor project, perhaps with more parts.
    pub project: Option<String>,
    /// Keep the origin registry as the first part of an image's path.
    pub full_names: bool,
}

impl Naming {
    /// Parses `HOST[:PORT][/PROJECT]`.
    pub fn parse(text: &str, full_names: bool) -> Result<Self, PushError> {
        let text = text.trim_end_matches('/');
        let (registry, project) =
            text.split_once('/').map_or((text, None), |(host, path)| (host, Some(path.to_owned())));
        // The grammar of the host is that of a reference.
        let probe = format!("{registry}/x/x:x");
        let valid =
            ferry_bundle_format::Reference::parse(&probe).is_ok_and(|reference| reference.registry() == registry);
        if !valid || project.as_deref().is_some_and(|project| !is_repository(project)) {
            return Err(PushError::Target { text: text.chars().take(200).collect() });
        }
        Ok(Self { registry: registry.to_owned(), project, full_names })
    }

    fn place(&self, path: &str) -> String {
        self.project.as_ref().map_or_else(|| path.to_owned(), |project| format!("{project}/{path}"))
    }
}

/// A manifest or index to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedDocument {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The tag it gets, if any.
    pub tag: Option<String>,
    /// An index whose children are not all carried: a registry may refuse it, and then goes without.
    pub optional: bool,
}

/// What goes into one repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryPlan {
    /// The blobs with their sizes.
    pub blobs: BTreeMap<Digest, u64>,
    /// Manifests, then indexes, then tags: the order in which they are put.
    pub documents: Vec<TaggedDocument>,
}

/// What goes into a registry, by repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPlan {
    /// The target's `host[:port]`.
    pub registry: String,
    /// The path below which everything goes, if there is one.
    pub below: Option<String>,
    /// The repositories.
    pub repositories: BTreeMap<String, RepositoryPlan>,
}

impl PushPlan {
    /// Plans the push of everything in `lock`.
    pub fn of(lock: &Lock, naming: &Naming) -> Result<Self, PushError> {
        let found = clashes(lock, naming.full_names);
        if !found.is_empty() {
            return Err(PushError::Names(Clashes(found)));
        }
        let (registry, below) = (naming.registry.clone(), naming.project.clone());
        let mut plan = Self { registry, below, repositories: BTreeMap::new() };
        for image in &lock.images {
            let repository = naming.place(&image_repository(&image.name, naming.full_names));
            let tag = image.name.tag().map(str::to_owned);
            let one = plan.repositories.entry(repository).or_default();
            for manifest in &image.manifests {
                one.blob(&manifest.config);
                manifest.layers.iter().for_each(|layer| one.blob(layer));
                let only = manifest.manifest.digest == image.carried().digest;
                one.document(&manifest.manifest, tag.clone().filter(|_| only), false);
            }
            if image.manifests.iter().all(|m| m.manifest.digest != image.carried().digest) {
                one.document(image.carried(), tag, false);
            }
            if image.narrowed.is_some() {
                one.document(&image.target, None, true);
            }
        }
        for chart in &lock.charts {
            let (path, tag) = derived::chart_name(chart);
            let one = plan.repositories.entry(naming.place(&path)).or_default();
            one.blob(&chart.config);
            chart.layers.iter().for_each(|layer| one.blob(layer));
            one.document(&chart.manifest, Some(tag), false);
        }
        for file in &lock.files {
            let (path, tag) = derived::file_name(file);
            let one = plan.repositories.entry(naming.place(&path)).or_default();
            one.blobs.insert(file.digest, file.size);
            one.blobs.insert(Digest::of(derived::EMPTY_CONFIG), derived::EMPTY_CONFIG.len() as u64);
            let manifest = Descriptor::of(media_type::OCI_MANIFEST, &derived::file_manifest(file));
            let pin = Pin { digest: manifest.digest, size: manifest.size, media_type: manifest.media_type };
            one.document(&pin, Some(tag), false);
        }
        Ok(plan)
    }

    /// The distinct blobs with their sizes.
    #[must_use]
    pub fn blobs(&self) -> BTreeMap<Digest, u64> {
        self.repositories.values().flat_map(|one| one.blobs.iter().map(|(digest, size)| (*digest, *size))).collect()
    }

    /// The first parts of all repositories: Harbor's projects.
    #[must_use]
    pub fn projects(&self) -> BTreeSet<&str> {
        self.repositories.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect()
    }
}

impl RepositoryPlan {
    fn blob(&mut self, pin: &Pin) {
        self.blobs.insert(pin.digest, pin.size);
    }

    fn document(&mut self, pin: &Pin, tag: Option<String>, optional: bool) {
        let document = TaggedDocument { digest: pin.digest, media_type: pin.media_type.clone(), tag, optional };
        if !self.documents.contains(&document) {
            self.documents.push(document);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_bundle_format::fake::Fake;

    #[test]
    fn tags_come_after_what_they_point_to() {
        let lock = Fake::new(1, 50).lock;
        let plan = PushPlan::of(&lock, &Naming::parse("harbor.site:443/platform", false).unwrap()).unwrap();
        let names: Vec<_> = plan.repositories.keys().map(String::as_str).collect();
        assert_eq!(names, ["platform/charts/shop", "platform/files/kubeadm", "platform/shop/api", "platform/shop/web"]);
        let api = &plan.repositories["platform/shop/api"];
        assert_eq!(api.documents.iter().map(|d| d.tag.as_deref()).collect::<Vec<_>>(), [None, None, Some("1.0")]);
        assert_eq!(plan.projects().into_iter().collect::<Vec<_>>(), ["platform"]);
    }

    #[test]
    fn two_registries_with_one_path_need_full_names() {
        let mut lock = Fake::new(1, 50).lock;
        let mut other = lock.images[0].clone();
        other.name = ferry_bundle_format::Reference::parse("other.example/shop/api:1.0").unwrap();
        other.narrowed = None;
        other.target.digest = Digest::of(b"another image");
        lock.images.push(other);
        let naming = |full| Naming::parse("r.site", full).unwrap();
        assert!(matches!(PushPlan::of(&lock, &naming(false)), Err(PushError::Names(_))));
        assert!(PushPlan::of(&lock, &naming(true)).unwrap().repositories.contains_key("other.example/shop/api"));
    }

    #[test]
    fn targets_are_hosts_with_an_optional_path() {
        for bad in ["", "/x", "https://r.site", "r.site/UPPER", "r.site/../x", "user:pw@r.site"] {
            assert!(Naming::parse(bad, false).is_err(), "{bad}");
        }
        assert_eq!(Naming::parse("127.0.0.1:5000/", false).unwrap().project, None);
    }
}
