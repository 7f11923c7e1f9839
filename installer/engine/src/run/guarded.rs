//! Hosts that a run must leave alone, because their lease could not be taken or was lost; and the host that refuses them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use crate::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Stream, Tunnel, Upload};

/// The hosts that are left alone, by name. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Gone(Arc<Mutex<BTreeMap<String, Reason>>>);

#[derive(Debug, Clone)]
enum Reason {
    /// It could not be reached at this address when its lease was to be taken.
    Unreachable { address: String, why: String },
    /// Otherwise.
    Other(String),
}

impl Gone {
    /// The host could not be reached when its lease was to be taken.
    pub fn put(&self, name: &str, error: &HostError) {
        let reason = match &error.kind {
            HostErrorKind::Unreachable { address, why } => {
                Reason::Unreachable { address: address.clone(), why: why.clone() }
            }
            other => Reason::Other(other.to_string()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), reason);
    }

    /// Its lease was lost.
    pub fn lose(&self, name: &str, why: &str) {
        let reason = Reason::Other(format!("its lease was lost: {why}"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), reason);
    }

    /// Why nothing is done on this host.
    fn refusal(&self, name: &str) -> Option<HostError> {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name)?.clone();
        let kind = match reason {
            Reason::Unreachable { address, why } => HostErrorKind::Unreachable { address, why },
            Reason::Other(why) => HostErrorKind::Lost(why),
        };
        Some(HostError::new(name, kind))
    }
}

/// A host that does nothing more once it has to be left alone: it is then like one that can't be reached.
pub struct Guarded {
    inner: Arc<dyn Host>,
    gone: Gone,
}

impl Guarded {
    /// `host`, unless it is among the `gone`.
    pub fn new(inner: Arc<dyn Host>, gone: Gone) -> Self {
        Self { inner, gone }
    }

    fn allowed(&self) -> Result<(), HostError> {
        self.gone.refusal(self.inner.name()).map_or(Ok(()), Err)
    }
}

impl Host for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn noise(&self) -> Vec<String> {
        self.inner.noise()
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        Box::pin(async move {
            self.allowed()?;
            self.inner.run(command).await
        })
    }

    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        Box::pin(async move {
            self.allowed()?;
            self.inner.upload(upload, progress).await
        })
    }

    fn tunnel(&self) -> BoxFuture<'_, Result<Tunnel, HostError>> {
        Box::pin(async move {
            self.allowed()?;
            self.inner.tunnel().await
        })
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        Box::pin(async move {
            self.allowed()?;
            self.inner.dial(address, port).await
        })
    }
}
