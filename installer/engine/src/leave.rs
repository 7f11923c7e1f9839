//! A host leaves the cluster: its pods go elsewhere by the cluster's own rules, its member leaves etcd, its node object goes.
//! What ferry did to the host itself is taken back by [`crate::uninstall`]; what follows for the others is a narrowed plan.
//!
//! Nothing is begun that would cost etcd its quorum: [`members`] is asked before, and [`Members::allows`] judges.

use crate::host::quote;
use crate::rounds::{Round, Task};
use crate::site::Host;
use crate::site::file::Role;
use crate::step::{CTL, KUBECTL, etcd_peer};

/// The script that tells, on another etcd host, how the members stand: one line each, `peer healthy|unhealthy`.
#[must_use]
pub fn members() -> String {
    format!(
        "list=$({CTL} --command-timeout=5s member list) || exit 1
echo \"$list\" | while IFS= read -r line; do
  peer=$(echo \"$line\" | awk -F', ' '{{print $4}}'); client=$(echo \"$line\" | awk -F', ' '{{print $5}}')
  if [ -n \"$client\" ] && {CTL} --endpoints=\"$client\" --command-timeout=5s endpoint health 2>&1 | grep -F \"$client\" | grep -q 'is healthy'; then echo \"$peer healthy\"; else echo \"$peer unhealthy\"; fi
done"
    )
}

/// How etcd's members stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Peer URL, and whether it answers.
    pub list: Vec<(String, bool)>,
}

impl Members {
    /// From the output of [`members`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (peer, state) = line.trim().split_once(' ')?;
            Some((peer.to_owned(), state == "healthy"))
        };
        Self { list: text.lines().filter_map(line).collect() }
    }

    /// Whether `host`'s member can leave: those that stay must have a majority of themselves in good health. Else the reason.
    pub fn allows(&self, host: &Host) -> Result<(), String> {
        if self.list.is_empty() {
            return Err("etcd does not say who its members are".into());
        }
        let peer = etcd_peer(host);
        if !self.list.iter().any(|(one, _)| *one == peer) {
            return Ok(());
        }
        let stay: Vec<_> = self.list.iter().filter(|(one, _)| *one != peer).collect();
        let (healthy, needed) = (stay.iter().filter(|(_, well)| *well).count(), stay.len() / 2 + 1);
        if stay.is_empty() {
            return Err(format!("{} has the only member of etcd", host.name));
        }
        if healthy < needed {
            return Err(format!(
                "without {}, etcd has {} members of which {healthy} are healthy, and needs {needed}",
                host.name,
                stay.len()
            ));
        }
        Ok(())
    }
}

/// The script that lists, on a control-plane host, the volumes that lie on `host`: `volume claim` each.
#[must_use]
pub fn volumes(host: &Host) -> String {
    let shown = "{range .items[*]}{.metadata.name}{\" \"}{.spec.claimRef.namespace}/{.spec.claimRef.name}{\" \"}{.spec.nodeAffinity.required.nodeSelectorTerms[*].matchExpressions[*].values[*]}{\"\\n\"}{end}";
    format!(
        "{KUBECTL} get pv -o jsonpath='{shown}' | awk -v n={} '{{for (i = 3; i <= NF; i++) if ($i == n) print $1, $2}}'",
        quote(&host.name)
    )
}

