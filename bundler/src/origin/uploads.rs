//! Upload sessions: started, appended to in order, finished with a digest that must hold.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferry_bundle_format::Digest;
use ferry_bundle_format::digest::Hasher;

use super::registry::MemoryRegistry;
use super::spool::Spool;
use crate::distribution::{Code, Refusal};

/// One upload: what has arrived, and its running hash.
#[derive(Debug, Default)]
pub(super) struct Session {
    spool: Spool,
    hasher: Hasher,
}

/// A session that a request works on.
pub(super) type SharedSession = Arc<Mutex<Session>>;

impl MemoryRegistry {
    /// Starts a session; returns its name.
    pub(super) fn start_upload(&self, repository: &str) -> String {
        let mut state = self.write();
        state.sessions_started += 1;
        let number = state.sessions_started;
        let name = Digest::of(format!("upload {number}").as_bytes()).hex()[..32].to_owned();
        state.repository(repository);
        state.sessions.insert(name.clone(), (repository.to_owned(), SharedSession::default()));
        name
    }

    /// Finds a session of this repository.
    pub(super) fn session(&self, repository: &str, name: &str) -> Result<SharedSession, Refusal> {
        let state = self.read();
        match state.sessions.get(name) {
            Some((of, session)) if of == repository => Ok(Arc::clone(session)),
            _ => Err(Refusal::new(Code::BlobUploadUnknown, format!("there is no upload {name}"))),
        }
    }

    /// Appends bytes to a session; returns how many it has now. Blocks on the disk for large uploads.
    pub(super) fn append(&self, session: &SharedSession, bytes: &[u8]) -> io::Result<u64> {
        let mut session = lock(session);
        session.spool.append(bytes, self.options.memory_limit, &self.options.scratch)?;
        session.hasher.update(bytes);
        Ok(session.hasher.length())
    }

    /// Ends a session: the blob is stored if it has this digest, and dropped if not.
    pub(super) fn finish_upload(&self, repository: &str, name: &str, digest: Digest) -> Result<(), Refusal> {
        let session = self.session(repository, name)?;
        self.cancel_upload(name);
        let Session { spool, hasher } = std::mem::take(&mut *lock(&session));
        let actual = hasher.finish();
        if actual != digest {
            return Err(Refusal::new(Code::DigestInvalid, format!("the upload has digest {actual}, not {digest}")));
        }
        let reader = spool.freeze().map_err(|_| Refusal::broken("the upload"))?;
        self.put_blob_as(repository, digest, reader);
        Ok(())
    }

    /// Drops a session.
    pub(super) fn cancel_upload(&self, name: &str) {
        self.write().sessions.remove(name);
    }

    /// Mounts a blob from another repository; `false` when that is not possible here.
    pub(super) fn mount(&self, repository: &str, from: &str, digest: &Digest) -> bool {
        let mut state = self.write();
        let possible = self.options.mounts && state.holds_blob(from, digest);
        if possible {
            state.repository(repository).blobs.insert(*digest);
        }
        possible
    }
}

/// How many bytes a session has.
pub(super) fn length(session: &SharedSession) -> u64 {
    lock(session).hasher.length()
}

fn lock(session: &SharedSession) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}
