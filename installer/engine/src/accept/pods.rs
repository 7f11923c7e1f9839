//! The system's pods: ready when the checks begin, and not starting again while they are made.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ferry_bundle_format::lock::Timestamp;
use serde::Deserialize;

use super::arena::NAMESPACE;
use super::context::{Context, seconds_now};
use super::finding::Finding;
use super::kubectl::Kubectl;

/// A restart longer before the checks than this is not told, in seconds: kubelet's longest back-off.
const RECENT: i64 = 300;
const LIST: &str = "get pods -A -o json";

#[derive(Debug, Deserialize)]
pub(super) struct List {
    pub(super) items: Vec<Pod>,
}

/// A pod, as far as the checks look.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default, rename = "ownerReferences")]
    pub(super) owners: Vec<Owner>,
}

/// What made a pod.
#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    phase: String,
    reason: String,
    conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<Container>,
    pub(super) init_container_statuses: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(rename = "imageID")]
    pub(super) image_id: String,
    restart_count: u32,
    last_state: State,
    state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
    waiting: Option<Waiting>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    finished_at: Option<Timestamp>,
    reason: String,
    exit_code: i32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

/// Every pod is ready. A restart before the checks began is told, and is no fault: after a power cut every pod has one, and
/// whoever accepts then wants to know whether all is well now. Whether it stays so is [`steady`]'s question.
pub(super) async fn ready(context: &Context<'_>) -> Vec<Finding> {
    let kubectl = match context.kubectl() {
        Ok(kubectl) => kubectl,
        Err(why) => return vec![Finding::failed("", why, "connect a control-plane host")],
    };
    let look = || async {
        match kubectl.json::<List>(LIST).await {
            Ok(list) => {
                let wrong: Vec<(&Pod, String)> =
                    system(&list).filter_map(|pod| fault(pod).map(|why| (pod, why))).collect();
                let count = system(&list).count();
                if wrong.is_empty() && count > 0 {
                    context.ready.store(seconds_now(), Ordering::Relaxed);
                    (
                        true,
                        vec![Finding::passed(
                            "",
                            format!("{count} pods, all ready{}", restarted(&list, context.began)),
                        )],
                    )
                } else {
                    (false, failures(&wrong, count))
                }
            }
            Err(why) => (false, vec![Finding::failed("", why, "see that the API server runs")]),
        }
    };
    with_logs(kubectl, context.until(context.needs.patience, look).await).await
}

/// No container of the system has ended since all were ready: nothing starts again and again. What ended while they were
/// waited for is [`ready`]'s: after a power cut a container may need a second start until the API answers it.
pub(super) async fn steady(context: &Context<'_>) -> Vec<Finding> {
    let kubectl = match context.kubectl() {
        Ok(kubectl) => kubectl,
        Err(why) => return vec![Finding::failed("", why, "connect a control-plane host")],
    };
    let since = context.ready.load(Ordering::Relaxed);
    match kubectl.json::<List>(LIST).await {
        Ok(list) => {
            let wrong = ended(&list, since);
            if wrong.is_empty() {
                let seconds = seconds_now() - since;
                return vec![Finding::passed(
                    "",
                    format!("no container has ended in the {seconds} s since all pods were ready"),
                )];
            }
            with_logs(kubectl, failures(&wrong, wrong.len())).await
        }
        Err(why) => vec![Finding::failed("", why, "see that the API server runs")],
    }
}

/// The last words of the pods that the findings are about.
async fn with_logs(kubectl: Kubectl<'_>, mut findings: Vec<Finding>) -> Vec<Finding> {
    for finding in findings.iter_mut().filter(|finding| finding.fix.is_some() && finding.subject.contains('/')) {
        let (namespace, name) = finding.subject.split_once('/').unwrap_or_default();
        let logs = format!("logs -n {namespace} {name} --all-containers --tail=10 --prefix");
        finding.evidence += &format!("\n{}", kubectl.text(&logs).await.unwrap_or_else(|why| why).trim());
    }
    findings
}

