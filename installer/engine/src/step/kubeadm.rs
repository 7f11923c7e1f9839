//! kubeadm's configuration: v1beta4 from Kubernetes 1.31 on, v1beta3 before.

use super::context::{Context, StepBuildError};
use crate::pki::certificate_pin;
use crate::site::file::{ProxyMode, Role};
use crate::site::{Host, Site};

/// Arguments of a component, in the form of either version.
struct Arguments {
    lists: bool,
}

impl Arguments {
    fn render(&self, key: &str, arguments: &[(&str, String)], indent: &str) -> String {
        if arguments.is_empty() {
            return String::new();
        }
        let mut text = format!("{indent}{key}:\n");
        for (name, value) in arguments {
            if self.lists {
                text.push_str(&format!("{indent}- {{name: {name}, value: \"{value}\"}}\n"));
            } else {
                text.push_str(&format!("{indent}  {name}: \"{value}\"\n"));
            }
        }
        text
    }
}

/// Where what differs from host to host stands, for kubeadm to lay over the settings that all share.
pub(super) const PATCHES: &str = "/etc/ferry/kubeadm-patches";

/// The version of kubeadm's configuration.
fn api(minor: u32) -> &'static str {
    if minor >= 31 { "kubeadm.k8s.io/v1beta4" } else { "kubeadm.k8s.io/v1beta3" }
}

/// What a host says of itself as a node.
fn registration(context: &Context<'_>, host: &Host, arguments: &Arguments) -> String {
    let node = arguments.render("kubeletExtraArgs", &[("node-ip", host.internal.to_string())], "  ");
    let free = host.is(Role::ControlPlane) && schedulable(context.site, host);
    let taints = if free { "  taints: []\n" } else { "" };
    format!(
        "nodeRegistration:
  name: \"{}\"
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
{taints}{node}patches: {{directory: {PATCHES}}}
",
        host.name
    )
}

/// The configuration with which a worker joins. It holds the bootstrap token; the cluster's authority is known by its pin.
pub(super) fn join(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let minor = context.minor()?;
    let arguments = Arguments { lists: minor >= 31 };
    let token = context.secret("kubeadm/token")?;
    let authority = context.public("pki/ca.crt")?;
    let pin = certificate_pin(&authority).ok_or_else(|| StepBuildError::Vault("readable pki/ca.crt".into()))?;
    Ok(format!(
        "apiVersion: {api}
kind: JoinConfiguration
discovery:
  bootstrapToken:
    token: \"{token}\"
    apiServerEndpoint: \"{endpoint}\"
    caCertHashes: [\"{pin}\"]
{registration}",
        api = api(minor),
        endpoint = endpoint(context.site),
        registration = registration(context, host, &arguments),
    ))
}

/// The configuration with which `host` becomes a control plane. It holds the bootstrap token.
pub(super) fn init(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let minor = context.minor()?;
    let (lists, api) = (minor >= 31, api(minor));
    let arguments = Arguments { lists };
    let token = context.secret("kubeadm/token")?;
    let mut text = format!(
        "apiVersion: {api}
kind: InitConfiguration
bootstrapTokens:
- token: \"{token}\"
  ttl: 2h0m0s
localAPIEndpoint: {{advertiseAddress: \"{address}\", bindPort: 6443}}
{registration}",
        address = host.internal,
        registration = registration(context, host, &arguments),
    );
    text.push_str(&cluster(context, host, api, &arguments)?);
    text.push_str(&kubelet(context));
    text.push_str(&proxy(context));
    Ok(text)
}

/// Whether pods may run on a node.
pub(super) fn schedulable(site: &Site, host: &Host) -> bool {
    host.is(Role::Worker) || site.kubernetes.schedule_control_plane
}

/// `host:port` of the API as every host names it.
pub(super) fn endpoint(site: &Site) -> String {
    format!("{}:{}", site.endpoint.name, site.endpoint.port)
}

fn cluster(context: &Context<'_>, host: &Host, api: &str, arguments: &Arguments) -> Result<String, StepBuildError> {
    let site = context.site;
    // kubeadm adds each host's own name and address. Those of the other hosts don't belong here: a host more would make every
    // certificate anew.
    let mut names = vec![site.endpoint.name.to_string(), "localhost".into(), "127.0.0.1".into()];
    names.extend(site.endpoint.address.clone());
    names.extend(site.kubernetes.extra_names.iter().map(ToString::to_string));
    names.sort();
    names.dedup();
    let names: String = names.iter().map(|name| format!("  - \"{name}\"\n")).collect();
    let endpoints: String = context.etcd_endpoints(host).iter().map(|url| format!("    - \"{url}\"\n")).collect();
    let mut manager = vec![("bind-address", "127.0.0.1".to_owned())];
    // Each node's share of the pod addresses is fixed by the plan; Calico gives addresses away itself.
    manager.push(("allocate-node-cidrs", "false".to_owned()));
    let validity = if arguments.lists {
        format!(
            "certificateValidityPeriod: {}h0m0s\ncaCertificateValidityPeriod: {}h0m0s\nencryptionAlgorithm: ECDSA-P256\n",
            u64::from(site.kubernetes.certificate_days.get()) * 24,
            u64::from(site.kubernetes.authority_years.get()) * 365 * 24
        )
    } else {
        String::new()
    };
    Ok(format!(
        "---
apiVersion: {api}
kind: ClusterConfiguration
kubernetesVersion: \"{version}\"
clusterName: \"{cluster}\"
controlPlaneEndpoint: \"{endpoint}\"
imageRepository: registry.k8s.io
{validity}networking: {{podSubnet: \"{pods}\", serviceSubnet: \"{services}\", dnsDomain: \"{domain}\"}}
etcd:
  external:
    endpoints:
{endpoints}    caFile: /etc/kubernetes/pki/etcd/ca.crt
    certFile: /etc/kubernetes/pki/apiserver-etcd-client.crt
    keyFile: /etc/kubernetes/pki/apiserver-etcd-client.key
apiServer:
  certSANs:
{names}controllerManager:
{manager}",
        version = context.kubernetes()?,
        cluster = site.cluster,
        endpoint = endpoint(site),
        pods = site.kubernetes.pod_cidr.value,
        services = site.kubernetes.service_cidr.value,
        domain = site.kubernetes.dns_domain,
        manager = arguments.render("extraArgs", &manager, "  "),
    ))
}

/// The settings that all kubelets share; the cluster keeps them.
fn kubelet(context: &Context<'_>) -> String {
    format!(
        "---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
maxPods: {}
rotateCertificates: true
serializeImagePulls: false
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
",
        context.site.kubernetes.max_pods
    )
}

/// What a host's kubelet needs beside that.
pub(super) fn patch(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let old = if context.cgroup_v1(host)? && context.minor()? >= 31 { "failCgroupV1: false\n" } else { "" };
    // Without a name server the default would name a file that is empty or not there; then no sandbox starts.
    let resolver = if context.has_nameserver(host)? { "" } else { "resolvConf: \"\"\n" };
    let swap = if context.facts_of(host)?.memory.swap > 0 { "failSwapOn: false\n" } else { "" };
    Ok(format!("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n{old}{resolver}{swap}"))
}

fn proxy(context: &Context<'_>) -> String {
    let mode = match context.site.kubernetes.proxy {
        ProxyMode::Iptables => "iptables",
        ProxyMode::Nftables => "nftables",
        ProxyMode::Ipvs => "ipvs",
    };
    let conntrack = if context.any_contained() { "conntrack: {maxPerCore: 0, min: 0}\n" } else { "" };
    format!(
        "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: {mode}\n{conntrack}"
    )
}
