//! Work under leases on all hosts of the site: nothing is looked at before they are taken, so that what was seen stays true.

use std::future::Future;

use ferry_engine::run::{LeaseError, Leases, Stop};
use ferry_engine::step::is_essential;

use crate::failure::{ExitCode, Failure};
use crate::session::Session;

/// The leases of a session's hosts.
pub(crate) struct Lease {
    leases: Leases,
    hosts: usize,
    stop: Stop,
}

impl Lease {
    /// Of all hosts of the site.
    pub(crate) fn of(session: &Session) -> Self {
        let who = std::env::var("USER").unwrap_or_else(|_| "ferry-install".into());
        let essential = |name: &str| session.site.host(name).is_some_and(is_essential);
        let heard = (session.stop.clone(), session.journal.clone());
        let leases = Leases::new(&session.hosts, essential, (&session.owner, &who), session.gone.clone(), heard);
        Self { leases, hosts: session.hosts.len(), stop: session.stop.clone() }
    }

    /// Does `work` under the leases. They are given back whatever comes of it; if one was lost, that is what came of it.
    pub(crate) async fn hold<T>(self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let (hosts, stop) = (self.hosts, self.stop);
        match self.leases.hold(work).await {
            // Whatever failed when everything was ended at once: it was the engineer who ended it.
            Ok(Err(failure)) if stop.aborted() => Err(Failure { code: ExitCode::Interrupted, ..failure }),
            Ok(result) => result,
            Err(LeaseError::Hosts(errors)) => Err(Failure::of_hosts(errors.iter(), hosts)),
            Err(LeaseError::Stopped) => {
                Err(Failure::new(ExitCode::Interrupted, "stopped before anything was looked at"))
            }
            Err(held @ LeaseError::Held(_)) => {
                Err(Failure::of(ExitCode::Held, &held).hint("wait until that run has ended, or ask who does it"))
            }
            Err(lost @ LeaseError::Lost { .. }) => Err(Failure::of(ExitCode::Held, &lost)
                .hint("see who works there; when that run has ended, run the same command again: it goes on")),
        }
    }
}
