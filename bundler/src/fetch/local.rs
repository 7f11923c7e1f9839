//! Blobs that lie on this machine: local files, chart folders, image archives and layouts. Each source is opened
//! and listed once.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ferry_bundle_format::Digest;
use ferry_bundle_format::archive::Region;
use ferry_bundle_format::lock::Origin;

use super::FetchError;
use crate::local::LocalBlobs;
use crate::resolve::chart;

pub(super) struct LocalSources {
    base: PathBuf,
    open: Mutex<BTreeMap<Origin, Arc<LocalBlobs>>>,
}

impl LocalSources {
    pub(super) fn new(base: PathBuf) -> Self {
        Self { base, open: Mutex::new(BTreeMap::new()) }
    }

    /// Where the bytes of `digest` lie. They are hashed by whoever reads them.
    pub(super) async fn find(self: &Arc<Self>, origin: &Origin, digest: Digest) -> Result<Region, FetchError> {
        let (this, origin) = (self.clone(), origin.clone());
        match tokio::task::spawn_blocking(move || this.find_blocking(&origin, digest)).await {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn find_blocking(&self, origin: &Origin, digest: Digest) -> Result<Region, FetchError> {
        if let Origin::Path(text) = origin {
            return self.path(text);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let blobs = if let Some(blobs) = open.get(origin) {
            blobs.clone()
        } else {
            let blobs = Arc::new(LocalBlobs::open(origin, &self.base)?);
            open.insert(origin.clone(), blobs.clone());
            blobs
        };
        drop(open);
        Ok(blobs.get(&digest)?)
    }

    /// A file as it is, a chart folder as the archive that is made of it.
    fn path(&self, text: &str) -> Result<Region, FetchError> {
        let path = self.base.join(text);
        let fail = |source| FetchError::Target { doing: "open", path: path.clone(), source };
        if path.is_dir() {
            let bytes = chart::archive_folder(&path).map_err(|error| FetchError::Chart(Box::new(error)))?;
            let mut file = tempfile::tempfile().map_err(fail)?;
            std::io::Write::write_all(&mut file, &bytes).map_err(fail)?;
            return Ok(Region::new(Arc::new(file), 0, bytes.len() as u64));
        }
        let file = File::open(&path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        Ok(Region::new(Arc::new(file), 0, length))
    }
}
