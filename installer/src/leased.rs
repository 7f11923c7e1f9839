//! Work under leases: taken on every host that can be reached, renewed while the work lasts, given back after it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ferry_engine::host::Host;
use ferry_engine::run::lease;

use crate::failure::{ExitCode, Failure};
use crate::session::Session;

/// Does `work` under leases on all hosts of the site.
pub(crate) async fn leased<T>(session: &Session, work: impl Future<Output = T>) -> Result<T, Failure> {
    let hosts: Vec<Arc<dyn Host>> = session.hosts.values().cloned().collect();
    let who = std::env::var("USER").unwrap_or_else(|_| "ferry-install".into());
    if let Err(held) = lease::take_all(&hosts, &session.owner, &who).await? {
        return Err(Failure::of(ExitCode::Held, &held).hint("wait until that run has ended, or ask who does it"));
    }
    let renewal = tokio::spawn(renew(hosts.clone(), session.owner.clone(), who));
    let result = work.await;
    renewal.abort();
    lease::release_all(&hosts, &session.owner).await;
    Ok(result)
}

/// Renews the leases as long as the run lives.
async fn renew(hosts: Vec<Arc<dyn Host>>, owner: String, who: String) {
    loop {
        tokio::time::sleep(Duration::from_secs(lease::SECONDS / 3)).await;
        lease::renew_all(&hosts, &owner, &who).await;
    }
}
