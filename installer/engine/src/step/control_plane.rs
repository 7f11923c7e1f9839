//! A control-plane host, phase by phase of kubeadm: each phase can be repeated, so a run that was cut off goes on at the phase
//! where it stopped. kubeadm's own preflight runs, and none of its errors is ignored.
//!
//! Every control-plane host is made in the same way, with authorities that were placed beforehand: none discovers anything or
//! copies from another, so none depends on which was the first, and a host that was the first can be removed like any other.
//! What belongs to the cluster and not to a host is done by the first of the site file that can be reached.

use ferry_bundle_format::Digest;

use super::base::FILES;
use super::context::{Context, StepBuildError, authority};
use super::kubeadm::{self, PATCHES, endpoint, schedulable};
use super::rollout::Rollout;
use crate::action::{Action, File, Folder, Run, Subject};
use crate::host::quote;
use crate::plan::Step;
use crate::site::Host;

/// kubectl as administrator, on a control-plane host.
pub(crate) const KUBECTL: &str = "/usr/local/bin/kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=20s";
/// Where kubeadm's configuration lies.
const CONFIG: &str = "/etc/ferry/kubeadm.yaml";

/// Keys that are placed before kubeadm runs: vault name, file below `/etc/kubernetes/`, mode.
const KEYS: [(&str, u32); 9] = [
    ("pki/ca.crt", 0o644),
    ("pki/ca.key", 0o600),
    ("pki/front-proxy-ca.crt", 0o644),
    ("pki/front-proxy-ca.key", 0o600),
    ("pki/sa.pub", 0o644),
    ("pki/sa.key", 0o600),
    ("pki/etcd/ca.crt", 0o644),
    ("pki/apiserver-etcd-client.crt", 0o644),
    ("pki/apiserver-etcd-client.key", 0o600),
];

/// The steps that make `host` a control plane; `leads` if it is the one that does what belongs to the cluster.
pub(super) fn steps(context: &mut Context<'_>, host: &Host, leads: bool) -> Result<Vec<Step>, StepBuildError> {
    let mut keys: Vec<Action> = ["/etc/kubernetes", "/etc/kubernetes/pki", "/etc/kubernetes/pki/etcd"]
        .map(|path| Action::Folder(Folder::new(path, 0o755)))
        .into();
    for (name, mode) in KEYS {
        keys.push(Action::File(context.secret_file(&format!("/etc/kubernetes/{name}"), name, mode)?));
    }
    let text = kubeadm::init(context, host)?;
    let config = Digest::of(text.as_bytes()).hex()[..12].to_owned();
    keys.push(Action::File(context.rendered_file(host, CONFIG, text, 0o600)?));
    keys.extend(patches(context, host)?);
    let phases = phases(context, host, &config, leads);
    Ok(vec![
        Step::new("control-plane.keys", &host.name, "authorities and configuration", keys),
        Step::new("control-plane.init", &host.name, "kubeadm init, phase by phase", phases),
    ])
}

/// What a host's kubelet needs beside the settings of all.
pub(super) fn patches(context: &Context<'_>, host: &Host) -> Result<[Action; 2], StepBuildError> {
    let file = File::text(format!("{PATCHES}/kubeletconfiguration+merge.yaml"), kubeadm::patch(context, host)?);
    Ok([Action::Folder(Folder::new(PATCHES, 0o755)), Action::File(file)])
}

fn phase(name: &str, config: &str, question: &str) -> Run {
    let command = format!("/usr/local/bin/kubeadm init phase {name} --config {CONFIG} # configuration {config}");
    Run::unless(format!("kubeadm phase {name}"), Subject::Kubeadm, question, command).within(300)
}

/// What files that kubeadm writes were before is kept: an uninstall puts it back.
fn kept(files: &str) -> String {
    format!("for file in {files}; do f_keep \"$file\" \"kubeadm-${{file##*/}}\"; done\n")
}

/// Likewise, and then they are removed: kubeadm would refuse to go on from half of a pair.
fn cleared(files: &str) -> String {
    format!("{}rm -f {files}\n", kept(files))
}

