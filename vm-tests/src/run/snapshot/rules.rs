//! The one table of what a snapshot leaves out or makes alike, each with its reason.
//!
//! A pattern is matched against `part key`; `*` stands for any text. Paths of rules with a filter are shell patterns as
//! well, and those that are not looked at are `find -path` patterns.

/// What a rule does to what it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Not looked at, nor what is below it. For `file` and, by the name of the resource, `kind`.
    Unseen,
    /// Left out.
    Out,
    /// Only that it is there; of a file also kind, mode and owner.
    Shape,
    /// Only that it is there.
    There,
    /// A file's content, or the lines of a part, as they come out of this shell filter.
    Through(&'static str),
}

/// A rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) at: &'static str,
    pub(super) act: Act,
    /// The reason.
    pub(super) why: &'static str,
}

macro_rules! rules {
    ($($at:literal $act:expr, $why:literal;)*) => { &[$(Rule { at: $at, act: $act, why: $why }),*] };
}

use Act::{Out, Shape, There, Through, Unseen};

pub(super) const RULES: &[Rule] = rules! {
    // Files
    "file /proc" Unseen, "the kernel's, not the disk's";
    "file /sys" Unseen, "the kernel's, not the disk's";
    "file /dev" Unseen, "the kernel's, not the disk's";
    "file /run" Unseen, "gone at the next boot";
    "file /tmp" Unseen, "gone at the next boot";
    "file /var/tmp/systemd-private-*" Unseen, "of running units, with random names";
    "file /ferry-vm" Unseen, "the test bed's own";
    "file /var/log" Unseen, "logs";
    "file /var/lib/containerd" Unseen, "databases and unpacked layers: images are a part of their own";
    "file /var/lib/kubelet/pods" Unseen, "pods by their uids";
    "file /var/lib/kubelet/device-plugins" Unseen, "state of a running kubelet";
    "file /var/lib/kubelet/pod-resources" Unseen, "state of a running kubelet";
    "file /var/lib/kubelet/plugins_registry" Unseen, "state of a running kubelet";
    "file /var/lib/cni" There, "made by libcni's cache or by host-local, whichever comes first, each with a mode of its own";
    "file /var/lib/cni/networks" Unseen, "leases of pod addresses";
    "file /var/lib/cni/results" Unseen, "pods by their sandboxes";
    "file /var/lib/etcd/member" Unseen, "the database: objects are a part of their own";
    "file /etc/etcd/initial.env" Through("cut -d= -f1"), "how the member began, as the first or as one more: etcd reads it while it has no data, and never again";
    "file /var/backups/ferry/etcd/*" Unseen, "snapshots by their times";
    "file /var/lib/ferry-volumes" Out, "made on the node that a first volume comes to; what is in it is looked at";
    "file /var/lib/ferry-registry/docker/registry/v2/repositories/*/_uploads/*" Unseen, "halves of uploads that were cut off: the registry purges them after a week";
    "file /var/lib/systemd/timers" Unseen, "when timers were last due";
    "file /root/.kube/cache" Unseen, "of everybody who has called kubectl";
    "file /etc/ssh/ssh_host_*" Shape, "made with the host's disk";
    "file /etc/machine-id" Shape, "made at the first boot";
    "file /var/lib/systemd/random-seed" Shape, "random";
    "file /etc/kubernetes/pki/apiserver*" Shape, "issued on the host, each time with a new key";
    "file /etc/kubernetes/pki/front-proxy-client.*" Shape, "issued on the host, each time with a new key";
    "file /etc/kubernetes/pki/*client.crt" Through("openssl x509 -noout -subject -issuer -ext extendedKeyUsage"), "but it is for the same purpose";
    "file /etc/kubernetes/pki/apiserver.crt" Through("openssl x509 -noout -subject -issuer -ext subjectAltName,extendedKeyUsage"), "but it is for the same names";
    "file /etc/kubernetes/*.conf" Through("sed -E 's/(client-(certificate|key)-data: ).*/\\1…/'"), "client certificates are issued on the host";
    "file /var/lib/kubelet/pki/*" Shape, "issued to the kubelet";
    "file /var/lib/kubelet/pki/kubelet-client-2*" Out, "named by the time of issue";
    "file /var/lib/kubelet/*_state" Shape, "checkpoints of a running kubelet, with uids of pods";
    "file /var/lib/ferry/ledger" Through("awk '$2 == \"begin\" && $3 !~ /^run:/ {$1 = \"\"; print}' | sort -u"), "times; a change that was cut off after it was made has no end; waiting may be needed or not";
    "file /var/lib/ferry/lock" Shape, "empty";
    "file /var/lib/ferry/install" Shape, "an id of chance";
    "file /var/lib/ferry/before/mounts" Shape, "what was mounted, sessions and credentials of units among it";
    "file */.ferry-data" Shape, "the mark of a data folder, with that id";
    // Units
    "unit *.scope" Out, "of sessions and containers";
    "unit kubepods*.slice" Out, "of pods";
    "unit run-*" Out, "transient";
    "unit var-lib-kubelet-*" Out, "mounts of pods";
    "active user@*" Out, "somebody is logged in, or was a moment ago";
    "active user-runtime-dir@*" Out, "somebody is logged in, or was a moment ago";
    "active systemd-ask-password-*" Out, "fails at boot where the machine has no inotify instance left";
    "active systemd-tmpfiles-clean.service" Out, "runs now and then";
    "active ferry-etcd-snapshot.service" Out, "runs now and then";
    "active systemd-update-utmp*" Out, "runs at boot";
    // Kernel
    "sysctl *" Through("grep -E '^(net\\.(ipv[46]\\.(ip_forward|ip_local|conf\\.(all|default)\\.|neigh\\.default)|bridge\\.|core\\.somaxconn|netfilter\\.nf_conntrack_(max|tcp_timeout|tcp_be))|fs\\.(inotify|file-max|nr_open|may_detach|protected)|vm\\.(over|panic|max_map|swappiness)|kernel\\.(panic|keys|pid_max))'"), "those that installers set, not the kernel's state";
    "link veth*" Out, "of pods";
    "mount /run/*" Out, "of containers, namespaces and sessions";
    "mount /var/lib/kubelet/pods/*" Out, "of pods";
    "mount /var/lib/containerd/*" Out, "of containers";
    // Packets
    "route *veth*" Out, "of pods";
    "rule *" Through("sed -E 's/KUBE-SEP-[A-Z0-9]{16}/KUBE-SEP-…/g; s/CNI-[0-9a-f]{24}/CNI-…/g; s/id: .?\"[0-9a-f]{64}.?\"/id: …/g; s/\\b10\\.244\\.[0-9]+\\.[0-9]+\\b([^/]|\\/32|$)/POD\\1/g'"), "addresses of pods, and chains named by hashes of them";
    // Cluster
    "kind pods" Unseen, "names, addresses and times; who makes them is compared, and acceptance runs on them";
    "kind componentstatuses" Unseen, "no objects, but a question";
    "kind events" Unseen, "times";
    "kind events.events.k8s.io" Unseen, "times";
    "kind leases.coordination.k8s.io" Unseen, "times";
    "kind endpoints" Unseen, "addresses of pods";
    "kind endpointslices.discovery.k8s.io" Unseen, "addresses of pods";
    "kind certificatesigningrequests.certificates.k8s.io" Unseen, "random names";
    "object *.metadata.uid" Out, "made by the API server";
    "object *.metadata.resourceVersion" Out, "made by the API server";
    "object *.metadata.creationTimestamp" Out, "a time";
    "object *.metadata.generation" Out, "how often it was changed";
    "object *.metadata.managedFields*" Out, "who wrote what when";
    "object *.metadata.ownerReferences[*].uid" Out, "made by the API server";
    "object Secret/kube-system/bootstrap-token-* .data.expiration" Out, "a time";
    "object ConfigMap/kube-system/kube-apiserver-legacy-service-account-token-tracking .data.since" Out, "a date";
    "object * .status*" Out, "what controllers saw last";
};

