//! `accept`: checks that the cluster works, and writes the report that the customer signs.

use std::collections::{BTreeMap, BTreeSet};

use ferry_engine::accept::{self, AcceptNeeds, Verdicts};
use ferry_engine::event::{Event, Verdict};
use ferry_engine::facts::Facts;
use ferry_engine::run::Workshop;
use ferry_engine::site::file::Role;
use ferry_engine::supply::Supply;

use super::{SiteAndBundle, report};
use crate::cli::Common;
use crate::failure::{ExitCode, Failure};
use crate::installed;
use crate::session::Session;
use crate::show;

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
    if !session.json {
        show::text(&failures(&verdicts));
    }
    report::tell(session, &report::write(session)?);
    let site = session.site.file.display();
    show::next(
        session.json,
        &if verdicts.well() && verdicts.only.is_empty() {
            let lead =
                session.site.with(Role::ControlPlane).next().map_or("a control-plane host", |host| host.name.as_str());
            format!(
                "print and sign the report; kubectl is on {lead}, with KUBECONFIG=/etc/kubernetes/admin.conf; \
             keep the state folder {}",
                session.state.display()
            )
        } else if verdicts.well() {
            format!("all checks, without --only: ferry-install accept {site} --bundle FILE.ferry")
        } else {
            format!("mend what failed, then: ferry-install accept {site} --bundle FILE.ferry")
        },
    );
    Ok(match (verdicts.stopped, verdicts.well()) {
        (true, _) => ExitCode::Interrupted,
        (false, true) => ExitCode::Success,
        (false, false) => ExitCode::NotAccepted,
    })
}

/// What failed, once more: it may stand hundreds of lines above.
fn failures(verdicts: &Verdicts) -> String {
    let failed = verdicts.findings.iter().filter(|one| one.1.verdict == Verdict::Failed);
    let line = |(check, finding): &(&str, accept::Finding)| {
        let place = if finding.subject.is_empty() { String::new() } else { format!(" {}", finding.subject) };
        let fix = finding.fix.as_ref().map(|fix| format!("       fix: {fix}\n")).unwrap_or_default();
        format!("  FAIL {check}{place}: {}\n{fix}", finding.evidence.lines().next().unwrap_or_default())
    };
    let lines: String = failed.map(line).collect();
    if lines.is_empty() { lines } else { format!("what failed:\n{lines}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_listed_again() {
        let finding = |subject: &str, verdict| accept::Finding {
            subject: subject.into(),
            verdict,
            evidence: "first\nsecond".into(),
            fix: Some("mend it".into()),
        };
        let mut verdicts = Verdicts::default();
        assert_eq!(failures(&verdicts), "");
        verdicts.findings =
            vec![("dns.cluster", finding("one", Verdict::Failed)), ("etcd.hash", finding("", Verdict::Passed))];
        assert_eq!(failures(&verdicts), "what failed:\n  FAIL dns.cluster one: first\n       fix: mend it\n");
    }
}
