//! `install`: everything, in order.

use std::sync::Arc;

use ferry_engine::supply::Supply;
use ferry_engine::{plan, preflight};

use super::{SiteAndBundle, accept, apply, check, plan as planning};
use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::installed;
use crate::leased::Lease;
use crate::session::Session;
use crate::show;

/// Everything, in order: look at the hosts, plan, apply, accept, report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    given: SiteAndBundle,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.given.site, common)?;
    let supply = session.supply(&arguments.given.trust, common)?;
    supply.read_ahead();
    session.ended(Lease::of(&session).hold(under_lease(&session, &supply, common)).await)
}

/// Everything that looks at the hosts, asks what shall be done, or changes them.
async fn under_lease(session: &Session, supply: &Arc<Supply>, common: &Common) -> Result<ExitCode, Failure> {
    session.began("look", Some(supply), None);
    let facts = session.facts().await?;
    let findings = check::find(session, supply, &facts).await?;
    show::findings(&findings, common.json);
    if findings.verdict() != preflight::Verdict::Ready {
        return Err(Failure::new(ExitCode::Unfit, "the site is not fit; nothing was changed")
            .hint("cure what is said above, or waive it in the site file with the reason, where that can be"));
    }
    let (plan, workshop) = planning::make(session, supply, &facts).await?;
    plan::save(&plan, &session.state.join("plan.json"))?;
    if !common.json {
        show::text(&planning::summary(&plan));
    }
    if plan.open() > 0 && !common.yes && !session.console.confirm("Apply this plan?").await {
        let hint = format!("to see all of it: ferry-install plan --show {}", session.state.join("plan.json").display());
        return Err(Failure::new(ExitCode::Interrupted, "nothing was changed: the plan was not confirmed").hint(hint));
    }
    session.began("apply", Some(supply), Some(&plan));
    let applied = apply::execute(session, &plan, &facts, &workshop).await?;
    if !applied.is_whole() {
        return Ok(applied.code);
    }
    installed::record(session, supply)?;
    let needs = accept::needs(session, &workshop, &facts)?;
    let accepted = accept::execute(session, &workshop.supply, needs, &applied.owed).await?;
    Ok(applied.and(accepted))
}
