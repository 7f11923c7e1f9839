//! `accept`: checks that the cluster works, and writes the report that the customer signs.

use std::collections::{BTreeMap, BTreeSet};

use ferry_engine::accept::{self, AcceptNeeds};
use ferry_engine::event::Event;
use ferry_engine::facts::Facts;
use ferry_engine::run::Workshop;
use ferry_engine::supply::Supply;

use super::{SiteAndBundle, report};
use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::installed;
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
    session.ended(checked(&session, arguments, common).await)
}

async fn checked(session: &Session, arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let unknown = accept::unknown(&arguments.only);
    if let Some(name) = unknown.first() {
        let failure = Failure::new(ExitCode::Input, format!("--only {name}: there is no such check"));
        return Err(failure.hint(format!("topics: {}", accept::topics().join(", "))));
    }
    let supply = session.supply(&arguments.given.trust, common)?;
    session.began("look", Some(&supply), None);
    // A host that is away is a finding of the checks.
    let facts = session.facts_but(|_| true).await?;
    let vault = session.vault().await?;
    let images = Session::probe_images(&supply, &facts)?;
    let mut needs = AcceptNeeds::of(&supply, &vault, &images).after(installed::images(&session.state));
    needs.only.clone_from(&arguments.only);
    execute(session, &supply, needs, &BTreeSet::new()).await
}

/// What the checks need to know, from what an apply has worked with.
pub(crate) fn needs(
    session: &Session,
    workshop: &Workshop,
    facts: &BTreeMap<String, Facts>,
) -> Result<AcceptNeeds, Failure> {
    let images = Session::probe_images(&workshop.supply, facts)?;
    Ok(AcceptNeeds::of(&workshop.supply, &workshop.vault, &images).after(installed::images(&session.state)))
}

/// Runs the checks and writes the report. Hosts that are `owed` their steps are
/// left out, which is said.
pub(crate) async fn execute(
    session: &Session,
    supply: &Supply,
    mut needs: AcceptNeeds,
    owed: &BTreeSet<String>,
) -> Result<ExitCode, Failure> {
    session.began_only("accept", Some(supply), None, &needs.only);
    let (mut site, mut hosts) = (session.site.clone(), session.watched());
    site.hosts.retain(|host| !owed.contains(&host.name));
    hosts.retain(|name, _| !owed.contains(name));
    if !owed.is_empty() {
        let list: Vec<&str> = owed.iter().map(String::as_str).collect();
        let text = format!("owed their steps, and not part of these checks: {}", list.join(", "));
        session.journal.record(&Event::Note { text });
    }
    needs.stop = session.stop.clone();
    let verdicts = accept::run(&site, &hosts, &session.journal, &needs).await;
    session.journal.record(&verdicts.ended());
    report::tell(session, &report::write(session)?);
    Ok(match (verdicts.stopped, verdicts.well()) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Success,
        (false, false) => ExitCode::NotAccepted,
    })
}
