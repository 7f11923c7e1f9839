//! Serves the stock on one loopback port, by the bundler's own embedded origin.
//!
//! `https://dl.k8s.io/a/b` becomes `/files/dl.k8s.io/a/b`, `registry.k8s.io/pause` the repository
//! `registry.k8s.io/pause`; mirror rules lead `ferry-bundle` there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ferry_bundle_format::oci::media_type;
use ferry_bundler::distribution::StoredManifest;
use ferry_bundler::origin::{FileBlob, FileStore, MemoryRegistry, Origin, OriginConfig};
use ferry_bundler::vendor::VendorLists;
use tokio::runtime::Runtime;

use super::{Stock, lists};
use crate::error::Error;

/// A running origin.
#[derive(Debug)]
pub struct Served {
    origin: Origin,
    runtime: Runtime,
    mirrors: BTreeSet<String>,
    lists: PathBuf,
}

impl Served {
    /// Serves on a port of 127.0.0.1 (0: any free one); the vendor lists are written to `folder/vendor-lists`.
    pub fn start(stock: &Stock, port: u16, folder: &Path) -> Result<Self, Error> {
        let lists_folder = folder.join("vendor-lists");
        lists::write(&stock.files, &lists_folder)?;
        let known = VendorLists::load(std::slice::from_ref(&lists_folder));
        let known = known.map_err(|error| Error::Asked(format!("the vendor lists of the origin: {error}")))?;
        let (files, registry) = (Arc::new(FileStore::default()), Arc::new(MemoryRegistry::default()));
        let mut hosts = BTreeSet::new();
        for file in &stock.files {
            let url = lists::url_of(file, &known)?;
            let path = url.strip_prefix("https://").unwrap_or(&url);
            hosts.insert(path.split('/').next().unwrap_or_default().to_owned());
            files.put_as(path, file.digest, open(&file.path)?);
        }
        let mut registries = BTreeSet::new();
        for image in &stock.images {
            let origin = image.reference.registry();
            registries.insert(origin.to_owned());
            let repository = format!("{origin}/{}", image.reference.repository());
            for (digest, path) in &image.blobs {
                registry.put_blob_as(&repository, *digest, open(path)?);
            }
            let manifest = StoredManifest::new(media_type::OCI_MANIFEST, Bytes::from(image.manifest.clone()));
            registry.put_tag(&repository, image.reference.tag().unwrap_or("latest"), manifest.digest);
            registry.put_manifest(&repository, manifest);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Error::file("start", "the origin's runtime"))?;
        let config = OriginConfig { port, files, registry, ..OriginConfig::default() };
        let place = format!("127.0.0.1:{port}");
        let origin = runtime.block_on(Origin::start(config)).map_err(Error::file("serve on", place))?;
        let host = origin.registry_host();
        let of_registries = registries.iter().map(|name| format!("{name}={host}/{name}"));
        let of_hosts = hosts.iter().map(|name| format!("https://{name}={}", origin.url(&format!("/files/{name}"))));
        let mirrors = of_registries.chain(of_hosts).collect();
        Ok(Self { origin, runtime, mirrors, lists: lists_folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        self.origin.registry_host()
    }

    /// The flags with which `ferry-bundle` finds everything here.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec!["--plain-http".to_owned(), self.address()];
        flags.extend(["--vendor-lists".to_owned(), self.lists.display().to_string()]);
        for mirror in &self.mirrors {
            flags.extend(["--mirror".to_owned(), mirror.clone()]);
        }
        flags
    }

    /// Serves until somebody presses Ctrl-C.
    pub fn until_interrupted(self) -> Result<(), Error> {
        self.runtime.block_on(tokio::signal::ctrl_c()).map_err(Error::file("wait for", "Ctrl-C"))
    }
}

fn open(path: &Path) -> Result<Arc<FileBlob>, Error> {
    Ok(Arc::new(FileBlob::open(path).map_err(Error::file("open", path))?))
}