/// What is done to the cluster, on `lead`, a control-plane host that stays, and `member`, an etcd host that stays. `gone` if
/// the host will never come back: nobody can be asked to leave there.
#[must_use]
pub fn rounds(host: &Host, lead: &str, member: Option<&str>, gone: bool) -> Vec<Round> {
    let name = quote(&host.name);
    let mut rounds = Vec::new();
    let mut round = |name: &str, task: Task| rounds.push(Round { name: name.to_owned(), tasks: vec![task] });
    if host.is_node() {
        let rule = if gone {
            // Its pods can't say goodbye; the end of the node object lets the cluster make them anew.
            format!("{KUBECTL} cordon {name}")
        } else {
            // Longer than the usual time-out of a request: evictions wait for disruption budgets.
            format!(
                "/usr/local/bin/kubectl --kubeconfig=/etc/kubernetes/admin.conf drain {name} --ignore-daemonsets --delete-emptydir-data --timeout=300s"
            )
        };
        let script = format!(
            "there=$({KUBECTL} get node {name} --ignore-not-found -o name) || exit 1\n[ -n \"$there\" ] || exit 0\n{rule}"
        );
        round("its pods", Task::new("leave.drain", lead, format!("pods leave {}", host.name), script).within(330));
    }
    if host.is(Role::ControlPlane) && !gone {
        // Before its etcd goes: balancers must see that it does not serve, not clients that it fails.
        // Those that kubeadm has written: others' stay.
        let script = "for part in kube-apiserver kube-controller-manager kube-scheduler; do rm -f /etc/kubernetes/manifests/$part.yaml; done
for i in $(seq 90); do ss -Hltn 'sport = :6443' | grep -q . || exit 0; sleep 1; done
echo 'the API server does not end' >&2; exit 1";
        round("its API server", Task::new("leave.api", &host.name, "its API server ends", script).within(120));
    }
    if let (true, Some(member)) = (host.is(Role::Etcd), member) {
        let script = format!(
            "list=$({CTL} member list) || exit 1\nid=$(echo \"$list\" | awk -F', ' '$4 == \"{peer}\" {{print $1}}')\n[ -z \"$id\" ] || {CTL} member remove \"$id\"",
            peer = etcd_peer(host)
        );
        round("etcd", Task::new("leave.etcd", member, format!("{}'s member leaves", host.name), script));
    }
    if !gone {
        // A kubelet that runs on would register anew.
        let script = "systemctl disable -q --now kubelet.service etcd.service 2>/dev/null || :";
        round("its services", Task::new("leave.services", &host.name, "its kubelet and etcd end", script));
    }
    if host.is_node() {
        let script = format!("{KUBECTL} delete node {name} --ignore-not-found --wait=true --timeout=60s");
        round("the node", Task::new("leave.node", lead, format!("node {} goes", host.name), script));
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::site;

    #[test]
    fn what_can_not_be_asked_is_no_answer() {
        let (site, folder) = (site(), tempfile::tempdir().unwrap());
        let host = site.host("node1").unwrap();
        // Programs that fail, as they do while etcd has no quorum.
        let script = |text: &str| text.replace("/usr/local/bin/", "/nonexistent/");
        let mut scripts = vec![members()];
        for round in rounds(host, "node2", Some("node2"), true) {
            scripts.extend(round.tasks.into_iter().map(|task| task.script));
        }
        assert_eq!(scripts.len(), 4);
        for text in scripts.iter().filter(|text| text.contains("/usr/local/bin/")) {
            let ended =
                std::process::Command::new("sh").arg("-c").arg(script(text)).current_dir(&folder).output().unwrap();
            assert!(!ended.status.success(), "{text}");
        }
    }

    #[test]
    fn a_member_leaves_only_where_the_rest_has_a_majority() {
        let site = site();
        let host = site.host("node1").unwrap();
        let peer = etcd_peer(host);
        let of = |rest: &[bool]| {
            let mut list = vec![(peer.clone(), true)];
            list.extend(rest.iter().enumerate().map(|(n, well)| (format!("https://other{n}:2380"), *well)));
            Members { list }.allows(host)
        };
        assert!(of(&[]).unwrap_err().contains("the only member"));
        assert!(of(&[true]).is_ok() && of(&[true, true]).is_ok() && of(&[true, true, false, true]).is_ok());
        assert!(of(&[true, false]).unwrap_err().contains("2 members of which 1 are healthy, and needs 2"));
        assert!(of(&[true, true, false, false]).is_err());
        let strangers = Members { list: vec![("https://other:2380".into(), false)] };
        assert!(strangers.allows(host).is_ok(), "it has left already");
        assert!(Members::parse("").allows(host).is_err(), "nothing is known");
    }
}
