//! `apply`: does what a plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ferry_engine::event::Event;
use ferry_engine::facts::Facts;
use ferry_engine::plan::{self, Plan};
use ferry_engine::run::{self, Workshop};
use ferry_engine::supply::Supply;
use ferry_engine::{journal, preflight};

use super::SiteAndBundle;
use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::installed;
use crate::leased::Lease;
use crate::session::Session;

/// Do what a saved plan says, if the hosts are still as it saw them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan.
    #[arg(value_name = "PLAN.json")]
    plan: PathBuf,
    #[command(flatten)]
    given: SiteAndBundle,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let plan = plan::load(&arguments.plan)?;
    let session = Session::open(&arguments.given.site, common)?;
    if plan.site != session.site.digest {
        return Err(Failure::new(
            ExitCode::Drift,
            "the plan was made from another site file, or from an older state of it",
        )
        .hint("make the plan anew"));
    }
    let supply = session.supply(&arguments.given.trust, common)?;
    if plan.bundle != supply.bundle().id() {
        return Err(Failure::new(ExitCode::Drift, "the plan was made for another bundle")
            .hint("give that bundle, or make the plan anew"));
    }
    Lease::of(&session).hold(under_lease(&session, &plan, supply)).await
}

/// Everything that looks at the hosts, or changes them.
async fn under_lease(session: &Session, plan: &Plan, supply: Arc<Supply>) -> Result<ExitCode, Failure> {
    session.began("apply", Some(&supply), Some(plan));
    let facts = session.facts().await?;
    let vault = session.vault().await?;
    let images = Session::probe_images(&supply, &facts)?;
    let workshop = session.workshop(supply, vault, images);
    let begun = begun(session, plan)?;
    session.go_on()?;
    let drifted = plan::drift(plan, &session.hosts, &begun, &workshop).await?;
    if !drifted.is_empty() {
        let mut failure = Failure::new(
            ExitCode::Drift,
            format!("{} things have changed on the hosts since the plan was made", drifted.len()),
        );
        failure.causes.extend(
            drifted.iter().map(|one| format!("{}: {}: was `{}`, is `{}`", one.step, one.title, one.before, one.now)),
        );
        return Err(failure.hint("make the plan anew, look at what changed, and apply that"));
    }
    let applied = execute(session, plan, &facts, &workshop).await?;
    if applied.is_whole() {
        installed::record(session, workshop.supply.bundle())?;
    }
    Ok(applied.code)
}

/// The steps that an earlier run of this very plan has begun.
fn begun(session: &Session, plan: &Plan) -> Result<BTreeSet<String>, Failure> {
    let path = session.journal.path();
    let records = journal::read(path).map_err(failure::file("read", path))?;
    let id = plan.id().to_string();
    let runs: BTreeSet<u64> = records
        .iter()
        .filter(|record| matches!(&record.event, Event::Began { plan: Some(one), .. } if *one == id))
        .map(|record| record.run)
        .collect();
    let steps =
        records.into_iter().filter(|record| runs.contains(&record.run)).filter_map(|record| match record.event {
            Event::Step { step, .. } => Some(step),
            _ => None,
        });
    Ok(steps.collect())
}

/// What applying a plan came to.
pub(crate) struct Applied {
    /// Success, debts or interrupted: what failed is a failure.
    pub(crate) code: ExitCode,
    /// Hosts that are owed their steps.
    pub(crate) owed: BTreeSet<String>,
}

impl Applied {
    /// Whether nothing is left to do on the hosts that are there, so that they can be looked at.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.code, ExitCode::Success | ExitCode::Owed)
    }

    /// The code of the whole, where what was applied is `accepted` so.
    pub(crate) fn and(&self, accepted: ExitCode) -> ExitCode {
        if accepted == ExitCode::Success { self.code } else { accepted }
    }
}

/// Applies a plan, under the leases that are held already. Hosts without `facts` were away when it was made, and are owed their steps.
pub(crate) async fn execute(
    session: &Session,
    plan: &Plan,
    facts: &BTreeMap<String, Facts>,
    workshop: &Workshop,
) -> Result<Applied, Failure> {
    // A host that was lost while it was measured still has the probe.
    preflight::sweep(&session.site, &session.hosts, facts, &session.owner).await;
    let away = session.hosts.keys().filter(|name| !facts.contains_key(*name)).cloned().collect();
    let done = run::apply(plan, &session.hosts, &away, workshop).await;
    if let Some((step, error)) = done.failed.first() {
        let mut failure = Failure::from(error);
        failure.causes.insert(0, format!("step {step} did not come to its end"));
        return Err(failure.hint("run the same command again: it goes on at this step"));
    }
    let code = match (done.stopped, done.owed.is_empty()) {
        (true, _) => ExitCode::Interrupted,
        (false, false) => ExitCode::Owed,
        (false, true) => ExitCode::Success,
    };
    Ok(Applied { code, owed: done.owed })
}
