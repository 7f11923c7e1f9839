//! Waiting until a workload of the cluster is up: on the nodes that could be reached, and on no others.
//!
//! A node that is down keeps its pods among those that are wanted, and the last of them is never up. So it is counted here: of a
//! DaemonSet the newest pod of each reached node is ready; of a Deployment as many are available as are not on other nodes.
//! `kubectl rollout status` would wait for all. A DaemonSet's own controller does not go on with an update either while a pod
//! can't be had: then the old pods of reached nodes are replaced here, one after the other.

use super::context::Context;
use super::control_plane::KUBECTL;
use crate::action::{Action, Run, Subject};
use crate::host::quote;

/// Seconds for the pods of a DaemonSet, which stay where they are.
const STAYS: u64 = 240;
/// Seconds for those of a Deployment: longer than the five minutes after which pods of a node that is down go elsewhere.
const MOVES: u64 = 400;

/// What is waited for.
pub(super) struct Rollout<'a> {
    /// The namespace.
    pub(super) namespace: &'a str,
    /// `daemonset/NAME` or `deployment/NAME`.
    pub(super) what: &'a str,
}

impl Rollout<'_> {
    /// The wait, as an action of this title.
    pub(super) fn action(&self, context: &Context<'_>, title: impl Into<String>) -> Action {
        let nodes: Vec<String> = context.nodes().map(|node| node.name.clone()).collect();
        let seconds = self.seconds(nodes.len()) + 60;
        let question = format!("{}look", self.functions(&nodes));
        Action::Run(Run::unless(title, Subject::Wait, question, self.command(&nodes)).within(seconds))
    }

    /// The script that waits.
    pub(super) fn wait(&self, context: &Context<'_>) -> String {
        let nodes: Vec<String> = context.nodes().map(|node| node.name.clone()).collect();
        self.command(&nodes)
    }

    /// How long the wait may take, in seconds.
    pub(super) fn within(&self, context: &Context<'_>) -> u64 {
        self.seconds(context.nodes().count()) + 60
    }

    /// Seconds for all of them: pods of a DaemonSet come up side by side, or in an update one after the other.
    fn seconds(&self, nodes: usize) -> u64 {
        let each = 5 * nodes as u64;
        each + if self.is_daemonset() { STAYS } else { MOVES }
    }

    fn is_daemonset(&self) -> bool {
        self.what.starts_with("daemonset/")
    }

    fn command(&self, nodes: &[String]) -> String {
        format!(
            "{}end=$(( $(cut -d. -f1 /proc/uptime) + {} ))
until look; do
    [ \"$(cut -d. -f1 /proc/uptime)\" -lt $end ] || {{
        echo '{} is not up on all nodes that can be reached:' >&2
        $k get pods -o wide >&2; $k get events --sort-by=.lastTimestamp | tail -n 15 >&2; exit 1; }}
    roll; sleep 2
done",
            self.functions(nodes),
            self.seconds(nodes.len()),
            self.what
        )
    }

    /// `look` ends with 0 when it is up; `roll` helps on.
    fn functions(&self, nodes: &[String]) -> String {
        let head = format!(
            "k=\"{KUBECTL} -n {}\"; w={}; nodes={}; count={}
labels() {{ $k get $w -o jsonpath='{{.spec.selector.matchLabels}}' | tr -d '{{}}\" ' | tr ':' '='; }}
reached() {{ case \" $nodes \" in *\" $1 \"*) return 0;; esac; return 1; }}
",
            self.namespace,
            quote(self.what),
            quote(&nodes.join(" ")),
            nodes.len()
        );
        head + if self.is_daemonset() { DAEMONSET } else { DEPLOYMENT }
    }
}

const DAEMONSET: &str = r#"newest() { $k get controllerrevisions -l "$l" -o jsonpath='{range .items[*]}{.revision} {.metadata.labels.controller-revision-hash}{"\n"}{end}' | sort -n | tail -n 1 | cut -d' ' -f2; }
look() {
    s=$($k get $w -o jsonpath='{.metadata.generation},{.status.observedGeneration}') && l=$(labels) && [ -n "$l" ] || return 1
    case ${s#*,} in ''|*[!0-9]*) return 1;; esac
    [ "${s#*,}" -ge "${s%,*}" ] || return 1
    new=$(newest); [ -n "$new" ] || return 1
    pods=$($k get pods -l "$l,controller-revision-hash=$new" -o jsonpath='{range .items[*]}{.spec.nodeName} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') || return 1
    for node in $nodes; do printf '%s\n' "$pods" | grep -qxF -e "$node True" || return 1; done
}
roll() {
    l=$(labels) && new=$(newest) && [ -n "$l" ] && [ -n "$new" ] && [ "$($k get nodes -o name | grep -c .)" -gt $count ] || return 0
    [ -z "$($k get pods -l "$l,controller-revision-hash=$new" -o jsonpath='{range .items[*]}{.spec.nodeName} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}' | while read -r node ready; do ! reached "$node" || [ "$ready" = True ] || echo waits; done)" ] || return 0
    old=$($k get pods -l "$l,controller-revision-hash!=$new" -o jsonpath='{range .items[*]}{.spec.nodeName} {.metadata.name} {.metadata.deletionTimestamp}{"\n"}{end}' | while read -r node pod gone; do ! reached "$node" || { echo "$pod $gone"; break; }; done)
    case $old in '') ;; *' '?*) ;; *) $k delete pod ${old% } --wait=false >/dev/null || :;; esac
}
"#;

