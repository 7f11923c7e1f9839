//! The lease on a host: one engineer's run at a time. It is renewed while the run lives and lapses by itself after it dies.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};

use crate::host::{Command, Host, HostError, quote};

/// For how long a lease is good, in seconds, after it was last renewed.
pub const SECONDS: u64 = 90;

/// Somebody else's lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is being worked on by {who}, for at least {seconds} s more")]
pub struct Held {
    /// The host.
    pub host: String,
    /// Who holds it.
    pub who: String,
    /// In how many seconds it lapses unless it is renewed.
    pub seconds: u64,
}

/// The script that takes or renews the lease. `owner` is the same in every run from one state folder, so that a run that was
/// killed can go on at once.
#[must_use]
pub fn take_script(owner: &str, who: &str) -> String {
    format!(
        "set -eu; mkdir -p -m 700 /run/ferry; exec 8>/run/ferry/lease.lock; flock -w 20 8\nnow=$(date +%s); f=/run/ferry/lease\n\
         if [ -s $f ]; then read -r o u w <$f; if [ \"$o\" != {owner} ] && [ \"$u\" -gt \"$now\" ]; then echo \"held $((u-now)) $w\"; exit 0; fi; fi\n\
         echo {owner} $((now+{SECONDS})) {who} >$f.part; mv -f $f.part $f; echo taken",
        owner = quote(owner),
        who = quote(who),
    )
}

/// The script that gives it back.
#[must_use]
pub fn release_script(owner: &str) -> String {
    let owner = quote(owner);
    format!("f=/run/ferry/lease; if [ -s $f ]; then read -r o u w <$f; [ \"$o\" != {owner} ] || rm -f $f; fi")
}

/// Takes or renews the lease.
pub async fn take(host: &dyn Host, owner: &str, who: &str) -> Result<Result<(), Held>, HostError> {
    let command = Command::root(take_script(owner, who)).within(Duration::from_secs(40));
    let output = host.run(&command).await?.ok(host.name(), &command)?;
    let text = output.text();
    let Some(held) = text.trim().strip_prefix("held ") else { return Ok(Ok(())) };
    let (seconds, who) = held.split_once(' ').unwrap_or((held, "somebody"));
    Ok(Err(Held { host: host.name().to_owned(), who: who.to_owned(), seconds: seconds.parse().unwrap_or(SECONDS) }))
}

/// Hosts that are asked at once: a thousand leases have to be renewed well before the first lapses, over any link.
const TOGETHER: usize = 64;

/// Takes or renews the leases on all of them. A host that is away shows later, where it matters. Ends at the first lease that
/// somebody else holds.
pub async fn take_all(hosts: &[Arc<dyn Host>], owner: &str, who: &str) -> Result<Result<(), Held>, HostError> {
    let mut taken = stream::iter(hosts).map(|host| take(host.as_ref(), owner, who)).buffer_unordered(TOGETHER);
    while let Some(one) = taken.next().await {
        match one {
            Ok(Ok(())) => {}
            Ok(held) => return Ok(held),
            Err(error) if error.is_absence() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(()))
}

/// Renews the leases on all of them. One that can't be renewed lapses, and the next command on its host tells why.
pub async fn renew_all(hosts: &[Arc<dyn Host>], owner: &str, who: &str) {
    stream::iter(hosts)
        .for_each_concurrent(TOGETHER, |host| async move { drop(take(host.as_ref(), owner, who).await) })
        .await;
}

/// Gives back the leases on all of them.
pub async fn release_all(hosts: &[Arc<dyn Host>], owner: &str) {
    stream::iter(hosts).for_each_concurrent(TOGETHER, |host| release(host.as_ref(), owner)).await;
}

/// Gives it back. A host that is away keeps it until it lapses.
pub async fn release(host: &dyn Host, owner: &str) {
    let command = Command::root(release_script(owner)).within(Duration::from_secs(20));
    // Nothing depends on it: the lease lapses.
    drop(host.run(&command).await);
}
