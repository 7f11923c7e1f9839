//! `accept`: checks that the cluster works, and writes the report that the customer signs.

use std::collections::BTreeMap;

use ferry_bundle_format::lock::Timestamp;
use ferry_engine::accept::{self, AcceptNeeds};
use ferry_engine::event::Event;
use ferry_engine::facts::Facts;
use ferry_engine::run::Workshop;

use super::{SiteAndBundle, report};
use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::session::Session;

/// Check that the cluster works, by making it work, and write the report.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    given: SiteAndBundle,
    /// Only the checks of this id or topic. Repeatable.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.given.site, common)?;
    let supply = session.supply(&arguments.given.trust, common)?;
    session.began("look", Some(&supply), None);
    // A host that is away is a finding of the checks.
    let facts = session.facts_but(|_| true).await?;
    let vault = session.vault().await?;
    let images = Session::probe_images(&supply, &facts)?;
    let mut needs = AcceptNeeds::of(&supply, &vault, &images);
    needs.only.clone_from(&arguments.only);
    execute(&session, needs, None, &[]).await
}

/// What the checks need to know, from what an apply has worked with.
pub(crate) fn needs(workshop: &Workshop, facts: &BTreeMap<String, Facts>) -> Result<AcceptNeeds, Failure> {
    let images = Session::probe_images(&workshop.supply, facts)?;
    Ok(AcceptNeeds::of(&workshop.supply, &workshop.vault, &images))
}

/// Runs the checks and writes the report. `since` is when the cluster was last changed; hosts that are `owed` their steps are
/// left out, which is said.
pub(crate) async fn execute(
    session: &Session,
    mut needs: AcceptNeeds,
    since: Option<i64>,
    owed: &[String],
) -> Result<ExitCode, Failure> {
    session.began("accept", None, None);
    let (mut site, mut hosts) = (session.site.clone(), session.watched());
    site.hosts.retain(|host| !owed.contains(&host.name));
    hosts.retain(|name, _| !owed.contains(name));
    if !owed.is_empty() {
        let text = format!("owed their steps, and not part of these checks: {}", owed.join(", "));
        session.journal.record(&Event::Note { text });
    }
    needs.since = since.map(Timestamp::from_unix);
    needs.stop = session.stop.clone();
    let verdicts = accept::run(&site, &hosts, &session.journal, &needs).await;
    session.journal.record(&verdicts.ended());
    report::write(session)?;
    Ok(match (verdicts.stopped, verdicts.well()) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Success,
        (false, false) => ExitCode::NotAccepted,
    })
}
