//! What was done to its end more than once, by the ledger that the host itself keeps.
//!
//! Waiting is safe twice, and so is starting a unit, and so is bringing a file: its entry is made when what was there before
//! is kept, its content comes after that, by digest and rename. So is what the plan itself may try again, which it does only
//! where that does no harm. Of everything else `done` may stand in the ledger once, and nothing may begin again after that.

use std::collections::BTreeMap;

use ferry_engine::action::{Action, Content, File, Subject};
use ferry_engine::plan::Plan;

/// What began again after it had been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    /// Its name in the ledger.
    pub what: String,
    /// How often it was done.
    pub done: usize,
    /// Whether the plan says that this is safe.
    pub safe: bool,
}

/// What the ledger shows as begun again after it was done.
#[must_use]
pub fn repeated(ledger: &str, plan: &Plan) -> Vec<Repeated> {
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut again: BTreeMap<&str, bool> = BTreeMap::new();
    for line in ledger.lines() {
        let mut words = line.splitn(3, ' ').skip(1);
        let (Some(verb), Some(what)) = (words.next(), words.next()) else { continue };
        match verb {
            "done" => *done.entry(what).or_default() += 1,
            "begin" if done.contains_key(what) => drop(again.insert(what, true)),
            _ => {}
        }
    }
    let safe: Vec<String> = plan.steps().flat_map(|step| &step.actions).filter_map(|one| safe(&one.action)).collect();
    again
        .into_keys()
        .map(|what| Repeated { what: what.to_owned(), done: done[what], safe: safe.iter().any(|one| one == what) })
        .collect()
}

/// The name in the ledger of an action that may be done twice.
fn safe(action: &Action) -> Option<String> {
    match action {
        Action::Run(run) if run.about == Subject::Wait || run.retries > 0 => Some(format!("run:{}", run.title)),
        Action::File(File { path, content: Content::Blob { .. } | Content::Member { .. }, .. }) => {
            Some(format!("file:{path}"))
        }
        Action::Unit(unit) => Some(format!("unit:{}", unit.name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferry_bundle_format::Digest;
    use ferry_bundle_format::lock::Timestamp;
    use ferry_engine::action::{Run, Unit};
    use ferry_engine::plan::{FORMAT, Stage, Step};

    #[test]
    fn only_what_begins_again_after_its_end_is_repeated() {
        let run = |title: &str, about| Action::Run(Run::unless(title, about, "true", "true"));
        let unit = Unit { name: "etcd.service".into(), inputs: String::new(), running: true };
        let actions = vec![run("join", Subject::Kubeadm), run("etcd answers", Subject::Wait), Action::Unit(unit)];
        let step = Step::new("a", "one", "a", actions);
        let plan = Plan {
            format: FORMAT,
            cluster: String::new(),
            site: Digest::of(b""),
            bundle: Digest::of(b""),
            product: String::new(),
            created: Timestamp::from_unix(0),
            stages: vec![Stage { name: "a".into(), steps: vec![step], serial: false }],
        };
        let ledger = "t begin run:join\nt begin run:join\nt done run:join\nt begin unit:etcd.service\nt done unit:etcd.service\n\
                      t begin unit:etcd.service\nt done unit:etcd.service\nt begin run:etcd answers\n";
        let safe = Repeated { what: "unit:etcd.service".into(), done: 2, safe: true };
        assert_eq!(repeated(ledger, &plan), [safe]);
        let worse = format!("{ledger}t begin run:join\n");
        assert!(repeated(&worse, &plan).contains(&Repeated { what: "run:join".into(), done: 1, safe: false }));
    }
}
