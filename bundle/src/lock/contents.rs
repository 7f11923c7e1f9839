//! What a lock needs, blob by blob: each digest once, with its size and everywhere it can be had.

use std::collections::BTreeMap;

use super::derived;
use super::{Lock, MAX_MEMBER, Origin, Pin};
use crate::digest::Digest;
use crate::oci::media_type;

/// Where the bytes of a blob can be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Supply {
    /// ferry makes them itself; these are they.
    Derived(Vec<u8>),
    /// `/v2/<repository>/manifests/<digest>` of a registry. The name is `registry/repository`.
    Manifest(String),
    /// `/v2/<repository>/blobs/<digest>` of a registry. The name is `registry/repository`.
    Blob(String),
    /// A URL.
    Url(String),
    /// A local origin: archive, layout, file or chart folder.
    Local(Origin),
}

/// One blob of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, as the first one that needs it says.
    pub media_type: String,
    /// Where it can be had; never empty. In order of preference: derived, local, then remote.
    pub supplies: Vec<Supply>,
}

/// All blobs of a lock by digest, in the order in which they stand in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The blobs.
    pub blobs: BTreeMap<Digest, Blob>,
}

/// Why a lock cannot become a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentsError {
    /// The same digest with two sizes: one of them lies.
    #[error("{digest} is said to be {first} bytes and, by {by}, {second} bytes")]
    TwoSizes {
        /// The digest.
        digest: Digest,
        /// The size seen first.
        first: u64,
        /// The other.
        second: u64,
        /// Who says the other.
        by: String,
    },
    /// Too large for a ustar member.
    #[error("{digest} ({by}) is {size} bytes; a single blob of a bundle can be at most 8 GiB − 1")]
    TooLarge {
        /// The digest.
        digest: Digest,
        /// Its size.
        size: u64,
        /// Who needs it.
        by: String,
    },
    /// Something derived does not have the digest that the lock states.
    #[error(
        "{what} of {by} should be {expected} but is derived as {actual}: the lock was made by another ferry or edited"
    )]
    Derivation {
        /// Which document.
        what: &'static str,
        /// Whose.
        by: String,
        /// The lock's digest.
        expected: Digest,
        /// What comes out.
        actual: Digest,
    },
    /// Two artifacts under one name.
    #[error("two artifacts would be named {0}")]
    TwoOfAName(String),
}

impl Contents {
    /// Lists the blobs of `lock`, and checks that sizes agree and derived documents are what they should be.
    pub fn of(lock: &Lock) -> Result<Self, ContentsError> {
        let mut contents = Self::default();
        for image in &lock.images {
            contents.image(image)?;
        }
        for chart in &lock.charts {
            let by = format!("chart {} {}", chart.name, chart.version);
            if let Some(json) = &chart.chart_json {
                contents.derived("config", &chart.config, json.as_bytes().to_vec(), &by)?;
                contents.derived("manifest", &chart.manifest, derived::chart_manifest(chart), &by)?;
            } else {
                contents.add(&chart.manifest, supply_of_manifest(&chart.from, chart.via.as_ref()), &by)?;
                contents.add(&chart.config, supply_of_blob(&chart.from, chart.via.as_ref()), &by)?;
            }
            for layer in &chart.layers {
                contents.add(layer, supply_of_blob(&chart.from, chart.via.as_ref()), &by)?;
            }
        }
        for file in &lock.files {
            let by = format!("file {}", file.name);
            let pin = Pin { digest: file.digest, size: file.size, media_type: media_type::OCTETS.to_owned() };
            contents.add(&pin, supply_of_blob(&file.from, file.via.as_ref()), &by)?;
            contents.own(media_type::OCI_EMPTY, derived::EMPTY_CONFIG.to_vec(), &by)?;
            contents.own(media_type::OCI_MANIFEST, derived::file_manifest(file), &by)?;
        }
        let mut names = std::collections::BTreeSet::new();
        for listed in derived::listed(lock) {
            if let Some(twice) = names.replace(listed.name) {
                return Err(ContentsError::TwoOfAName(twice));
            }
        }
        for blob in contents.blobs.values_mut() {
            // Each supply once, in the order in which they were named; local ones before remote ones.
            let mut seen = std::collections::BTreeSet::new();
            blob.supplies.retain(|supply| seen.insert(supply.clone()));
            blob.supplies.sort_by_key(|supply| match supply {
                Supply::Derived(_) => 0,
                Supply::Local(_) => 1,
                _ => 2,
            });
        }
        Ok(contents)
    }

