#!/bin/bash
# A node: runtime, balancer, pod network, kubelet. /root/disc holds what was brought. $1 is its name.
set -euo pipefail
cd /root/disc
name=$1
hostname "$name"
echo "$name" > /etc/hostname
{ cat names; echo "127.0.0.1 api.hand"; } >> /etc/hosts

printf 'overlay\nbr_netfilter\nnf_conntrack\n' > /etc/modules-load.d/kubernetes.conf
modprobe -a overlay br_netfilter nf_conntrack
cat > /etc/sysctl.d/90-kubernetes.conf <<'SYSCTL'
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.default.rp_filter = 0
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
vm.max_map_count = 262144
vm.overcommit_memory = 1
kernel.panic = 10
kernel.panic_on_oops = 1
SYSCTL
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf

# This root may not lower anybody's OOM score, so containerd must not try (restrict_oom_score_adj): no pod would start.
tar -xzf containerd.tar.gz -C /usr/local
chmod 755 runc kubeadm kubelet kubectl
mv runc kubeadm kubelet kubectl /usr/local/bin/
mkdir -p /opt/cni/bin /etc/cni/net.d /etc/containerd
tar -xzf cni-plugins.tgz -C /opt/cni/bin
cp -r certs.d registry-ca.crt /etc/containerd/
chmod -R go= /etc/containerd/certs.d
cat > /etc/containerd/config.toml <<'TOML'
version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "registry.k8s.io/pause:3.10.1"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/containerd/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "/usr/local/bin/runc"
      SystemdCgroup = true
TOML
cat > /etc/systemd/system/containerd.service <<'UNIT'
[Unit]
After=network.target
[Service]
ExecStart=/usr/local/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
RestartSec=5
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
[Install]
WantedBy=multi-user.target
UNIT

# The balancer runs in the files of its image, without a container runtime.
root=/var/lib/haproxy-root
mkdir -p $root /etc/haproxy
for layer in $(ls haproxy | sort -n); do tar -xzf "haproxy/$layer" -C $root; done
cp haproxy.cfg /etc/haproxy/
cat > /etc/systemd/system/haproxy.service <<UNIT
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
RootDirectory=$root
MountAPIVFS=yes
BindReadOnlyPaths=/etc/haproxy
DynamicUser=yes
ExecStart=/usr/local/sbin/haproxy -W -db -f /etc/haproxy/haproxy.cfg
Restart=always
RestartSec=1
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
UNIT

# Pods: a bridge, and a route to each other node's share.
read -r own _ < <(grep " $name " pods)
cat > /etc/cni/net.d/10-pods.conflist <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$own"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
{
    echo '#!/bin/sh'
    grep -v " $name " pods | while read -r share _ via; do echo "ip route replace $share via $via"; done
    echo 'iptables -w -t nat -C POSTROUTING -s 10.244.0.0/16 -d 10.244.0.0/16 -j ACCEPT 2>/dev/null ||'
    echo '    iptables -w -t nat -I POSTROUTING 1 -s 10.244.0.0/16 -d 10.244.0.0/16 -j ACCEPT'
} > /usr/local/sbin/pod-routes
chmod 755 /usr/local/sbin/pod-routes
cat > /etc/systemd/system/pod-routes.service <<'UNIT'
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/pod-routes
[Install]
WantedBy=multi-user.target
UNIT

cat > /etc/systemd/system/kubelet.service <<'UNIT'
[Unit]
Wants=network-online.target containerd.service
After=network-online.target containerd.service
[Service]
ExecStart=/usr/local/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
Restart=always
StartLimitInterval=0
RestartSec=3
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable -q kubelet.service
systemctl enable -q --now containerd.service haproxy.service pod-routes.service
