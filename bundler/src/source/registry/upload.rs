//! Blobs on their way out.
//!
//! ```text
//!  ≤ 4 MiB   POST ─► PUT content                                   again from the start if it fails
//!  larger    POST ─► PATCH content ─► PUT digest
//!                      │ broken            │ answer lost
//!                      └── pause ── HEAD ──┴─ there? done.
//!                                    └─ GET upload: Range 0-N ─► PATCH from N+1; no such upload ─► POST
//! ```
//! The content goes out in one streamed request of known length: no chunk size suits every registry, and
//! one PATCH per chunk is slow on all of them (CRATES trap 8).

mod session;

use std::fmt;

use ferry_bundle_format::digest::Digest;
use reqwest::{Method, StatusCode, Url};

use super::{RegistryClient, Repository};
use crate::source::auth::Scope;
use crate::source::error::{SourceError, SourceErrorKind};
use crate::source::host::shown;
use crate::source::outgoing::Outgoing;
use crate::source::payload::{BlobSource, Payload};
use crate::source::retry::Retry;
use session::read_small;

/// Up to this size a blob is sent in one piece from memory, in bytes.
const SMALL: u64 = 4 * 1024 * 1024;

/// An upload the registry has opened and waits for.
pub struct Upload {
    location: Url,
    sent: u64,
    // Opened by the request just made: a failure is not because it went stale.
    fresh: bool,
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query holds the registry's signed state.
        write!(f, "Upload({}, {} bytes sent)", shown(&self.location), self.sent)
    }
}

/// What came of asking a registry to take a blob from another of its repositories.
#[derive(Debug)]
pub enum Mount {
    /// The blob is there.
    Mounted,
    /// The registry wants the content; the upload is open, use it.
    Declined(Upload),
}

/// How an attempt to upload failed.
enum Trouble {
    /// As the error says.
    Failed(SourceError),
    /// The upload is unknown or in another state; a new one may do.
    Stale(SourceError),
    /// The token was refused for the first time.
    OldToken,
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

impl RegistryClient {
    /// Asks the registry to take the blob `digest` from its repository `from` into `to`. Repeats itself.
    pub async fn mount(&self, to: &Repository, from: &Repository, digest: &Digest) -> Result<Mount, SourceError> {
        if to.registry() != from.registry() {
            let why = format!("{from} and {to} are in different registries");
            return Err(SourceError::Setting { setting: "the mount", why });
        }
        let mut attempts = self.attempts(to.registry());
        loop {
            match self.mount_once(to, from, digest).await {
                Ok(mount) => return Ok(mount),
                // Whoever may push here need not be allowed to read there: then the content is sent.
                Err(e) if e.kind() == SourceErrorKind::Auth => return self.open(to).await.map(Mount::Declined),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn mount_once(&self, to: &Repository, from: &Repository, digest: &Digest) -> Result<Mount, SourceError> {
        let mut url = self.url(to, "blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from.name());
        let scope = Scope::mount(to.name(), from.name());
        let reply = self.call(to.registry(), &scope, || Outgoing::new(Method::POST, url.clone())).await?;
        match reply.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => {
                let location = self.location(to, &reply)?.ok_or_else(|| reply.protocol("202 without Location"))?;
                Ok(Mount::Declined(Upload { location, sent: 0, fresh: false }))
            }
            _ => Err(reply.into_failure().await),
        }
    }

    /// Uploads the blob `digest` of `size` bytes from `content`, in `opened` if a mount was declined. Repeats
    /// itself, and resumes inside the blob where the registry can. Does not ask first whether the blob is
    /// there: see [`RegistryClient::has_blob`].
    pub async fn upload_blob(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        content: &dyn BlobSource,
        opened: Option<Upload>,
    ) -> Result<(), SourceError> {
        let mut attempts = self.attempts(to.registry());
        let mut upload = opened;
        let mut reached = 0;
        let mut may_renew = true;
        let mut first = true;
        loop {
            let done = self.upload_once(to, digest, size, content, &mut upload, first).await;
            first = false;
            // An attempt that got further than all before it has earned the others their full number.
            if let Some(upload) = upload.as_ref().filter(|upload| upload.sent > reached) {
                reached = upload.sent;
                attempts.progressed();
            }
            match done {
                Ok(()) => return Ok(()),
                Err(Trouble::Failed(error)) => attempts.pause(error).await?,
                Err(Trouble::Stale(error)) => {
                    upload = None;
                    attempts.pause_as(error, Retry::Backoff).await?;
                }
                Err(Trouble::OldToken) if may_renew => may_renew = false,
                Err(Trouble::OldToken) => {
                    let detail = Some("it refuses a new token too".to_owned());
                    let host = to.registry().to_owned();
                    return Err(SourceError::Unauthorized { host, user: None, detail });
                }
            }
        }
    }

    async fn upload_once(
        &self,
        to: &Repository,
        digest: &Digest,
        size: u64,
        content: &dyn BlobSource,
        upload: &mut Option<Upload>,
        first: bool,
    ) -> Result<(), Trouble> {
        if !first {
            if self.has_blob_once(to, digest, size, &Scope::push(to.name())).await? {
                return Ok(());
            }
            if let Some(open) = upload.take() {
                *upload = self.resume(to, open, size).await?;
            }
        }
        let open = match upload.take() {
            Some(open) => upload.insert(open),
            None => upload.insert(self.open_once(to).await?),
        };
        if size <= SMALL {
            let body = read_small(content, digest, size, &open.location).await?;
            return self.commit(to, digest, size, open, Payload::Bytes(body)).await;
        }
        while open.sent < size {
            self.send_rest(to, size, content, open).await?;
        }
        self.commit(to, digest, size, open, Payload::Empty).await
    }

    /// Opens an upload, repeating itself.
    async fn open(&self, to: &Repository) -> Result<Upload, SourceError> {
        let mut attempts = self.attempts(to.registry());
        loop {
            match self.open_once(to).await {
                Ok(upload) => return Ok(upload),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }
}