/// The restarts of the last minutes before the checks began, as a note.
fn restarted(list: &List, began: i64) -> String {
    let note = |pod: &Pod, end: End| {
        let (name, ago) = (&pod.metadata.name, began - end.at);
        format!("\nnote: {name}: {}, {ago} s before these checks began", end.text)
    };
    let recent = |end: &End| (0..RECENT).contains(&(began - end.at));
    system(list).flat_map(|pod| ends(pod).filter(recent).map(move |end| note(pod, end))).collect()
}

fn system(list: &List) -> impl Iterator<Item = &Pod> {
    list.items.iter().filter(|pod| pod.metadata.namespace != NAMESPACE)
}

fn failures(wrong: &[(&Pod, String)], count: usize) -> Vec<Finding> {
    if count == 0 {
        return vec![Finding::failed(
            "",
            "there is not one pod",
            "see `journalctl -u kubelet` on a control-plane host",
        )];
    }
    let one = |(pod, why): &(&Pod, String)| {
        let subject = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        let fix = "the pod's last words stand above; `kubectl describe pod` shows what happened to it";
        Finding::failed(subject, why, fix)
    };
    wrong.iter().map(one).collect()
}

/// How a container that was started again had ended.
struct End {
    /// In seconds since 1970.
    at: i64,
    text: String,
}

/// The pods of the system with a container that ended later than `since`, and how.
fn ended(list: &List, since: i64) -> Vec<(&Pod, String)> {
    let late = |pod| ends(pod).filter(|end| end.at > since).map(|end| end.text).collect::<Vec<String>>();
    let told = system(list).map(|pod| (pod, late(pod)));
    told.filter(|(_, ends)| !ends.is_empty()).map(|(pod, ends)| (pod, ends.join("\n"))).collect()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses)
}

fn ends(pod: &Pod) -> impl Iterator<Item = End> {
    containers(pod).filter(|one| one.restart_count > 0).filter_map(|one| {
        let ended = one.last_state.terminated.as_ref()?;
        let at = ended.finished_at?;
        let (name, code, times) = (&one.name, ended.exit_code, one.restart_count);
        Some(End {
            at: at.unix(),
            text: format!("{name} ended with {code} ({}) at {at}, restart {times}", ended.reason),
        })
    })
}

/// What is wrong with a pod: not ready, or a container waits to be started.
fn fault(pod: &Pod) -> Option<String> {
    if pod.status.phase == "Succeeded" {
        return None;
    }
    let mut faults = Vec::new();
    for one in containers(pod) {
        if let Some(waiting) = &one.state.waiting {
            faults.push(format!("{} waits: {} {}", one.name, waiting.reason, waiting.message));
            faults.extend(ends(pod).map(|end| end.text));
        }
    }
    let ready = pod.status.conditions.iter().find(|one| one.r#type == "Ready");
    if ready.is_none_or(|one| one.status != "True") {
        let said = |one: &Condition| one.message.clone();
        let unplaced = pod.status.conditions.iter().find(|one| one.r#type == "PodScheduled" && one.status != "True");
        let message = unplaced.or(ready).map(said).unwrap_or_default();
        faults.push(format!("{}, not ready {} {message}", pod.status.phase, pod.status.reason));
    }
    (!faults.is_empty()).then(|| faults.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_before_all_were_ready_is_no_fault_of_later() {
        let text = r#"{"items": [{"metadata": {"name": "dns", "namespace": "kube-system"}, "status": {"containerStatuses": [
            {"name": "dns", "restartCount": 2, "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:01:00Z"}}}]}}]}"#;
        let list: List = serde_json::from_str(text).unwrap();
        let at =
            |second: &str| serde_json::from_str::<Timestamp>(&format!("\"2026-01-01T00:{second}Z\"")).unwrap().unix();
        assert!(ended(&list, at("01:00")).is_empty());
        let found = ended(&list, at("00:59"));
        assert!(
            matches!(found.as_slice(), [(pod, why)] if pod.metadata.name == "dns" && why.contains("ended with 1 (Error)"))
        );
    }
}
