//! kubeadm's configuration: v1beta4 from Kubernetes 1.31 on, v1beta3 before.

use super::context::{Context, StepBuildError};
use crate::site::file::{EndpointKind, NetworkKind, ProxyMode, Role};
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

/// The configuration with which `host` begins the cluster. It holds the bootstrap token.
pub(super) fn init(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let (site, minor) = (context.site, context.minor()?);
    let lists = minor >= 31;
    let api = if lists { "kubeadm.k8s.io/v1beta4" } else { "kubeadm.k8s.io/v1beta3" };
    let arguments = Arguments { lists };
    let token = context.secret("kubeadm/token")?;
    let node = arguments.render("kubeletExtraArgs", &[("node-ip", host.internal.to_string())], "  ");
    let taints = if schedulable(site, host) { "  taints: []\n" } else { "" };
    let mut text = format!(
        "apiVersion: {api}
kind: InitConfiguration
bootstrapTokens:
- token: \"{token}\"
  ttl: 2h0m0s
localAPIEndpoint: {{advertiseAddress: \"{address}\", bindPort: 6443}}
nodeRegistration:
  name: {name}
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: IfNotPresent
{taints}{node}",
        address = host.internal,
        name = host.name,
    );
    text.push_str(&cluster(context, api, &arguments)?);
    text.push_str(&kubelet(context, host)?);
    text.push_str(&proxy(context));
    Ok(text)
}

/// Whether pods may run on a control-plane host.
pub(super) fn schedulable(site: &Site, host: &Host) -> bool {
    host.is(Role::Worker) || site.kubernetes.schedule_control_plane
}

/// `host:port` of the API as every host names it.
pub(super) fn endpoint(site: &Site) -> String {
    format!("{}:{}", site.endpoint.name, site.endpoint.port)
}

fn cluster(context: &Context<'_>, api: &str, arguments: &Arguments) -> Result<String, StepBuildError> {
    let site = context.site;
    let mut names = vec![site.endpoint.name.clone(), "localhost".into(), "127.0.0.1".into()];
    for host in site.with(Role::ControlPlane) {
        names.push(host.name.clone());
        names.push(host.internal.to_string());
    }
    names.extend(site.endpoint.address.clone());
    names.extend(site.kubernetes.extra_names.iter().cloned());
    names.sort();
    names.dedup();
    let names: String = names.iter().map(|name| format!("  - \"{name}\"\n")).collect();
    let endpoints: String = context.etcd_endpoints().iter().map(|url| format!("    - {url}\n")).collect();
    let mut manager = vec![("bind-address", "127.0.0.1".to_owned())];
    if site.network.kind == NetworkKind::HostRoutes {
        // Each node's share of the pod addresses is fixed by the plan.
        manager.push(("allocate-node-cidrs", "false".to_owned()));
    }
    let validity = if arguments.lists {
        format!(
            "certificateValidityPeriod: {}h0m0s\ncaCertificateValidityPeriod: {}h0m0s\nencryptionAlgorithm: ECDSA-P256\n",
            u64::from(site.kubernetes.certificate_days) * 24,
            u64::from(site.kubernetes.authority_years) * 365 * 24
        )
    } else {
        String::new()
    };
    Ok(format!(
        "---
apiVersion: {api}
kind: ClusterConfiguration
kubernetesVersion: {version}
clusterName: {cluster}
controlPlaneEndpoint: \"{endpoint}\"
imageRepository: registry.k8s.io
{validity}networking: {{podSubnet: \"{pods}\", serviceSubnet: \"{services}\", dnsDomain: {domain}}}
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

fn kubelet(context: &Context<'_>, host: &Host) -> Result<String, StepBuildError> {
    let old = if context.cgroup_v1(host)? && context.minor()? >= 31 { "failCgroupV1: false\n" } else { "" };
    // Without a name server the default would name a file that is empty or not there; then no sandbox starts.
    let resolver = if context.has_nameserver(host)? { "" } else { "resolvConf: \"\"\n" };
    let swap = if context.facts_of(host)?.memory.swap > 0 { "failSwapOn: false\n" } else { "" };
    Ok(format!(
        "---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
maxPods: {}
{old}{resolver}{swap}rotateCertificates: true
serializeImagePulls: false
shutdownGracePeriod: 30s
shutdownGracePeriodCriticalPods: 10s
",
        context.site.kubernetes.max_pods
    ))
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

/// Whether the endpoint is up only once a balancer is.
pub(super) fn needs_balancer(site: &Site) -> bool {
    site.endpoint.kind != EndpointKind::Direct
}
