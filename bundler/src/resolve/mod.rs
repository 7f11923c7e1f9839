//! Resolving: from a manifest to a lock with exact digests. Documents are read, layers never.
//!
//! ```text
//! Manifest + vendor lists ─► components ─► images ─┐
//!                                          charts ─┼─► Lock (serial and time from the last one)
//!                                          files  ─┘
//! ```
//! Everything is looked up at once, within bounds, and everything that fails is reported together.

pub mod chart;
mod documents;
mod error;
mod files;
mod images;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::Reference;
use ferry_bundle_format::lock::{Lock, LockKind, LockedComponent, LockedFile, Timestamp};
use ferry_bundle_format::manifest::file::ApiVersion;
use ferry_bundle_format::manifest::{File, FileSource, Image, Manifest};
use ferry_bundle_format::name::Name;
use futures_util::StreamExt as _;

use crate::event::{Event, Reporter};
use crate::names;
use crate::source::RegistryClient;
use crate::vendor::VendorLists;

pub use error::ResolveError;

/// Everything resolving needs beside the manifest.
#[derive(Clone)]
pub struct Resolver {
    /// Speaks to registries and file servers.
    pub client: RegistryClient,
    /// Shows what happens.
    pub reporter: Arc<dyn Reporter>,
    /// How many lookups run at once.
    pub jobs: usize,
    /// What local paths in the manifest are relative to.
    pub base: PathBuf,
}

/// An image to look up, and the component that asked for it.
#[derive(Debug, Clone)]
struct Wanted {
    image: Image,
    component: Option<Name>,
}

impl Resolver {
    /// Resolves `manifest`. Serial and time are those of `last` if nothing has changed, else they follow it;
    /// `now` is the time to write.
    pub async fn resolve(
        &self,
        manifest: &Manifest,
        vendors: &VendorLists,
        last: Option<&Lock>,
        now: Timestamp,
    ) -> Result<Lock, ResolveError> {
        let mut failures = Vec::new();
        let (images, files) = wanted(manifest, vendors, &mut failures);
        let detail = format!("{} images, {} charts, {} files", images.len(), manifest.charts.len(), files.len());
        self.reporter.event(&Event::Phase { name: "resolve", detail, bytes: None });
        let mut lock = Lock {
            api_version: ApiVersion::V1,
            kind: LockKind::Lock,
            product: manifest.product.clone(),
            serial: 1,
            created: now,
            valid_for_days: manifest.valid_for_days,
            arches: manifest.arches.clone(),
            groups: manifest.groups.clone(),
            components: manifest
                .components
                .iter()
                .map(|c| LockedComponent { name: c.name.clone(), version: c.version.clone() })
                .collect(),
            images: Vec::new(),
            charts: Vec::new(),
            files: Vec::new(),
        };
        let mut keep = |result: Result<(), ResolveError>| failures.extend(result.err());
        let documents = documents::Documents::new(self.client.clone());
        let mut lookups = futures_util::stream::iter(images)
            .map(|wanted| self.image(wanted, &documents))
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = lookups.next().await {
            keep(result.map(|image| lock.images.push(image)));
        }
        drop(lookups);
        let mut lookups = futures_util::stream::iter(&manifest.charts)
            .map(|chart| self.chart(chart))
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = lookups.next().await {
            keep(result.map(|(chart, values)| {
                lock.charts.push(chart);
                lock.files.extend(values);
            }));
        }
        drop(lookups);
        let mut lookups = futures_util::stream::iter(files)
            .map(|(file, component)| self.file(file, component))
            .buffer_unordered(self.jobs.max(1));
        while let Some(result) = lookups.next().await {
            keep(result.map(|file: LockedFile| lock.files.push(file)));
        }
        drop(lookups);
        ResolveError::all(failures)?;
        lock.sort();
        if let Some(last) = last {
            let same = lock.same_content(last);
            lock.serial = if same { last.serial } else { last.serial + 1 };
            lock.created = if same { last.created } else { now.max(last.created) };
        }
        names::check(&lock).map_err(ResolveError::Names)?;
        for text in names::notes(&lock) {
            self.reporter.event(&Event::Note { text });
        }
        ferry_bundle_format::lock::contents::Contents::of(&lock).map_err(ResolveError::Contents)?;
        Ok(lock)
    }
}

/// Images and files of the manifest and of its components, each once; groups of the same thing are joined.
fn wanted(
    manifest: &Manifest,
    vendors: &VendorLists,
    failures: &mut Vec<ResolveError>,
) -> (Vec<Wanted>, Vec<(File, Option<Name>)>) {
    let mut images: BTreeMap<Reference, Wanted> = BTreeMap::new();
    let mut files = Vec::new();
    let mut add = |image: Image, component: Option<Name>| {
        let entry = images.entry(image.reference.clone());
        entry
            .and_modify(|known| {
                known.image.groups.extend(image.groups.iter().cloned());
                known.image.groups.sort();
                known.image.groups.dedup();
            })
            .or_insert(Wanted { image, component });
    };
    for image in &manifest.images {
        add(image.clone(), None);
    }
    for component in &manifest.components {
        match vendors.parts(component, &manifest.arches) {
            Err(error) => failures.push(ResolveError::Vendor { error, place: component.place }),
            Ok(parts) => {
                let (groups, name) = (&component.groups, &component.name);
                for reference in parts.images {
                    let image = Image { groups: groups.clone(), ..Image::of_registry(reference, &manifest.arches) };
                    add(image, Some(name.clone()));
                }
                for part in parts.files {
                    let file = File {
                        name: part.name,
                        version: Some(component.version.clone()),
                        arch: part.arch,
                        source: FileSource::Url { url: part.url, sha256: part.sha256 },
                        executable: part.executable,
                        groups: groups.clone(),
                    };
                    files.push((file, Some(name.clone())));
                }
            }
        }
    }
    files.extend(manifest.files.iter().map(|file| (file.clone(), None)));
    (images.into_values().collect(), files)
}
