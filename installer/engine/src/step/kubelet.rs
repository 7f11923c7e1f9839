//! kubelet, kubeadm and kubectl on a node. The kubelet is enabled here and started by kubeadm, which writes its settings.

use super::context::{Context, StepBuildError, unit};
use crate::action::{Action, File, Folder};
use crate::plan::Step;
use crate::site::Host;
use crate::supply::Supply;

const UNIT: &str = r#"[Unit]
Description=kubelet
Wants=network-online.target containerd.service
After=network-online.target containerd.service

[Service]
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
Restart=always
StartLimitInterval=0
RestartSec=3

[Install]
WantedBy=multi-user.target
"#;

/// The steps of a node's kubelet.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let arch = context.arch(host)?;
    let mut reads = Vec::new();
    let mut actions = Vec::new();
    for name in ["kubeadm", "kubectl", "kubelet"] {
        let content = Supply::content(context.supply.file(name, arch)?);
        let action = context.program(host, &format!("/usr/local/bin/{name}"), content)?;
        if name == "kubelet" { reads.push(action) } else { actions.push(action) }
    }
    actions.push(Action::Folder(Folder::new("/etc/kubernetes", 0o755)));
    reads.push(Action::File(File::text("/etc/systemd/system/kubelet.service", UNIT)));
    let enabled = unit("kubelet.service", false, &reads);
    actions.extend(reads);
    actions.push(enabled);
    let step = Step::new("kubelet.programs", &host.name, "kubelet, kubeadm, kubectl", actions);
    Ok(vec![step])
}
