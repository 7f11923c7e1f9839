//! A host over SSH: one connection, made when it is needed; commands, each in a session of its own, ended for real.
//!
//! A command that is given up (deadline, cancel, or because nobody waits for it any longer) is ended on the host by its
//! process group, through a second session. A connection that broke is made anew by the next call; the call during which
//! it broke fails, since nobody knows how far it came.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use russh::Channel;
use russh::client::Msg;
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};

use super::exec::{Exec, Failed, Feed};
use super::link::Link;
use super::privilege::Climb;
use super::settings::Settings;
use super::wrap::{LARGEST_SCRIPT, Mark, line};
use crate::host::{Command, HostError, HostErrorKind, Output, Stdin};
use crate::site;
use crate::site::file::Privilege;

/// Between two tries to open a session on a host that is at its limit.
const BUSY: Duration = Duration::from_millis(200);

/// A host that is worked on over SSH. Clones are the same host.
#[derive(Clone)]
pub struct SshHost(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) host: site::Host,
    pub(super) settings: Settings,
    link: Mutex<Slot>,
    slots: Arc<Semaphore>,
    climb: OnceCell<Climb>,
    /// Held while a password is tried for the first time.
    gate: Arc<Mutex<()>>,
    proven: AtomicBool,
    /// Whether a command has ever begun: the login shell runs what it is given.
    begun: AtomicBool,
    refused: std::sync::Mutex<Option<Refusal>>,
    /// What the login shell said by itself before the last command.
    noise: std::sync::Mutex<Vec<String>>,
    /// Paths that are being uploaded to.
    pub(super) parts: super::carry::Parts,
}

/// The connection, or how the last try to have one ended.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// When the last try failed, at which host, and the address and reason.
    failed: Option<(Instant, String, String, String)>,
}

/// A refusal that is final for this host.
#[derive(Clone)]
enum Refusal {
    Root(String),
    Login { user: String, tried: String },
}

impl Inner {
    pub(super) fn new(host: site::Host, settings: Settings) -> Self {
        let slots = Arc::new(Semaphore::new(settings.sessions.max(1)));
        Self {
            host,
            settings,
            link: Mutex::default(),
            slots,
            climb: OnceCell::new(),
            gate: Arc::default(),
            proven: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            refused: std::sync::Mutex::default(),
            noise: std::sync::Mutex::default(),
            parts: super::carry::Parts::default(),
        }
    }

    pub(super) fn error(&self, kind: HostErrorKind) -> HostError {
        HostError::new(&self.host.name, kind)
    }

    fn unreachable(&self, why: String) -> HostError {
        let jump = self.host.way.last().expect("a way ends at the host itself");
        self.error(HostErrorKind::Unreachable { address: format!("{}:{}", jump.address, jump.port), why })
    }

    /// The connection, made again if it is broken.
    pub(super) async fn link(&self) -> Result<Arc<Link>, HostError> {
        let asked = Instant::now();
        let mut slot = self.link.lock().await;
        if let Some(link) = slot.link.as_ref().filter(|link| !link.is_closed()) {
            return Ok(link.clone());
        }
        // Who waited for a try that failed gets its outcome, not a try of their own.
        if let Some((_, host, address, why)) = slot.failed.clone().filter(|(when, ..)| *when >= asked) {
            return Err(HostError::new(host, HostErrorKind::Unreachable { address, why }));
        }
        if let Some(Refusal::Login { user, tried }) = self.refusal() {
            return Err(self.error(HostErrorKind::Login { user, tried }));
        }
        *slot = Slot::default();
        let opened = tokio::select! {
            biased;
            () = self.settings.cancel.cancelled() => Err(self.error(HostErrorKind::Cancelled)),
            opened = Link::open(&self.host.way, &self.settings) => opened,
        };
        if let Err(HostError { kind: HostErrorKind::Login { user, tried }, .. }) = &opened {
            self.refuse(Refusal::Login { user: user.clone(), tried: tried.clone() });
        }
        if let Err(HostError { host, kind: HostErrorKind::Unreachable { address, why } }) = &opened {
            slot.failed = Some((Instant::now(), host.clone(), address.clone(), why.clone()));
        }
        let link = Arc::new(opened?);
        slot.link = Some(link.clone());
        Ok(link)
    }