fn phases(context: &Context<'_>, host: &Host, config: &str, leads: bool) -> Vec<Action> {
    let manifests = "/etc/kubernetes/manifests";
    let pki = "/etc/kubernetes/pki";
    let node = quote(&host.name);
    let mut runs = vec![
        Run::unless(
            "kubeadm's configuration is valid",
            Subject::Kubeadm,
            "true",
            format!("/usr/local/bin/kubeadm config validate --config {CONFIG} # configuration {config}"),
        )
        .stamped(),
    ];
    // Once the control plane stands, its ports and files are in use, and the same checks would fail.
    let mut preflight = phase(
        "preflight",
        config,
        &format!("[ -e {manifests}/kube-apiserver.yaml ] || [ -e /var/lib/ferry/stamps/kubeadm-preflight ]"),
    );
    preflight.command = format!("{}\n: >/var/lib/ferry/stamps/kubeadm-preflight", preflight.command);
    runs.push(preflight);
    let leaves = ["apiserver", "apiserver-kubelet-client", "front-proxy-client"];
    let there = leaves.map(|leaf| format!("[ -s {pki}/{leaf}.crt ] && [ -s {pki}/{leaf}.key ]")).join(" && ");
    let mut certificates = phase("certs all", config, &there).stamped();
    // Cut off, it may have left half of a pair, which it would refuse to go on from.
    let remove = leaves.map(|leaf| format!("{pki}/{leaf}.crt {pki}/{leaf}.key")).join(" ");
    certificates.command = format!("{}{}", cleared(&remove), certificates.command);
    runs.push(certificates);
    let files = ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf", "kubelet.conf"];
    let files: Vec<&str> = files
        .into_iter()
        .filter(|file| *file != "super-admin.conf" || context.minor().is_ok_and(|minor| minor >= 29))
        .collect();
    let there = files.iter().map(|file| format!("[ -s /etc/kubernetes/{file} ]")).collect::<Vec<_>>().join(" && ");
    let mut kubeconfigs = phase("kubeconfig all", &endpoint(context.site), &there).stamped();
    let remove = files.iter().map(|file| format!("/etc/kubernetes/{file}")).collect::<Vec<_>>().join(" ");
    kubeconfigs.command = format!("{}{}", cleared(&remove), kubeconfigs.command);
    runs.push(kubeconfigs);
    let parts = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    let there = parts.map(|part| format!("[ -s {manifests}/{part}.yaml ]")).join(" && ");
    let manifest = parts.map(|part| format!("{manifests}/{part}.yaml")).join(" ");
    let mut parts = phase("control-plane all", config, &there).stamped();
    parts.command = format!("{}{}", kept(&manifest), parts.command);
    runs.push(parts);
    runs.push(
        phase("kubelet-start", config, "systemctl is-active -q kubelet && [ -s /var/lib/kubelet/config.yaml ]")
            .stamped(),
    );
    // This host's own server, and then the way that every client takes.
    for (title, server) in [
        ("the API server answers", format!(" --server=https://{}", authority(host, 6443))),
        ("the API answers at its endpoint", String::new()),
    ] {
        let ready = format!("{KUBECTL}{server} get --raw /readyz");
        runs.push(
            Run::unless(
                title,
                Subject::Wait,
                ready.clone(),
                format!("for i in $(seq 240); do {ready} >/dev/null 2>&1 && exit 0; sleep 1; done\njournalctl -u kubelet -n 30 --no-pager -o cat >&2; exit 1"),
            )
            .within(300),
        );
    }
    if leads {
        let question = format!("{KUBECTL} -n kube-system get configmap kubeadm-config");
        // This phase, and those below that write objects, create or update them: whether they were done can't be asked while
        // the API is away, and doing them again does no harm.
        runs.push(phase("upload-config kubeadm", config, &question).stamped().retried(2));
    }
    // Beside the settings, it notes the host's container runtime at its node; from 1.34 on the host keeps that itself.
    let notes = context.minor().is_ok_and(|minor| minor < 34);
    if leads || notes {
        let mut question = format!("{KUBECTL} -n kube-system get configmap kubelet-config");
        if notes {
            question.push_str(&format!(
                " && {KUBECTL} get node {node} -o jsonpath='{{.metadata.annotations.kubeadm\\.alpha\\.kubernetes\\.io/cri-socket}}' | grep ."
            ));
        }
        runs.push(phase("upload-config kubelet", config, &question).stamped().retried(5));
    }
    let label = "node-role.kubernetes.io/control-plane";
    runs.push(
        phase("mark-control-plane", config, &format!("{KUBECTL} get nodes -l {label} -o name | grep -x node/{node}"))
            .retried(5),
    );
    if leads {
        let question = format!("{KUBECTL} -n kube-public get configmap cluster-info");
        runs.push(phase("bootstrap-token", config, &question).stamped().retried(2));
    }
    runs.push(
        phase("kubelet-finalize all", config, "grep -q kubelet-client-current.pem /etc/kubernetes/kubelet.conf")
            .stamped(),
    );
    if leads {
        let question = format!("{KUBECTL} -n kube-system get daemonset kube-proxy");
        runs.push(phase("addon kube-proxy", config, &question).stamped().retried(2));
    }
    runs.into_iter().map(Action::Run).collect()
}

