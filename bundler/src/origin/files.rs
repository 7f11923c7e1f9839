//! Files by path: binaries, packages, a chart repository. Ranges, HEAD and entity tags included.
//!
//! A path is a key, compared byte for byte after one percent-decoding; there is no directory behind it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use ferry_bundle_format::Digest;
use url::form_urlencoded;

use crate::distribution::{BlobReader, Code, Refusal, blob};

/// Files that are served. Shared by whoever fills it and the origin.
#[derive(Default)]
pub struct FileStore {
    files: RwLock<BTreeMap<String, StoredFile>>,
}

/// The entity tag and the bytes.
type StoredFile = (Digest, Arc<dyn BlobReader>);

impl std::fmt::Debug for FileStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.paths()).finish()
    }
}

impl FileStore {
    /// Stores a file under a path without a leading slash; returns its digest.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        self.put_as(path, digest, Arc::new(bytes));
        digest
    }

    /// Stores a file of any size, which is read once for its digest.
    pub fn put_reader(&self, path: &str, reader: Arc<dyn BlobReader>) -> io::Result<Digest> {
        let digest = reader.digest()?;
        self.put_as(path, digest, reader);
        Ok(digest)
    }

    /// Stores a file under a digest that is not checked; it is the entity tag.
    pub fn put_as(&self, path: &str, digest: Digest, reader: Arc<dyn BlobReader>) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), (digest, reader));
    }

    /// Forgets a file.
    pub fn remove(&self, path: &str) {
        self.files.write().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    /// All paths.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.files.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Answers a request for the path behind the store's mount point.
    pub(super) fn respond(&self, method: &Method, headers: &HeaderMap, path: &str) -> Response {
        if method != Method::GET && method != Method::HEAD {
            return Refusal::new(Code::Unsupported, "files are read-only").into_response();
        }
        let path = decoded(path);
        let found = self.files.read().unwrap_or_else(PoisonError::into_inner).get(&path).cloned();
        let Some((digest, reader)) = found else {
            return Refusal::not_found(format!("there is no file {path:?}")).into_response();
        };
        blob::respond(method, headers, reader, media_type(&path), &digest.hex())
            .unwrap_or_else(axum::response::IntoResponse::into_response)
    }
}

/// Percent-decodes a path: a query's decoder, kept from taking `+`, `&` and `=` for what they are there.
fn decoded(path: &str) -> String {
    let escaped = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

fn media_type(path: &str) -> &'static str {
    match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => "application/yaml",
        Some("json") => "application/json",
        Some("tgz" | "gz") => "application/gzip",
        Some("txt" | "prov" | "asc") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_key() {
        assert_eq!(decoded("a/b+1.tgz"), "a/b+1.tgz");
        assert_eq!(decoded("a/b%2B1%20x=y&z"), "a/b+1 x=y&z");
        assert_eq!(decoded(""), "");
        let store = FileStore::default();
        let digest = store.put("a/b", "bytes");
        assert_eq!((digest, store.paths()), (Digest::of(b"bytes"), vec!["a/b".to_owned()]));
    }
}
