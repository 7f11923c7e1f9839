//! Makes the checks, one after the other; waives what the site waives; cleans up behind itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use super::context::Context;
use super::finding::{Finding, Verdicts};
use super::needs::AcceptNeeds;
use super::reach::Reached;
use super::table::{CHECKS, Check};
use super::{arena, egress, etcd, reach};
use crate::event::{Event, Verdict};
use crate::host::Host;
use crate::journal::Journal;
use crate::site::Site;

/// Makes every check that is asked for, writes each finding down, and cleans up.
///
/// It never fails as a whole: what can't be seen is a finding. A second run while one is under way would take its
/// namespace away; the lease on the hosts is the caller's.
pub async fn run(
    site: &Site,
    hosts: &BTreeMap<String, Arc<dyn Host>>,
    journal: &Journal,
    needs: &AcceptNeeds,
) -> Verdicts {
    let mut context = Context::new(site, reach::all(hosts).await, needs, journal.run());
    let wanted: Vec<&Check> = CHECKS.iter().filter(|check| needs.wants(check.id)).collect();
    let mut verdicts = Verdicts { only: needs.only.clone(), ..Verdicts::default() };
    if wanted.iter().any(|check| check.id.starts_with("etcd.")) {
        context.baseline = etcd::baseline(&context).await;
    }
    if wanted.iter().any(|check| check.id.starts_with("egress.")) {
        context.flows = egress::look(&context).await;
    }
    if wanted.iter().any(|check| check.arena) {
        // What an earlier run left, because it was cut off.
        let _ = arena::close(&context).await;
    }
    for check in wanted {
        if needs.stop.asked() {
            verdicts.stopped = true;
            break;
        }
        let begin = Instant::now();
        journal.record(&Event::Checking { check: check.id.to_owned() });
        let found = look(check, &context).await;
        let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        for finding in found {
            let finding = waived(site, check.id, finding);
            journal.record(&event(check, &finding, ms));
            verdicts.add(check.id, finding);
        }
    }
    if context.arena_was_asked_for()
        && let Err(why) = arena::close(&context).await
    {
        journal.record(&Event::Note { text: format!("the namespace {} is still there: {why}", arena::NAMESPACE) });
    }
    verdicts
}

/// Makes a check. Those that need pods on every node are not begun while a host is away: each would wait for it in its own
/// way.
async fn look(check: &Check, context: &Context<'_>) -> Vec<Finding> {
    if check.arena {
        join_all(context.hosts.values().map(Reached::answers)).await;
        let gone: Vec<&str> = context.gone().collect();
        if !gone.is_empty() {
            let failed = |host: &&str| Finding::failed(*host, "host unreachable: not checked", reach::FIX);
            return gone.iter().map(failed).collect();
        }
    }
    (check.look)(context).await
}

fn event(check: &Check, finding: &Finding, ms: u64) -> Event {
    let Finding { subject, verdict, evidence, fix } = finding.clone();
    Event::Check { check: check.id.to_owned(), title: check.title.to_owned(), subject, verdict, evidence, fix, ms }
}

/// A failure that the site waives, for this subject, becomes a waiver that says why. A waiver names a check or a topic.
fn waived(site: &Site, id: &str, finding: Finding) -> Finding {
    if finding.verdict != Verdict::Failed {
        return finding;
    }
    let fits = |waiver: &&crate::site::file::Waiver| {
        let named = id.strip_prefix(waiver.check.value.as_str());
        let named = named.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let here = waiver.hosts.is_empty()
            || waiver.hosts.iter().any(|host| finding.places().any(|place| place == host.value));
        named && here
    };
    match site.waivers.iter().find(fits) {
        Some(waiver) => Finding {
            verdict: Verdict::Waived,
            evidence: format!("waived: {}\n{}", waiver.reason.trim(), finding.evidence),
            ..finding
        },
        None => finding,
    }
}