    fn refusal(&self) -> Option<Refusal> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, why: Refusal) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// A session, as soon as there is room for one; on a new connection if the old one had died while it was idle.
    pub(super) async fn session(&self) -> Result<(Arc<Link>, Channel<Msg>, OwnedSemaphorePermit), HostError> {
        let room = self.slots.clone().acquire_owned();
        let permit = tokio::select! {
            biased;
            () = self.settings.cancel.cancelled() => return Err(self.error(HostErrorKind::Cancelled)),
            permit = room => permit.expect("never closed"),
        };
        let mut fresh = false;
        let begun = Instant::now();
        loop {
            let link = self.link().await?;
            let opened = tokio::select! {
                biased;
                () = self.settings.cancel.cancelled() => return Err(self.error(HostErrorKind::Cancelled)),
                opened = tokio::time::timeout(self.settings.patience, link.session()) => opened,
            };
            let Ok(opened) = opened else {
                let why = format!("it opens no session for {} s", self.settings.patience.as_secs());
                return Err(self.unreachable(why));
            };
            match opened {
                Ok(channel) => return Ok((link, channel, permit)),
                Err(russh::Error::ChannelOpenFailure(why)) => {
                    // The limit may be lower than ours, and the host frees a session some time after its end.
                    let others = self.slots.available_permits() + 1 < self.settings.sessions.max(1);
                    if !others && begun.elapsed() > self.settings.patience {
                        let why = format!("it opens no session ({why:?}): look at `MaxSessions` in its sshd");
                        return Err(self.unreachable(why));
                    }
                    tokio::time::sleep(BUSY).await;
                }
                Err(_) if !fresh && link.is_closed() => fresh = true,
                Err(error) => return Err(link.lost(&error.to_string())),
            }
        }
    }

    async fn climb(&self) -> Result<&Climb, HostError> {
        let secret = |reference| self.settings.secret(&self.host.name, reference);
        let resolve = || async {
            Ok(match &self.host.privilege {
                Privilege::None(_) => Climb::None,
                Privilege::Sudo(_) => Climb::Sudo,
                Privilege::SudoPassword(reference) => Climb::SudoPassword(secret(reference).await?),
                Privilege::Su(reference) => Climb::Su(secret(reference).await?),
            })
        };
        self.climb.get_or_try_init(resolve).await
    }

    /// Runs a command and tells the trace.
    pub(super) async fn traced(self: &Arc<Self>, command: &Command, feed: Feed<'_>) -> Result<Output, HostError> {
        let trace = &self.settings.trace;
        let (id, begun) = (trace.began(&self.host.name, command), Instant::now());
        let outcome = self.execute(command, feed).await;
        trace.ended(id, &outcome, begun.elapsed());
        outcome
    }

    /// What the login shell said by itself before the last command.
    pub(super) fn noise(&self) -> Vec<String> {
        self.noise.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn execute(self: &Arc<Self>, command: &Command, feed: Feed<'_>) -> Result<Output, HostError> {
        if command.script.len() > LARGEST_SCRIPT {
            let said = format!("{} bytes of script; a host takes {LARGEST_SCRIPT}", command.script.len());
            return Err(self.error(HostErrorKind::Status { status: 126, said, script: command.script.clone() }));
        }
        if let Some(Refusal::Login { user, tried }) = self.refusal() {
            return Err(self.error(HostErrorKind::Login { user, tried }));
        }
        let unprivileged = Climb::None;
        let climb = if command.root { self.climb().await? } else { &unprivileged };
        let gate = match climb.password() {
            Some(_) if !self.proven.load(Ordering::Acquire) => Some(self.gate.clone().lock_owned().await),
            _ => None,
        };
        if let (Some(_), Some(Refusal::Root(why))) = (climb.password(), self.refusal()) {
            return Err(self.error(HostErrorKind::Privilege(why)));
        }
        let (link, channel, _room) = self.session().await?;
        let mark = Mark::new();
        let line = line(&command.script, climb, command.root, command.deadline, &mark);
        // Later commands may begin as late as a busy host lets them.
        let patience = if self.begun.load(Ordering::Acquire) { command.deadline } else { self.settings.begin };
        let limit = self.settings.output_limit;
        let exec = Exec { line, mark, climb, feed, limit, gate, patience, noise: &self.noise };
        let mut running = Running { inner: self.clone(), group: Arc::default(), root: command.root, link };
        let group = running.group.clone();
        let outcome = tokio::select! {
            biased;
            outcome = exec.run(channel, &group) => outcome,
            () = self.settings.cancel.cancelled() => Err(Failed::Kind(HostErrorKind::Cancelled)),
            () = tokio::time::sleep(command.deadline) => {
                let (after, script) = (command.deadline, command.script.clone());
                Err(Failed::Kind(HostErrorKind::Deadline { after, script }))
            }
        };
        if group.load(Ordering::Relaxed) != 0 {
            self.begun.store(true, Ordering::Release);
            self.proven.fetch_or(climb.password().is_some(), Ordering::AcqRel);
        }
        match outcome {
            Ok(output) => {
                running.over();
                Ok(output)
            }
            Err(failed) => {
                let error = self.explain(failed, command, &running.link);
                running.end().await;
                Err(error)
            }
        }
    }

    fn explain(&self, failed: Failed, command: &Command, link: &Link) -> HostError {
        let script = command.script.clone();
        match failed {
            Failed::Kind(kind) => self.error(kind),
            Failed::NoRoot(why, given) => {
                if given {
                    self.refuse(Refusal::Root(why.clone()));
                }
                self.error(HostErrorKind::Privilege(why))
            }
            Failed::NotRun(said) => {
                let user = self.host.way.last().map(|jump| jump.user.clone()).unwrap_or_default();
                self.error(HostErrorKind::Login { user, tried: format!("logged in, but no command runs: {said}") })
            }
            Failed::NotBegun { after, said } => {
                let user = self.host.way.last().map(|jump| jump.user.clone()).unwrap_or_default();
                let said = if said.is_empty() { String::new() } else { format!("; it printed {said:?}") };
                let tried = format!(
                    "logged in, but the login shell runs no command: nothing began within {} s{said}; look at \
                     .bashrc, .profile and the like of {user}, which may ask a question or start another shell",
                    after.as_secs()
                );
                self.refuse(Refusal::Login { user: user.clone(), tried: tried.clone() });
                self.error(HostErrorKind::Login { user, tried })
            }
            Failed::Flood => self.error(HostErrorKind::Flood { limit: self.settings.output_limit, script }),
            // The host is asked on the same connection: a session that was cut is not a host that is away.
            Failed::Cut(why) if link.is_closed() => link.lost(&why),
            Failed::Cut(why) => self.error(HostErrorKind::Cut(why)),
        }
    }

    /// Ends a process group on the host: asked first, killed 2 s later.
    async fn kill(&self, link: &Link, group: u32, root: bool) {
        let script = format!(
            "there() {{ kill -s 0 -- -{group} 2>/dev/null; }}\n\
             gone() {{ for i in 1 2 3 4 5 6 7 8 9 10; do there || return 0; sleep 0.2; done; return 1; }}\n\
             kill -s TERM -- -{group} 2>/dev/null; gone || {{ kill -s KILL -- -{group}; gone; }}"
        );
        let unprivileged = Climb::None;
        let climb = if root { self.climb.get().unwrap_or(&unprivileged) } else { &unprivileged };
        let mark = Mark::new();
        let line = line(&script, climb, root, Duration::from_secs(10), &mark);
        let (feed, noise) = (Feed::Bytes(Bytes::new()), &self.noise);
        let patience = Duration::from_secs(10);
        let exec = Exec { line, mark, climb, feed, limit: 1 << 16, gate: None, patience, noise };
        let work = async {
            if let Ok(channel) = link.session().await {
                drop(exec.run(channel, &AtomicU32::new(0)).await);
            }
        };
        // If this fails, `timeout` on the host ends the group some seconds later.
        let _ = tokio::time::timeout(Duration::from_secs(10), work).await;
    }
}

/// A command under way. If it is dropped, the command is ended on the host.
struct Running {
    inner: Arc<Inner>,
    group: Arc<AtomicU32>,
    root: bool,
    link: Arc<Link>,
}

impl Running {
    /// It is over: there is nothing to end.
    fn over(&self) {
        self.group.store(0, Ordering::Relaxed);
    }

    /// Ends it on the host, and waits until it is gone.
    async fn end(&mut self) {
        let group = self.group.swap(0, Ordering::Relaxed);
        if group > 1 && !self.link.is_closed() {
            self.inner.kill(&self.link, group, self.root).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.group.swap(0, Ordering::Relaxed);
        if group > 1
            && !self.link.is_closed()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (inner, link, root) = (self.inner.clone(), self.link.clone(), self.root);
            runtime.spawn(async move { inner.kill(&link, group, root).await });
        }
    }
}

impl Feed<'_> {
    pub(super) fn of(stdin: &Stdin) -> Self {
        Self::Bytes(match stdin {
            Stdin::Empty => Bytes::new(),
            Stdin::Text(text) => Bytes::from(text.clone().into_bytes()),
            Stdin::Secret(secret) => Bytes::from(secret.expose().as_bytes().to_vec()),
        })
    }
}
