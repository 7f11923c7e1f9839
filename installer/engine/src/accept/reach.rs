//! The hosts as the checks see them. One that can't be reached is looked for once more; then it is given up for the rest of
//! the run, and whatever is asked of it fails at once. Without that every check would wait for its own time-out.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::host::{Command, Host, HostError, HostErrorKind, Output, Progress, Stream, Upload};

/// How long the one look may take, the new connection included. A login takes well under a second on a host that is well.
const LOOK: Duration = Duration::from_secs(10);

/// What to do about a host that is away.
pub(super) const FIX: &str = "bring the host back (power, cable, address, sshd), then run `ferry-install accept` again";

/// A host, until it is given up.
pub(super) struct Reached {
    inner: Arc<dyn Host>,
    /// Why it was given up.
    gone: OnceLock<String>,
    /// Those who find it away at the same time look once.
    looking: Mutex<()>,
}

/// The hosts, each looked for: those that are away are known before the first check.
pub(super) async fn all(hosts: &BTreeMap<String, Arc<dyn Host>>) -> BTreeMap<String, Reached> {
    let reached: BTreeMap<String, Reached> = hosts
        .iter()
        .map(|(name, host)| {
            (name.clone(), Reached { inner: host.clone(), gone: OnceLock::new(), looking: Mutex::new(()) })
        })
        .collect();
    join_all(reached.values().map(Reached::answers)).await;
    reached
}

impl Reached {
    /// Whether it was given up.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.get().is_some()
    }

    /// Whether it answers. If not, it is given up.
    pub(super) async fn answers(&self) -> bool {
        let _one = self.looking.lock().await;
        if self.is_gone() {
            return false;
        }
        let command = Command::new("true").within(LOOK);
        let mut why = format!("no answer for {} s", LOOK.as_secs());
        let look = async {
            // The first may meet a connection that has died meanwhile; the second makes a new one.
            for _ in 0..2 {
                match self.inner.run(&command).await {
                    Err(error) if error.is_absence() => why = error.kind.to_string(),
                    // Whatever else it says: it is there.
                    _ => return true,
                }
            }
            false
        };
        let there = timeout(LOOK, look).await.unwrap_or(false);
        if !there {
            let _ = self.gone.set(why);
        }
        there
    }

    fn refusal(&self) -> Option<HostError> {
        let why = self.gone.get()?;
        let kind = HostErrorKind::Lost(format!("host unreachable, given up for the rest of these checks: {why}"));
        Some(HostError::new(self.inner.name(), kind))
    }
}

impl Host for Reached {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, HostError>> {
        async move {
            if let Some(refusal) = self.refusal() {
                return Err(refusal);
            }
            match self.inner.run(command).await {
                Err(error) if error.is_absence() && !self.answers().await => Err(self.refusal().unwrap_or(error)),
                result => result,
            }
        }
        .boxed()
    }

    fn upload<'a>(&'a self, upload: &'a Upload, progress: Progress<'a>) -> BoxFuture<'a, Result<(), HostError>> {
        self.inner.upload(upload, progress)
    }

    fn dial<'a>(&'a self, address: &'a str, port: u16) -> BoxFuture<'a, Result<Box<dyn Stream>, HostError>> {
        async move {
            match self.refusal() {
                Some(refusal) => Err(refusal),
                // That a port is closed says nothing about the host.
                None => self.inner.dial(address, port).await,
            }
        }
        .boxed()
    }
}
