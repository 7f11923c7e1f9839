//! The system's pods: ready, and not starting again and again.

use ferry_bundle_format::lock::Timestamp;
use serde::Deserialize;

use super::arena::NAMESPACE;
use super::context::{Context, now};
use super::finding::Finding;

/// A restart longer ago than this is no fault, in seconds.
const RECENT: i64 = 300;

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

pub(super) async fn ready(context: &Context<'_>) -> Vec<Finding> {
    let kubectl = match context.kubectl() {
        Ok(kubectl) => kubectl,
        Err(why) => return vec![Finding::failed("", why, "connect a control-plane host")],
    };
    let look = || async {
        match kubectl.json::<List>("get pods -A -o json").await {
            Ok(list) => {
                let since = context.needs.since.map_or_else(recent, Timestamp::unix);
                let wrong: Vec<(&Pod, String)> =
                    system(&list).filter_map(|pod| fault(pod, since).map(|why| (pod, why))).collect();
                let count = system(&list).count();
                if wrong.is_empty() && count > 0 {
                    (true, vec![Finding::passed("", format!("{count} pods, all ready"))])
                } else {
                    (false, failures(&wrong, count))
                }
            }
            Err(why) => (false, vec![Finding::failed("", why, "see that the API server runs")]),
        }
    };
    let mut findings = context.until(context.needs.patience, look).await;
    for finding in findings.iter_mut().filter(|finding| finding.fix.is_some() && finding.subject.contains('/')) {
        let (namespace, name) = finding.subject.split_once('/').unwrap_or_default();
        let logs = format!("logs -n {namespace} {name} --all-containers --tail=10 --prefix");
        finding.evidence += &format!("\n{}", kubectl.text(&logs).await.unwrap_or_else(|why| why).trim());
    }
    findings
}

fn recent() -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit")]
    let now = now() as i64;
    now - RECENT
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

/// What is wrong with a pod: not ready, or a container has ended since that moment.
fn fault(pod: &Pod, since: i64) -> Option<String> {
    if pod.status.phase == "Succeeded" {
        return None;
    }
    let mut faults = Vec::new();
    for one in pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses) {
        if let Some(waiting) = &one.state.waiting {
            faults.push(format!("{} waits: {} {}", one.name, waiting.reason, waiting.message));
        }
        let ended = one.last_state.terminated.as_ref().filter(|_| one.restart_count > 0);
        if let Some(ended) = ended.filter(|ended| ended.finished_at.is_some_and(|at| at.unix() > since)) {
            let at = ended.finished_at.map(|at| at.to_string()).unwrap_or_default();
            let (code, times) = (ended.exit_code, one.restart_count);
            faults.push(format!("{} ended with {code} ({}) at {at}, restart {times}", one.name, ended.reason));
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
