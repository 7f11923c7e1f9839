//! `apply`: does what a plan says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::Arch;
use ferry_engine::action::{Action, Content, File};
use ferry_engine::event::Event;
use ferry_engine::facts::Facts;
use ferry_engine::plan::{self, Plan};
use ferry_engine::registry::ProbeImage;
use ferry_engine::run::{self, Workshop};
use ferry_engine::step::Context;
use ferry_engine::supply::Supply;
use ferry_engine::vault::Vault;
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
    session.ended(Lease::of(&session).hold(under_lease(&session, &plan, supply)).await)
}

/// Everything that looks at the hosts, or changes them.
async fn under_lease(session: &Session, plan: &Plan, supply: Arc<Supply>) -> Result<ExitCode, Failure> {
    session.began("apply", Some(&supply), Some(plan));
    let facts = session.facts().await?;
    let mut vault = session.prepared_vault().await?;
    let images = Session::probe_images(&supply, &facts)?;
    render(session, plan, &supply, &facts, &mut vault, &images)?;
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
        installed::record(session, &workshop.supply)?;
    }
    Ok(applied.code)
}

/// Renders the files of the plan that hold secrets: the plan knows their digests only, and nothing was saved when it was made.
/// What would be other than the plan says is drift: of the hosts, or of the vault.
fn render(
    session: &Session,
    plan: &Plan,
    supply: &Supply,
    facts: &BTreeMap<String, Facts>,
    vault: &mut Vault,
    images: &BTreeMap<Arch, ProbeImage>,
) -> Result<(), Failure> {
    vault.forget_rendered_but(session.site.hosts.iter().map(|host| host.name.as_str()));
    plan::build(&mut Context::new(&session.site, facts, supply, vault, images), plan.created)?;
    let other = |step: &&plan::Step, action: &Action| match action {
        // What is owed to a host that is away is rendered when it is back.
        Action::File(File { content: Content::Vault { name, digest, .. }, path, .. })
            if facts.contains_key(&step.host) && vault.content(name).is_none_or(|now| now.digest() != *digest) =>
        {
            Some(format!("{}: {path}", step.host))
        }
        _ => None,
    };
    let other: Vec<String> =
        plan.steps().flat_map(|step| step.actions.iter().filter_map(move |one| other(&step, &one.action))).collect();
    if other.is_empty() {
        return Ok(());
    }
    let mut failure =
        Failure::new(ExitCode::Drift, format!("{} files with secrets would be other than the plan says", other.len()));
    failure.causes.extend(other);
    Err(failure.hint("the hosts or the vault have changed since: make the plan again"))
}

/// The steps that an earlier run of this very plan has begun.
fn begun(session: &Session, plan: &Plan) -> Result<BTreeSet<String>, Failure> {
    let path = session.journal.path();
    let records = journal::read(path).map_err(failure::file("read", path))?.records;
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
    // Before any host has it: what hosts hold must stay known.
    workshop.vault.save()?;
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
