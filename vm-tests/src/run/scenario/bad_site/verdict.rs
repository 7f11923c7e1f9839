//! What `ferry-install check --json` says, and how it differs from what it says of the healthy site.

use std::collections::BTreeMap;

use serde_json::Value;

/// How a check comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// Nothing is installed, and no waiver helps.
    Strict,
    /// Nothing is installed unless it is waived.
    Fail,
    /// It is said.
    Warn,
    /// The plan cures it.
    Planned,
    /// It is so: the healthy hosts of the bed are not.
    Passed,
    /// It could not be found out, rightly.
    Skipped,
    /// The site file waives it.
    Waived,
}

/// A finding: how it came out, what was seen, what fixes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) shows: Shows,
    pub(super) evidence: String,
    pub(super) fix: String,
}

/// Findings by check and place: a host, `host > host`, or `site`.
pub(super) type Findings = BTreeMap<(String, String), Told>;

/// The findings in what it printed; nothing if it printed none.
pub(super) fn findings(printed: &str) -> Findings {
    let mut objects = printed.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let list = objects.find(|one| one["event"] == "findings");
    let list = list.and_then(|one| one["findings"].as_array().cloned()).unwrap_or_default();
    list.iter().filter_map(told).collect()
}

fn told(one: &Value) -> Option<((String, String), Told)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let place = match (text(&one["host"]), text(&one["peer"])) {
        (Some(host), Some(peer)) => format!("{host} > {peer}"),
        (Some(host), None) => host,
        _ => "site".to_owned(),
    };
    let outcome = &one["outcome"];
    let shows = match (outcome["result"].as_str()?, one["severity"].as_str()?) {
        ("passed", _) => Shows::Passed,
        ("planned", _) => Shows::Planned,
        ("waived", _) => Shows::Waived,
        ("notApplicable", _) => Shows::Skipped,
        ("failed", "strict") => Shows::Strict,
        ("failed", "fail") => Shows::Fail,
        ("failed", "warn") => Shows::Warn,
        _ => return None,
    };
    let evidence = text(&outcome["evidence"]).or_else(|| text(&outcome["reason"])).unwrap_or_default();
    let fix = text(&outcome["fix"]).or_else(|| text(&outcome["plan"])).unwrap_or_default();
    Some(((text(&one["check"])?, place), Told { shows, evidence, fix }))
}

/// What comes out otherwise than on the healthy site.
pub(super) fn changed(healthy: &Findings, now: &Findings) -> Findings {
    // What a busy host could not say in time (timedated) is no other answer than the one that is waived.
    let kind = |told: &Told| if told.shows == Shows::Waived { Shows::Skipped } else { told.shows };
    let same = |key: &(String, String), told: &Told| healthy.get(key).is_some_and(|old| kind(old) == kind(told));
    now.iter().filter(|(key, told)| !same(key, told)).map(|(key, told)| (key.clone(), told.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_told_by_check_and_place() {
        let line = |result: &str| {
            format!(
                r#"{{"event":"findings","findings":[{{"check":"a.b","severity":"warn","host":"one","peer":"two","outcome":{{"result":"{result}","evidence":"seen","fix":"do"}}}}]}}"#
            )
        };
        let (well, ill) = (findings(&line("passed")), findings(&format!("{{}}\nnoise\n{}", line("failed"))));
        assert!(changed(&well, &well).is_empty());
        let changed = changed(&well, &ill);
        let told = &changed[&("a.b".to_owned(), "one > two".to_owned())];
        assert_eq!((told.shows, told.evidence.as_str(), told.fix.as_str()), (Shows::Warn, "seen", "do"));
    }
}
