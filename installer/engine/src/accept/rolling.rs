//! Pods that still run an image of an earlier serial: which command gives them the new one.
//!
//! An upgrade brings images; what runs is the customer's to roll, when it suits. So this is told, and is no fault.

use super::needs::AcceptNeeds;
use super::pods::{Container, Pod};
use crate::host::quote;

/// What to know of a container that runs an image which an earlier serial called `was`, with the command that rolls it.
pub(super) fn note(pod: &Pod, container: &Container, was: &str, needs: &AcceptNeeds) -> String {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let runs = format!("{namespace}/{name} runs {was} of an earlier serial");
    let Some(now) = needs.names.get(repository(was)) else {
        return format!("{runs}, and the bundle has no image of that name: take away what runs it");
    };
    let Some(owner) = owner(pod) else {
        return format!(
            "{runs}; {now} has come: make the pod again from it (nothing would start it after `kubectl delete pod`)"
        );
    };
    let kubectl = format!("kubectl -n {}", word(namespace));
    let command = if now == was {
        format!("{kubectl} rollout restart {}", word(&owner))
    } else {
        format!("{kubectl} set image {} {}", word(&owner), word(&format!("{}={now}", container.name)))
    };
    format!("{runs}; {now} has come: {command}")
}

/// What is changed so that the pod gets another image: a Deployment instead of the ReplicaSet that it made.
fn owner(pod: &Pod) -> Option<String> {
    let owner = pod.metadata.owners.first()?;
    if let ("ReplicaSet", Some(hash)) = (owner.kind.as_str(), pod.metadata.labels.get("pod-template-hash"))
        && let Some(deployment) = owner.name.strip_suffix(hash.as_str()).and_then(|name| name.strip_suffix('-'))
    {
        return Some(format!("deployment/{deployment}"));
    }
    let rolls = ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"].contains(&owner.kind.as_str());
    rolls.then(|| format!("{}/{}", owner.kind.to_lowercase(), owner.name))
}

/// `registry/path` of `registry/path:tag` or `registry/path@digest`.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    let path = name.rfind('/').unwrap_or_default();
    name[path..].find(':').map_or(name, |colon| &name[..path + colon])
}

/// A word of a command that somebody will paste: what came from the cluster can't become another command.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { quote(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(kind: Option<&str>, name: &str, hash: Option<&str>) -> Pod {
        let owners: Vec<_> = kind.map(|kind| serde_json::json!({"kind": kind, "name": name})).into_iter().collect();
        let labels: serde_json::Map<_, _> =
            hash.map(|hash| ("pod-template-hash".to_owned(), hash.into())).into_iter().collect();
        let metadata =
            serde_json::json!({"name": "p", "namespace": "shop", "labels": labels, "ownerReferences": owners});
        serde_json::from_value(serde_json::json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn each_kind_of_owner_has_its_command() {
        let mut needs = AcceptNeeds::default();
        for (repository, name) in [("docker.io/shop/web", "docker.io/shop/web:2.0"), ("r:5000/db", "r:5000/db:1")] {
            needs.names.insert(repository.into(), name.into());
        }
        let container: Container = serde_json::from_value(serde_json::json!({"name": "web"})).unwrap();
        let say = |pod: &Pod, was: &str| note(pod, &container, was, &needs);
        let old = "docker.io/shop/web:1.0";
        for (pod, was, command) in [
            (
                pod(Some("StatefulSet"), "db", None),
                old,
                "kubectl -n shop set image statefulset/db web=docker.io/shop/web:2.0",
            ),
            (
                pod(Some("DaemonSet"), "log", None),
                old,
                "kubectl -n shop set image daemonset/log web=docker.io/shop/web:2.0",
            ),
            (
                pod(Some("ReplicaSet"), "web-6b9f-x1", Some("x1")),
                old,
                "kubectl -n shop set image deployment/web-6b9f web=docker.io/shop/web:2.0",
            ),
            (pod(Some("ReplicaSet"), "bare", None), old, "set image replicaset/bare"),
            (pod(Some("StatefulSet"), "db", None), "r:5000/db:1", "kubectl -n shop rollout restart statefulset/db"),
            (pod(Some("StatefulSet"), "db; reboot", None), old, "set image 'statefulset/db; reboot'"),
        ] {
            let text = say(&pod, was);
            assert!(text.ends_with(command) || text.contains(command), "{text}");
        }
        assert!(say(&pod(None, "", None), old).contains("make the pod again"));
        assert!(say(&pod(Some("Job"), "once", None), old).contains("make the pod again"));
        assert!(say(&pod(Some("DaemonSet"), "x", None), "docker.io/shop/gone:1").contains("take away what runs it"));
    }

    #[test]
    fn repositories_end_before_tag_or_digest() {
        for (name, wanted) in
            [("r:5000/a/b:1", "r:5000/a/b"), ("r:5000/a", "r:5000/a"), ("r/a@sha256:0", "r/a"), ("a:1", "a")]
        {
            assert_eq!(repository(name), wanted);
        }
    }
}