/// Labels and taints; then everything ready.
pub(super) fn finish(context: &Context<'_>, host: &Host) -> Step {
    let mut actions = Vec::new();
    for node in context.nodes() {
        let name = quote(&node.name);
        for (key, value) in &node.labels {
            let pair = quote(&format!("{key}={value}"));
            let label = Run::unless(
                format!("label {key}={value} of {}", node.name),
                Subject::Objects,
                format!("{KUBECTL} get nodes -l {pair} -o name | grep -x node/{name}"),
                format!("{KUBECTL} label --overwrite node {name} {pair}"),
            )
            // A node that has the label with another value shows that value.
            .instead_of(format!(
                "{KUBECTL} get node {name} -o jsonpath={}",
                quote(&format!("{{.metadata.labels.{}}}", key.replace('.', "\\.")))
            ));
            actions.push(Action::Run(label.retried(2)));
        }
        for taint in &node.taints {
            let quoted = quote(&taint.to_string());
            let shown = "{range .spec.taints[*]}{.key}={.value}:{.effect}{\"\\n\"}{end}";
            let taint = Run::unless(
                format!("taint {taint} of {}", node.name),
                Subject::Objects,
                format!("{KUBECTL} get node {name} -o jsonpath='{shown}' | grep -Fx {quoted}"),
                format!("{KUBECTL} taint --overwrite node {name} {quoted}"),
            );
            actions.push(Action::Run(taint.retried(2)));
        }
        let ready = format!("{KUBECTL} wait --for=condition=Ready node/{name} --timeout");
        actions.push(Action::Run(
            Run::unless(
                format!("node {} is ready", node.name),
                Subject::Wait,
                format!("{ready}=1s"),
                format!("{ready}=240s"),
            )
            .within(300),
        ));
    }
    // Pods need a node without the control plane's taint, or one that is schedulable all the same.
    let any = context.nodes().any(|host| schedulable(context.site, host));
    if any {
        for what in ["daemonset/kube-proxy", "deployment/coredns"] {
            actions.push(Rollout { namespace: "kube-system", what }.action(context, format!("{what} is up")));
        }
    }
    Step::new("cluster.ready", &host.name, "nodes and system pods", actions)
}

/// How objects are applied: fields that are ferry's, and no others.
pub(super) const SERVER_SIDE: &str = "--server-side --field-manager=ferry --force-conflicts";

/// A file of objects, applied by the server so that a second time changes nothing.
pub(super) fn objects(path: &str, title: &str, text: String) -> Vec<Action> {
    let quoted = quote(path);
    let digest = Digest::of(text.as_bytes()).hex()[..12].to_owned();
    vec![
        Action::File(crate::action::File::text(path, text)),
        Action::Run(
            Run::unless(
                format!("objects: {title}"),
                Subject::Objects,
                format!("{KUBECTL} diff {SERVER_SIDE} -f {quoted}"),
                format!("{KUBECTL} apply {SERVER_SIDE} -f {quoted} # {digest}"),
            )
            .retried(2),
        ),
    ]
}

/// Where files of objects lie.
pub(super) fn objects_folder() -> Action {
    Action::Folder(Folder::new(format!("{FILES}/objects"), 0o755))
}
