//! Files: the digest is known beforehand; the size is asked for. Local ones are hashed.

use ferry_bundle_format::digest::digest_reader;
use ferry_bundle_format::lock::{LockedFile, Origin};
use ferry_bundle_format::manifest::{File, FileSource};
use ferry_bundle_format::name::Name;
use url::Url;

use super::Resolver;
use super::error::ResolveError;
use crate::event::Event;

impl Resolver {
    pub(super) async fn file(&self, file: File, component: Option<Name>) -> Result<LockedFile, ResolveError> {
        let (from, via, digest, size) = match &file.source {
            FileSource::Url { url, sha256 } => {
                let (answered, size) = self.size_of(url).await?;
                let via = (answered != *url).then(|| answered.to_string());
                (Origin::Url(url.to_string()), via, *sha256, size)
            }
            FileSource::Local(relative) => {
                let path = self.base.join(relative);
                let work = move || {
                    let open = std::fs::File::open(&path).and_then(digest_reader);
                    open.map_err(|error| ResolveError::File { path, error })
                };
                let (digest, size) = match tokio::task::spawn_blocking(work).await {
                    Ok(result) => result?,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                };
                (Origin::Path(relative.to_string_lossy().into_owned()), None, digest, size)
            }
        };
        self.reporter.event(&Event::Done { what: "file", name: file.name.to_string(), bytes: Some(size) });
        Ok(LockedFile {
            name: file.name,
            version: file.version,
            arch: file.arch,
            from,
            via,
            groups: file.groups,
            component,
            chart: None,
            executable: file.executable,
            digest,
            size,
        })
    }

    /// The size of a file, by the first mirror that knows it, or the origin.
    async fn size_of(&self, url: &Url) -> Result<(Url, u64), ResolveError> {
        let what = || url.to_string();
        let mut last = ResolveError::NoSize { what: what() };
        for candidate in self.client.mirrors().urls(url) {
            match self.client.files().head(&candidate).await {
                Ok(Some(size)) => return Ok((candidate, size)),
                Ok(None) => last = ResolveError::NoSize { what: what() },
                Err(error) => last = ResolveError::Source { what: what(), error },
            }
        }
        Err(last)
    }
}
