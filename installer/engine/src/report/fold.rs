//! Records in, report out. One pass: what was met before is found by its name, so a journal of any length is folded in
//! the time that it takes to read it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::model::{Check, CheckRun, FORMAT, Report, Run, Step, Tally};
use crate::event::Event;
use crate::journal::{Contents, Record};

/// What a journal tells.
#[must_use]
pub fn fold(journal: &Contents) -> Report {
    let report = Report {
        format: FORMAT,
        damaged_lines: journal.damaged.len(),
        cut_lines: journal.cut.len(),
        ..Report::default()
    };
    let mut folding = Folding { report, ..Folding::default() };
    for record in &journal.records {
        folding.take(record);
    }
    folding.finish()
}

#[derive(Default)]
struct Folding {
    report: Report,
    /// The checks of each run, in the order in which runs made their first.
    checks: Vec<CheckRun>,
    /// Where each run is in `report.runs`.
    run_at: HashMap<u64, usize>,
    /// Where the checks of each run are.
    checks_at: HashMap<u64, usize>,
    /// Where each step of each host is in `report.steps`.
    step_at: HashMap<String, HashMap<String, usize>>,
    /// Where each step is first, whatever its host.
    first_at: HashMap<String, usize>,
    notes: HashSet<String>,
    /// Whether product and bundle are those of a run that put them on the hosts, or checked them there.
    installed: bool,
}

impl Folding {
    fn take(&mut self, record: &Record) {
        self.report.first = self.report.first.or(Some(record.at));
        self.report.last = Some(record.at);
        match &record.event {
            Event::Began { .. } => self.began(record),
            Event::HostKey { host, fingerprint } => {
                let keys = self.report.host_keys.entry(host.clone()).or_default();
                if !keys.contains(fingerprint) {
                    keys.push(fingerprint.clone());
                }
            }
            Event::Command { .. } => self.run(record).commands += 1,
            Event::Step { step, host, title } => {
                self.run(record).steps += 1;
                let one = self.step(step, host);
                (one.run, one.outcome, one.why, one.ms) = (record.run, None, None, 0);
                one.title.clone_from(title);
            }
            Event::StepEnded { step, host, outcome, why, ms } => {
                let one = self.step(step, host);
                (one.run, one.outcome, one.why, one.ms) = (record.run, Some(*outcome), why.clone(), *ms);
            }
            Event::Retry { step, .. } => {
                if let Some(at) = self.first_at.get(step) {
                    self.report.steps[*at].retries += 1;
                }
            }
            Event::Check { .. } => self.check(record),
            Event::Note { text } if self.notes.insert(text.clone()) => self.report.notes.push(text.clone()),
            Event::Ended { well, changed, already, owed, summary } => {
                let run = self.run(record);
                (run.well, run.ended) = (Some(*well), Some(record.at));
                (run.changed, run.already) = (*changed, *already);
                run.summary.clone_from(summary);
                let (applies, changes) = (run.verb == "apply", run.changes_hosts());
                if applies {
                    self.report.owed.clone_from(owed);
                } else if changes {
                    // Only a plan that is applied does what an earlier run could not do.
                    let new = owed.iter().filter(|host| !self.report.owed.contains(host));
                    let new: Vec<String> = new.cloned().collect();
                    self.report.owed.extend(new);
                }
            }
            _ => {}
        }
    }

    fn began(&mut self, record: &Record) {
        let Event::Began { verb, cluster, site, bundle, product, plan, ferry, only } = &record.event else { return };
        let report = &mut self.report;
        (report.cluster, report.site, report.ferry) = (cluster.clone(), site.clone(), ferry.clone());
        // A bundle that was only looked at, for a plan that nobody applied, is not what the site has.
        let installs = matches!(verb.as_str(), "apply" | "accept");
        if installs || !self.installed {
            report.bundle = bundle.clone().or(report.bundle.take());
            report.product = product.clone().or(report.product.take());
            report.plan = plan.clone().or(report.plan.take());
        }
        self.installed |= installs && bundle.is_some();
        let run = self.run(record);
        (run.verb, run.began, run.only) = (verb.clone(), Some(record.at), only.clone());
    }

    /// The run that a record belongs to.
    fn run(&mut self, record: &Record) -> &mut Run {
        let runs = &mut self.report.runs;
        let at = *self.run_at.entry(record.run).or_insert_with(|| {
            runs.push(Run { run: record.run, ..Run::default() });
            runs.len() - 1
        });
        &mut runs[at]
    }

    fn step(&mut self, step: &str, host: &str) -> &mut Step {
        let known = self.step_at.get(step).and_then(|hosts| hosts.get(host)).copied();
        let steps = &mut self.report.steps;
        let at = known.unwrap_or_else(|| {
            let at = steps.len();
            self.step_at.entry(step.to_owned()).or_default().insert(host.to_owned(), at);
            self.first_at.entry(step.to_owned()).or_insert(at);
            let (step, host) = (step.to_owned(), host.to_owned());
            steps.push(Step { step, host, title: String::new(), run: 0, outcome: None, why: None, ms: 0, retries: 0 });
            at
        });
        &mut steps[at]
    }

    fn check(&mut self, record: &Record) {
        let Event::Check { check, title, subject, verdict, evidence, fix, ms } = record.event.clone() else { return };
        let run = self.run(record);
        let (verb, only) = (run.verb.clone(), run.only.clone());
        let checks = &mut self.checks;
        let at = *self.checks_at.entry(record.run).or_insert_with(|| {
            let (tally, checks_of) = (Tally::default(), Vec::new());
            checks.push(CheckRun { run: record.run, verb, only, at: record.at, tally, checks: checks_of });
            checks.len() - 1
        });
        let run = &mut checks[at];
        run.at = record.at;
        run.tally.add(verdict);
        run.checks.push(Check { check, title, subject, verdict, evidence, fix, ms });
    }

    /// Of each kind of run the last checks count. Checks of a part stand beside those of the whole, and never replace them:
    /// they are told where they are younger.
    fn finish(self) -> Report {
        let mut whole: BTreeMap<String, usize> = BTreeMap::new();
        let mut part: BTreeMap<String, usize> = BTreeMap::new();
        for (at, run) in self.checks.iter().enumerate() {
            let list = if run.is_partial() { &mut part } else { &mut whole };
            list.insert(run.verb.clone(), at);
        }
        part.retain(|verb, at| whole.get(verb).is_none_or(|whole| *whole < *at));
        let kept: HashSet<usize> = whole.into_values().chain(part.into_values()).collect();
        let checks = self.checks.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, run)| run);
        Report { checks: checks.collect(), ..self.report }
    }
}