const DEPLOYMENT: &str = r#"look() (
    s=$($k get $w -o jsonpath='{.metadata.generation},{.status.observedGeneration},{.spec.replicas},{.status.updatedReplicas},{.status.availableReplicas}') && l=$(labels) && [ -n "$l" ] || exit 1
    IFS=,; set -- $s; unset IFS
    away=$($k get pods -l "$l" -o jsonpath='{range .items[*]}{.spec.nodeName}{"\n"}{end}' | while read -r node; do [ -z "$node" ] || reached "$node" || echo away; done | grep -c .) || :
    [ "${2:-0}" -ge "${1:-1}" ] && [ "${4:-0}" -ge "${3:-1}" ] && [ "${5:-0}" -ge 1 ] && [ $(( ${5:-0} + ${away:-0} )) -ge "${3:-1}" ]
)
roll() { :; }
"#;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Answers as a cluster does whose state lies in files: `nodes`, `revisions`, `pods` (node, pod, revision, ready), `workload`.
    const CLUSTER: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
case "$*" in
*'matchLabels'*) printf '{"k8s-app":"x"}';;
*'get daemonset/'*|*'get deployment/'*) cat workload;;
*'get controllerrevisions'*) cat revisions;;
*'delete pod '*) for last; do case $last in --*) ;; *) pod=$last;; esac; done
    echo "$pod" >>deleted; new=$(sort -n revisions | tail -n 1 | cut -d' ' -f2)
    sed -i "s/^\([^ ]*\) $pod .*/\1 $pod-new $new True/" pods;;