    /// The sum of all sizes in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.blobs.values().map(|blob| blob.size).sum()
    }

    fn image(&mut self, image: &super::LockedImage) -> Result<(), ContentsError> {
        let by = format!("image {}", image.name);
        let made_here = matches!(image.from, Origin::DockerArchive(_));
        if let Some(narrowed) = &image.narrowed {
            self.derived("narrowed index", narrowed, derived::narrowed_index(&image.manifests), &by)?;
        }
        if image.manifests.iter().all(|m| m.manifest.digest != image.target.digest) {
            self.add(&image.target, supply_of_manifest(&image.from, image.via.as_ref()), &by)?;
        }
        for one in &image.manifests {
            let by = format!("{by} ({})", one.arch);
            if made_here {
                self.derived("manifest", &one.manifest, derived::image_manifest(&one.config, &one.layers), &by)?;
            } else {
                self.add(&one.manifest, supply_of_manifest(&image.from, image.via.as_ref()), &by)?;
            }
            self.add(&one.config, supply_of_blob(&image.from, image.via.as_ref()), &by)?;
            for layer in &one.layers {
                self.add(layer, supply_of_blob(&image.from, image.via.as_ref()), &by)?;
            }
        }
        Ok(())
    }

    fn own(&mut self, media_type: &str, bytes: Vec<u8>, by: &str) -> Result<(), ContentsError> {
        let pin = Pin { digest: Digest::of(&bytes), size: bytes.len() as u64, media_type: media_type.to_owned() };
        self.add(&pin, vec![Supply::Derived(bytes)], by)
    }

    fn derived(&mut self, what: &'static str, pin: &Pin, bytes: Vec<u8>, by: &str) -> Result<(), ContentsError> {
        let actual = Digest::of(&bytes);
        if actual != pin.digest || bytes.len() as u64 != pin.size {
            return Err(ContentsError::Derivation { what, by: by.to_owned(), expected: pin.digest, actual });
        }
        self.add(pin, vec![Supply::Derived(bytes)], by)
    }

    fn add(&mut self, pin: &Pin, supplies: Vec<Supply>, by: &str) -> Result<(), ContentsError> {
        if pin.size > MAX_MEMBER {
            return Err(ContentsError::TooLarge { digest: pin.digest, size: pin.size, by: by.to_owned() });
        }
        let blob = self.blobs.entry(pin.digest).or_insert_with(|| Blob {
            size: pin.size,
            media_type: pin.media_type.clone(),
            supplies: Vec::new(),
        });
        if blob.size != pin.size {
            return Err(ContentsError::TwoSizes {
                digest: pin.digest,
                first: blob.size,
                second: pin.size,
                by: by.to_owned(),
            });
        }
        blob.supplies.extend(supplies);
        Ok(())
    }
}

/// The mirror that answered first, then the origin itself.
fn supply_of_manifest(origin: &Origin, via: Option<&String>) -> Vec<Supply> {
    match origin {
        Origin::Registry(name) => via.into_iter().chain([name]).cloned().map(Supply::Manifest).collect(),
        _ => supply_of_blob(origin, via),
    }
}

fn supply_of_blob(origin: &Origin, via: Option<&String>) -> Vec<Supply> {
    match origin {
        Origin::Registry(name) => via.into_iter().chain([name]).cloned().map(Supply::Blob).collect(),
        Origin::Url(url) => via.into_iter().chain([url]).cloned().map(Supply::Url).collect(),
        local => vec![Supply::Local(local.clone())],
    }
}