/// The rules for an entry.
pub(super) fn matching(key: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| fits(rule.at, key))
}

/// The table, for people.
#[must_use]
pub fn rules() -> String {
    let act = |act: Act| match act {
        Act::Unseen => "not looked at".to_owned(),
        Act::Out => "left out".to_owned(),
        Act::Shape => "only its shape".to_owned(),
        Act::There => "only that it is there".to_owned(),
        Act::Through(filter) => format!("through `{filter}`"),
    };
    RULES.iter().map(|rule| format!("{}: {}: {}\n", rule.at, act(rule.act), rule.why)).collect()
}

/// Whether `text` fits `pattern`, in which each `*` stands for any text.
#[must_use]
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_texts() {
        assert!(fits("file /etc/*.conf", "file /etc/a/b.conf") && !fits("file /etc/*.conf", "file /etc/a.conf2"));
        assert!(fits("a*b*c", "a1b2c") && fits("a*", "a") && !fits("a*b*b", "ab") && !fits("x", "xy"));
        assert!(fits("object *.metadata.uid", "object Node//n .metadata.uid"));
    }

    #[test]
    fn each_rule_has_a_reason_and_no_twin() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(!rule.why.is_empty() && rule.at.contains(' '), "{}", rule.at);
            assert!(!RULES[..at].iter().any(|other| other.at == rule.at && other.act == rule.act), "{} twice", rule.at);
        }
    }
}
