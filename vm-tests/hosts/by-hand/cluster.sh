#!/bin/bash
# On the first control plane, once all have joined: what the cluster needs, and then until all of it is ready.
set -euo pipefail
cd /root/disc
export KUBECONFIG=/etc/kubernetes/admin.conf
while read -r share name _; do
    kubectl patch node "$name" -p "{\"spec\": {\"podCIDR\": \"$share\", \"podCIDRs\": [\"$share\"]}}" >/dev/null
done < pods
kubectl wait --for=condition=Ready nodes --all --timeout=240s >/dev/null
# What asks a Service before kube-proxy has set it up hangs until it times out.
kubectl -n kube-system rollout status daemonset/kube-proxy --timeout=240s >/dev/null
kubectl apply -f coredns.yaml >/dev/null
kubeadm init phase addon coredns --config kubeadm.yaml >/dev/null
kubectl apply -f local-path.yaml >/dev/null
kubectl -n kube-system rollout status deployment/coredns --timeout=240s >/dev/null
kubectl -n local-path-storage rollout status deployment/local-path-provisioner --timeout=240s >/dev/null
kubectl wait --for=condition=Ready pods -A --all --timeout=240s >/dev/null
