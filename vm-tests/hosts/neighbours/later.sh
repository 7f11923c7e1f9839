#!/bin/sh
# What other people bring while ferry's cluster runs.
set -eu
put() { mkdir -p "${1%/*}"; printf '%s\n' "${2:-of the customer, later}" >"$1"; }

# A static pod of theirs, of an image that is there.
put /etc/kubernetes/manifests/customer-pod.yaml 'apiVersion: v1
kind: Pod
metadata: {name: beside, namespace: default}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: beside, image: "docker.io/library/busybox:1.36", command: [sleep, infinity]}'
put /etc/kubernetes/pki/customer-later.crt; put /etc/kubernetes/customer-later.conf
put /etc/cni/net.d/99-customer-later.conflist '{"cniVersion":"1.0.0","name":"later","plugins":[{"type":"loopback"}]}'
put /opt/cni/bin/customer-later '#!/bin/sh'; put /etc/containerd/customer-later.toml
for folder in kubelet containerd etcd; do put /etc/systemd/system/$folder.service.d/90-customer-later.conf '[Unit]'; done
put /etc/ferry/customer-later.txt; put /usr/local/lib/ferry/customer-later.sh
put /var/site/customer-later.db; put /var/site/backup/customer-later.tar; put /var/backups/customer-later.sql
put /root/.kube/customer-later; put /var/log/customer-later.log
printf '198.51.100.8 scanner.customer scanner\n' >>/etc/hosts

# Another runtime begins to work: links with the names that all runtimes give, a namespace as CNI names it.
ip link add vethcustomer8 type veth peer name vethcustomer9; ip link set vethcustomer8 master br-customer up
ip link add caliper-cust type bridge
ip netns add cni-customer; ip netns add cni-c0570000-0000-4000-8000-c05700000000
iptables -A CUSTOMER -s 192.0.2.10/32 -m comment --comment 'customer: later, CNI-' -j ACCEPT
nft add element inet customer s '{ 192.0.2.8 }'
printf '[Service]\nExecStart=/usr/bin/env sleep infinity\n' >/etc/systemd/system/customer-later.service
printf '[Service]\nExecStart=/usr/bin/env ip netns exec cni-c0570000-0000-4000-8000-c05700000000 sleep infinity\n' >/etc/systemd/system/customer-space.service
systemctl daemon-reload; systemctl start customer-later.service customer-space.service
