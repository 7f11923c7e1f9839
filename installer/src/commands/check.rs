//! `check`: whether the hosts are fit, said before anything is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ferry_bundle_format::Arch;
use ferry_engine::event::{Event, Verdict as Shown};
use ferry_engine::facts::Facts;
use ferry_engine::preflight::{self, Findings, Needs, Outcome, ProbeFile, Severity, Silence, Verdict};
use ferry_engine::supply::{Supply, SupplyError};

use crate::cli::{Common, TrustArgs};
use crate::failure::{ExitCode, Failure};
use crate::session::Session;
use crate::show;

/// Say whether the hosts are fit. Changes nothing that it does not take away again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The site file.
    #[arg(value_name = "SITE.yaml")]
    site: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Runs it.
pub(crate) async fn run(arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.site, common)?;
    session.ended(checked(&session, arguments, common).await)
}

async fn checked(session: &Session, arguments: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let supply = session.supply(&arguments.trust, common)?;
    session.began("check", Some(&supply), None);
    // A host that says nothing is a finding; what the others are like is worth knowing all the same.
    let (facts, failures) = session.gathered().await;
    let silent = failures.iter().map(|(name, error)| (name.clone(), Silence::from(error))).collect();
    let findings = find_of(session, &supply, &facts, silent).await?;
    show::findings(&findings, common.json);
    if !failures.is_empty() {
        return Err(session.unreached(failures.values()));
    }
    Ok(if findings.verdict() == Verdict::Ready { ExitCode::Success } else { ExitCode::Unfit })
}

/// Measures, judges, and writes every finding down. Hosts without facts are away.
pub(crate) async fn find(
    session: &Session,
    supply: &Arc<Supply>,
    facts: &BTreeMap<String, Facts>,
) -> Result<Findings, Failure> {
    find_of(session, supply, facts, BTreeMap::new()).await
}

async fn find_of(
    session: &Session,
    supply: &Arc<Supply>,
    facts: &BTreeMap<String, Facts>,
    silent: BTreeMap<String, Silence>,
) -> Result<Findings, Failure> {
    preflight::unknown_names(&session.site).map_err(|unknown| Failure::of(ExitCode::Input, &unknown))?;
    let probes = probes(supply, facts)?;
    let mut measurements = preflight::measure(&session.site, &session.hosts, facts, &probes, &session.owner).await;
    session.go_on()?;
    measurements.silent = silent;
    let needs = needs(supply)?;
    let findings = preflight::check(&session.site, facts, &measurements, &needs)
        .map_err(|unknown| Failure::of(ExitCode::Input, &unknown))?;
    for event in events(&findings) {
        session.journal.keep(&event);
    }
    Ok(findings)
}

fn probes(supply: &Supply, facts: &BTreeMap<String, Facts>) -> Result<BTreeMap<String, ProbeFile>, SupplyError> {
    // For a processor that the bundle does not know there is no probe: identity.architecture says so.
    let arches = Arch::ALL.into_iter().filter(|arch| facts.values().any(|facts| facts.arch == arch.as_str()));
    let arches = arches.filter(|arch| supply.lock().arches.contains(arch));
    let mut probes = BTreeMap::new();
    for arch in arches {
        let file = supply.file("ferry-probe", arch)?;
        if let Some(source) = supply.source(&Supply::content(file))? {
            probes.insert(arch.as_str().to_owned(), ProbeFile { source, digest: file.digest });
        }
    }
    Ok(probes)
}

/// What the bundle asks of the hosts.
fn needs(supply: &Supply) -> Result<Needs, Failure> {
    let lock = supply.lock();
    let version = supply.version("kubernetes").unwrap_or_default();
    let mut numbers = version.trim_start_matches('v').split('.').filter_map(|text| text.parse().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return Err(Failure::new(ExitCode::Refused, "the bundle carries no Kubernetes")
            .hint("add `kubernetes: {version: …}` to the manifest"));
    };
    let layers = lock.images.iter().flat_map(|image| &image.manifests).flat_map(|one| &one.layers);
    let (mut seen, mut images) = (BTreeSet::new(), 0);
    for layer in layers {
        if seen.insert(layer.digest) {
            images += layer.size;
        }
    }
    Ok(Needs {
        kubernetes: (major, minor),
        architectures: lock.arches.iter().map(|arch| arch.as_str().to_owned()).collect(),
        registry_bytes: images,
        // Unpacked layers take about three times their compressed size.
        image_bytes: images * 3,
        binary_bytes: lock.files.iter().map(|file| file.size).sum::<u64>() * 2,
        made_at: Some(lock.created.unix()),
    })
}

/// Findings as the journal keeps them.
fn events(findings: &Findings) -> Vec<Event> {
    let event = |finding: &preflight::Finding| {
        let (verdict, evidence, fix) = match &finding.outcome {
            Outcome::Passed { evidence } => (Shown::Passed, evidence.clone(), None),
            Outcome::Failed { evidence, fix } if finding.severity == Severity::Warn => {
                (Shown::Skipped, format!("warning: {evidence}"), Some(fix.clone()))
            }
            Outcome::Failed { evidence, fix } => (Shown::Failed, evidence.clone(), Some(fix.clone())),
            Outcome::Planned { evidence, plan } => (Shown::Passed, format!("{evidence}; planned: {plan}"), None),
            Outcome::NotApplicable { reason } => (Shown::Skipped, reason.clone(), None),
            Outcome::Waived { evidence, reason } => (Shown::Waived, format!("{evidence}; waived: {reason}"), None),
        };
        let subject =
            [finding.host.clone(), finding.peer.clone()].into_iter().flatten().collect::<Vec<_>>().join(" > ");
        Event::Check {
            check: finding.check.clone(),
            title: finding.title.clone(),
            subject,
            verdict,
            evidence,
            fix,
            ms: 0,
        }
    };
    findings.findings.iter().map(event).collect()
}
