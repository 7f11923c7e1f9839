//! Records in, report out. What is not known is passed over: a newer ferry may have written the journal.

use std::collections::BTreeMap;

use super::model::{Check, CheckRun, FORMAT, Report, Run, Step, Tally};
use crate::event::Event;
use crate::journal::Record;

/// What the records tell, in their order.
#[must_use]
pub fn fold(records: &[Record]) -> Report {
    let mut folding = Folding { report: Report { format: FORMAT, ..Report::default() }, checks: BTreeMap::new() };
    for record in records {
        folding.take(record);
    }
    folding.finish()
}

struct Folding {
    report: Report,
    checks: BTreeMap<u64, CheckRun>,
}

impl Folding {
    fn take(&mut self, record: &Record) {
        self.report.first = self.report.first.or(Some(record.at));
        self.report.last = Some(record.at);
        match &record.event {
            Event::Began { verb, cluster, site, bundle, product, plan, ferry } => {
                let report = &mut self.report;
                (report.cluster, report.site, report.ferry) = (cluster.clone(), site.clone(), ferry.clone());
                report.bundle = bundle.clone().or(report.bundle.take());
                report.product = product.clone().or(report.product.take());
                report.plan = plan.clone().or(report.plan.take());
                let run = self.run(record);
                (run.verb, run.began) = (verb.clone(), Some(record.at));
            }
            Event::HostKey { host, fingerprint } => {
                let keys = self.report.host_keys.entry(host.clone()).or_default();
                if !keys.contains(fingerprint) {
                    keys.push(fingerprint.clone());
                }
            }
            Event::Command { .. } => self.run(record).commands += 1,
            Event::Step { step, host, title } => {
                let one = self.step(step, host);
                (one.run, one.outcome, one.why, one.ms) = (record.run, None, None, 0);
                one.title.clone_from(title);
            }
            Event::StepEnded { step, host, outcome, why, ms } => {
                let one = self.step(step, host);
                (one.run, one.outcome, one.why, one.ms) = (record.run, Some(*outcome), why.clone(), *ms);
            }
            Event::Retry { step, .. } => {
                if let Some(one) = self.report.steps.iter_mut().find(|one| one.step == *step) {
                    one.retries += 1;
                }
            }
            Event::Check { .. } => self.check(record),
            Event::Note { text } if !self.report.notes.contains(text) => self.report.notes.push(text.clone()),
            Event::Ended { well, changed, already, owed, summary } => {
                let run = self.run(record);
                (run.well, run.ended) = (Some(*well), Some(record.at));
                (run.changed, run.already) = (*changed, *already);
                run.summary.clone_from(summary);
                if run.verb == "apply" {
                    self.report.owed.clone_from(owed);
                }
            }
            _ => {}
        }
    }

    /// The run that a record belongs to.
    fn run(&mut self, record: &Record) -> &mut Run {
        let runs = &mut self.report.runs;
        let at = runs.iter().position(|run| run.run == record.run).unwrap_or_else(|| {
            runs.push(Run { run: record.run, ..Run::default() });
            runs.len() - 1
        });
        &mut runs[at]
    }

    fn step(&mut self, step: &str, host: &str) -> &mut Step {
        let steps = &mut self.report.steps;
        let at = steps.iter().position(|one| one.step == step && one.host == host).unwrap_or_else(|| {
            let (step, host) = (step.to_owned(), host.to_owned());
            steps.push(Step { step, host, title: String::new(), run: 0, outcome: None, why: None, ms: 0, retries: 0 });
            steps.len() - 1
        });
        &mut steps[at]
    }

    fn check(&mut self, record: &Record) {
        let Event::Check { check, title, subject, verdict, evidence, fix, ms } = record.event.clone() else { return };
        let verb = self.run(record).verb.clone();
        let new = || CheckRun { run: record.run, verb, at: record.at, tally: Tally::default(), checks: Vec::new() };
        let run = self.checks.entry(record.run).or_insert_with(new);
        run.at = record.at;
        run.tally.add(verdict);
        run.checks.push(Check { check, title, subject, verdict, evidence, fix, ms });
    }

    /// Of each kind of run only the last checks count.
    fn finish(self) -> Report {
        let mut last: BTreeMap<String, CheckRun> = BTreeMap::new();
        for run in self.checks.into_values() {
            last.insert(run.verb.clone(), run);
        }
        let mut checks: Vec<CheckRun> = last.into_values().collect();
        checks.sort_by_key(|run| run.run);
        Report { checks, ..self.report }
    }
}
