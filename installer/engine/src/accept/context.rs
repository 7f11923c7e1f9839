//! What every check works with: the site, its hosts, the way to `kubectl`, and the arena once it is needed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use tokio::sync::OnceCell;

use super::arena::{self, Arena};
use super::egress::Flows;
use super::etcd::Baseline;
use super::finding::Finding;
use super::kubectl::Kubectl;
use super::needs::AcceptNeeds;
use super::reach::Reached;
use crate::host::{Command, Host, HostError};
use crate::site::file::Role;
use crate::site::{self, Site};

/// What a check failed to see, as text with the reason.
pub(super) type Unseen = String;

/// What every check works with.
pub(super) struct Context<'a> {
    pub(super) site: &'a Site,
    pub(super) hosts: BTreeMap<String, Reached>,
    pub(super) needs: &'a AcceptNeeds,
    /// A word that no other run uses: names and tokens are made of it.
    pub(super) token: String,
    /// When the run began, in seconds since 1970 by the operator's clock.
    pub(super) began: i64,
    /// When all pods of the system were seen ready, likewise; until then, when the run began.
    pub(super) ready: AtomicI64,
    /// How etcd's counters stood when the run began.
    pub(super) baseline: Baseline,
    /// Where packets went when the run began, by host.
    pub(super) flows: Flows,
    arena: OnceCell<Result<Arena, Unseen>>,
    /// Whether it was told at length why there is no arena.
    told: AtomicBool,
}

impl<'a> Context<'a> {
    pub(super) fn new(site: &'a Site, hosts: BTreeMap<String, Reached>, needs: &'a AcceptNeeds, run: u64) -> Self {
        let (baseline, flows) = (Baseline::default(), Flows::default());
        let began = seconds_now();
        Self {
            site,
            hosts,
            needs,
            token: format!("ferry{run}"),
            began,
            ready: AtomicI64::new(began),
            baseline,
            flows,
            arena: OnceCell::new(),
            told: AtomicBool::new(false),
        }
    }

    /// `kubectl` on the first control-plane host that is connected and answers.
    pub(super) fn kubectl(&self) -> Result<Kubectl<'_>, Unseen> {
        let mut masters = self.site.with(Role::ControlPlane).filter_map(|host| self.hosts.get(&host.name)).peekable();
        let none = if masters.peek().is_some() {
            "every control-plane host is unreachable"
        } else {
            "no control-plane host is connected"
        };
        masters.find(|host| !host.is_gone()).map(|host| Kubectl::on(host)).ok_or_else(|| none.to_owned())
    }

    /// The hosts that were given up, by name.
    pub(super) fn gone(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, host)| host.is_gone()).map(|(name, _)| name.as_str())
    }

    /// A host's connection.
    pub(super) fn host(&self, name: &str) -> Result<&dyn Host, Unseen> {
        self.hosts.get(name).map(|host| host as &dyn Host).ok_or_else(|| format!("{name} is not connected"))
    }

    /// Does something on every host of the site that passes, at the same time; what it returns comes in the site's order.
    pub(super) async fn each<'s, F, G>(&'s self, which: impl Fn(&site::Host) -> bool, work: F) -> Vec<Finding>
    where
        F: Fn(&'s site::Host, &'s dyn Host) -> G,
        G: Future<Output = Vec<Finding>>,
    {
        let chosen = self.site.hosts.iter().filter(|host| which(host));
        let all = join_all(chosen.map(|host| {
            let work = self.host(&host.name).map(|connection| work(host, connection));
            async move {
                match work {
                    Ok(work) => work.await,
                    Err(why) => vec![Finding::failed(&host.name, why, "connect the host, or take it out of the site")],
                }
            }
        }));
        all.await.into_iter().flatten().collect()
    }

    /// The pods that measurements are made from and to. Made by whoever asks first. Why it could not be made is told at length
    /// once.
    pub(super) async fn arena(&self) -> Result<&Arena, Unseen> {
        let made = self.arena.get_or_init(|| arena::open(self)).await;
        made.as_ref().map_err(|why| {
            if self.told.swap(true, Ordering::Relaxed) {
                format!("{} (more at the first of these checks)", why.lines().next().unwrap_or_default())
            } else {
                why.clone()
            }
        })
    }

    /// Whether anybody has asked for the arena.
    pub(super) fn arena_was_asked_for(&self) -> bool {
        self.arena.initialized()
    }

    /// Whether the run is to end.
    pub(super) fn stopped(&self) -> bool {
        self.needs.stop.asked()
    }

    /// Asks `look` until it says yes, the patience is over, or the run is to end. Gives back what was seen last. While a host
    /// is away nothing is waited for: what it lacks will not come.
    pub(super) async fn until<T, F, G>(&self, patience: Duration, look: F) -> T
    where
        F: Fn() -> G,
        G: Future<Output = (bool, T)>,
    {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let (well, seen) = look().await;
            if well || self.stopped() || self.gone().next().is_some() || tokio::time::Instant::now() >= end {
                return seen;
            }
            tokio::time::sleep(Duration::from_secs(2).min(patience)).await;
        }
    }
}

/// Runs a command that must end with status 0, and gives its standard output. Standard error is no failure: containerd and
/// kubectl warn there.
pub(super) async fn output(host: &dyn Host, command: &Command) -> Result<String, Unseen> {
    let output = host.run(command).await.and_then(|output| output.ok(host.name(), command));
    output.map(|output| output.text()).map_err(|error| said(&error))
}

/// An error with what to do about it.
pub(super) fn said(error: &HostError) -> Unseen {
    match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

/// The operator's clock, in whole seconds since 1970.
pub(super) fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// The operator's clock, in seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