*'get nodes'*) sed 's,^,node/,' nodes;;
*'get pods'*'hash='*'Ready'*) h=${*#*hash=}; h=${h%% *}; while read -r n p r ok; do [ "$r" != "$h" ] || echo "$n $ok"; done <pods;;
*'get pods'*'hash!='*) h=${*#*hash!=}; h=${h%% *}; while read -r n p r ok; do [ "$r" = "$h" ] || echo "$n $p "; done <pods;;
*'get pods'*'nodeName}'*) cut -d' ' -f1 pods;;
*) :;;
esac
"#;

    struct Cluster(tempfile::TempDir);

    impl Cluster {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("kubectl"), CLUSTER).unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            Self(folder)
        }

        /// The status of a script, and what it said, in each shell that may run it.
        fn run(&self, shell: &str, script: &str) -> (bool, String) {
            let kubectl = format!("sh {}", self.0.path().join("kubectl").display());
            let script = script.replace(KUBECTL, &kubectl).replace("sleep 2", ":");
            let output = Command::new(shell).args(["-euc", &script]).output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        }

        fn looks(&self, what: &str, reached: &[&str]) -> bool {
            let nodes: Vec<String> = reached.iter().map(|name| (*name).to_owned()).collect();
            let script = format!("{}look", Rollout { namespace: "kube-system", what }.functions(&nodes));
            let answers = ["dash", "bash"].map(|shell| self.run(shell, &script).0);
            assert_eq!(answers[0], answers[1], "dash and bash agree");
            answers[0]
        }
    }

    const NODES: (&str, &str) = ("nodes", "a\nb\ndead\n");

    #[test]
    fn a_daemonset_is_up_when_it_is_on_the_nodes_that_could_be_reached() {
        let cluster = Cluster::new(&[
            NODES,
            ("workload", "2,2"),
            ("revisions", "9 old\n10 new\n"),
            ("pods", "a p1 new True\nb p2 new True\ndead p3 new False\n"),
        ]);
        assert!(cluster.looks("daemonset/kube-proxy", &["a", "b"]), "the dead one is not waited for");
        assert!(!cluster.looks("daemonset/kube-proxy", &["a", "b", "dead"]), "unless it is said to be there");
        assert!(!cluster.looks("daemonset/kube-proxy", &["a", "b", "c"]), "a node without a pod is waited for");
        for (file, text) in [
            ("pods", "a p1 new True\nb p2 old True\ndead p3 new False\n"),
            ("pods", "a p1 new True\nb p2 new False\n"),
            ("pods", "a p1 new True\nbb p2 new True\n"),
            ("workload", "3,2"),
            ("workload", "3,"),
            ("workload", ""),
            ("revisions", ""),
        ] {
            let cluster = Cluster::new(&[
                NODES,
                ("workload", "2,2"),
                ("revisions", "9 old\n10 new\n"),
                ("pods", "a p1 new True\nb p2 new True\n"),
                (file, text),
            ]);
            assert!(!cluster.looks("daemonset/kube-proxy", &["a", "b"]), "{file}: {text}");
        }
    }

    #[test]
    fn an_update_that_a_dead_node_holds_up_goes_on_pod_by_pod() {
        for shell in ["dash", "bash"] {
            let cluster = Cluster::new(&[
                NODES,
                ("workload", "2,2"),
                ("revisions", "1 old\n2 new\n"),
                ("pods", "a p1 old True\nb p2 old True\ndead p3 old False\n"),
            ]);
            let script = Rollout { namespace: "kube-system", what: "daemonset/x" }.command(&["a".into(), "b".into()]);
            let (well, said) = cluster.run(shell, &script);
            assert!(well, "{shell}: {said}");
            let deleted = std::fs::read_to_string(cluster.0.path().join("deleted")).unwrap();
            assert_eq!(deleted, "p1\np2\n", "{shell}: one after the other, and nothing on the dead node");
        }
    }

    #[test]
    fn where_all_nodes_are_reached_the_controller_is_left_alone() {
        let cluster = Cluster::new(&[
            ("nodes", "a\nb\n"),
            ("workload", "2,2"),
            ("revisions", "1 old\n2 new\n"),
            ("pods", "a p1 new True\nb p2 old True\n"),
        ]);
        let nodes = ["a".to_owned(), "b".to_owned()];
        let rollout = Rollout { namespace: "x", what: "daemonset/x" };
        let script = rollout.command(&nodes).replace(&format!("+ {} ", rollout.seconds(2)), "+ 0 ");
        let (well, said) = cluster.run("sh", &script);
        assert!(!well && said.contains("daemonset/x is not up on all nodes that can be reached"), "{said}");
        assert!(!cluster.0.path().join("deleted").exists());
    }

    #[test]
    fn a_deployment_is_up_when_only_its_pods_on_other_nodes_are_not() {
        let up = |workload: &str, pods: &str| {
            Cluster::new(&[NODES, ("workload", workload), ("pods", pods)]).looks("deployment/coredns", &["a", "b"])
        };
        let two = "a p1 x True\ndead p2 x False\n";
        assert!(up("1,1,2,2,2", "a p1 x True\nb p2 x True\n"));
        assert!(up("1,1,2,2,1", two), "one on the dead node");
        assert!(!up("1,1,2,2,1", "a p1 x True\nb p2 x False\n"), "one on a reached node is not up");
        assert!(!up("1,1,2,2,", two), "none is up");
        assert!(!up("1,1,2,1,1", two), "one is of before");
        assert!(!up("2,1,2,2,2", two), "not seen yet");
        assert!(!up("", ""));
    }
}
