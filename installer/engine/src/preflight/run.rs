//! Runs every check of the registry over what is known.

use std::collections::BTreeMap;

use super::check::{Between, OnHost, Run, Seen, Way, Whole};
use super::ports::ALL_PAIRS;
use super::ways::Ways;
use super::{CHECKS, Check, Finding, Findings, Measurements, Needs, Outcome, Severity, Unknown, unknown_names};
use crate::facts::Facts;
use crate::site::Site;

/// Judges a site. A host without facts fails the check of the way to it, and nothing is asked about the host itself.
///
/// A waiver or threshold that names no check is an error: a misspelt waiver must not look like one that holds.
pub fn check(
    site: &Site,
    facts: &BTreeMap<String, Facts>,
    measurements: &Measurements,
    needs: &Needs,
) -> Result<Findings, Unknown> {
    unknown_names(site)?;
    let ways = Ways::new(site, measurements);
    let mut findings = Vec::new();
    for check in CHECKS {
        let whole = Whole { check, site, facts, measurements, needs, ways: &ways };
        match check.run {
            Run::Way(run) => {
                for host in &site.hosts {
                    let (facts, silence) = (facts.get(&host.name), measurements.silent.get(&host.name));
                    findings.push(finding(site, check, Some(&host.name), None, run(&Way { host, facts, silence })));
                }
            }
            Run::Host(run) => {
                for (host, facts) in whole.known() {
                    let seen = run(&OnHost { whole: &whole, host, facts });
                    findings.push(finding(site, check, Some(&host.name), None, seen));
                }
            }
            Run::Pair(run) => {
                for (from, to) in site.hosts.iter().flat_map(|from| site.hosts.iter().map(move |to| (from, to))) {
                    // On a large site nothing is said of pairs between which nothing goes: there would be a million.
                    let told = site.hosts.len() <= ALL_PAIRS || !ways.between(&from.name, &to.name).is_empty();
                    if told && (from.name != to.name || site.hosts.len() == 1) {
                        let seen = run(&Between { whole: &whole, from, to });
                        findings.push(finding(site, check, Some(&from.name), Some(&to.name), seen));
                    }
                }
            }
            Run::Site(run) => findings.push(finding(site, check, None, None, run(&whole))),
        }
    }
    Ok(Findings { version: 1, findings })
}

fn finding(site: &Site, check: &Check, host: Option<&str>, peer: Option<&str>, seen: Seen) -> Finding {
    let outcome = match seen {
        Seen::Good(evidence) => Outcome::Passed { evidence },
        Seen::Planned { evidence, plan } => Outcome::Planned { evidence, plan },
        Seen::Skipped(reason) => Outcome::NotApplicable { reason },
        Seen::Bad { evidence, fix } => match waiver(site, check, host) {
            Some(reason) => Outcome::Waived { evidence, reason },
            None => Outcome::Failed { evidence, fix: fix.unwrap_or_else(|| check.fix.to_owned()) },
        },
    };
    Finding {
        check: check.id.to_owned(),
        title: check.title.to_owned(),
        severity: check.severity,
        host: host.map(str::to_owned),
        peer: peer.map(str::to_owned),
        outcome,
    }
}

/// The site's reason, if it waives this check here. A waiver for some hosts does not hold for the site as a whole.
fn waiver(site: &Site, check: &Check, host: Option<&str>) -> Option<String> {
    if check.severity == Severity::Strict {
        return None;
    }
    let named = site.waivers.iter().filter(|waiver| waiver.check.value == check.id);
    let mut here = named.filter(|waiver| {
        waiver.hosts.is_empty() || host.is_some_and(|host| waiver.hosts.iter().any(|one| one.value == host))
    });
    here.next().map(|waiver| waiver.reason.to_string())
}
