//! `apply`: does what a plan says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ferry_engine::event::Event;
use ferry_engine::journal;
use ferry_engine::plan::{self, Plan};
use ferry_engine::run::{self, Workshop};

use super::SiteAndBundle;
use crate::cli::Common;
use crate::failure::{self, ExitCode, Failure};
use crate::leased::leased;
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
    session.began("apply", Some(&supply), Some(&plan));
    let facts = session.facts().await?;
    let vault = session.vault().await?;
    let images = Session::probe_images(&supply, &facts)?;
    let workshop = session.workshop(supply, vault, images);
    let begun = begun(&session, &plan)?;
    let drifted = plan::drift(&plan, &session.hosts, &begun, &workshop).await?;
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
    execute(&session, &plan, &workshop).await
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

/// Applies a plan under leases on all its hosts.
pub(crate) async fn execute(session: &Session, plan: &Plan, workshop: &Workshop) -> Result<ExitCode, Failure> {
    let done = leased(session, run::apply(plan, &session.hosts, workshop)).await?;
    if let Some((step, error)) = done.failed.first() {
        let mut failure = Failure::from(error);
        failure.causes.insert(0, format!("step {step} did not come to its end"));
        return Err(failure.hint("run the same command again: it goes on at this step"));
    }
    // Hosts that were away when the plan was made have no steps in it.
    let planned = |name: &String| plan.steps().any(|step| step.host == *name);
    let whole = done.owed.is_empty() && session.site.hosts.iter().map(|host| &host.name).all(planned);
    Ok(match (done.stopped, whole) {
        (true, _) => ExitCode::Interrupted,
        (false, false) => ExitCode::Owed,
        (false, true) => ExitCode::Success,
    })
}
