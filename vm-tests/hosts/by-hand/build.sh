#!/bin/bash
# A cluster by hand, as somebody builds it who has done so often: from five hosts as new and a folder with everything that is
# needed to ready nodes and pods. Nothing here waits for a person who thinks, reads or mistypes.
#
#   DISC   layout/ (images, an OCI layout) and files/ (programs)      KEY   the key that lets root in on every host
#   WORK   an empty folder                                            CP1 CP2 CP3 WORKER1 REGISTRY1   addresses
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$WORK"
exec </dev/null

declare -A address=([cp1]=$CP1 [cp2]=$CP2 [cp3]=$CP3 [worker1]=$WORKER1 [registry1]=$REGISTRY1)
planes=(cp1 cp2 cp3)
nodes=("${planes[@]}" worker1)
options=(-q -i "$KEY" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null)

said() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
on() { local host=$1; shift; ssh "${options[@]}" "root@${address[$host]}" "$@"; }
put() { local host=$1; shift; scp "${options[@]}" -r "$@" "root@${address[$host]}:/root/disc/"; }
jobs=()
beside() { "$@" & jobs+=($!); }
all() { local job; for job in "${jobs[@]}"; do wait "$job"; done; jobs=(); }

# Keys: an authority for etcd and one for the registry; those of Kubernetes itself are kubeadm's business.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
        -subj "/CN=$1" -keyout "$1-ca.key" -out "$1-ca.crt" 2>/dev/null
}
# AUTHORITY FILE SUBJECT ALTERNATIVES
leaf() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$3" -keyout "$2.key" -out "$2.csr" 2>/dev/null
    openssl x509 -req -in "$2.csr" -CA "$1-ca.crt" -CAkey "$1-ca.key" -CAcreateserial -days 3650 -out "$2.crt" 2>/dev/null \
        -extfile <(printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "$4")
}
authority registry
leaf registry registry /CN=registry1 "DNS:registry1,IP:$REGISTRY1"
authority etcd
leaf etcd client /CN=kube-apiserver-etcd-client DNS:client
for host in "${planes[@]}"; do
    leaf etcd "$host" "/CN=$host" "DNS:$host,DNS:localhost,IP:${address[$host]},IP:127.0.0.1"
done

# Passwords and tokens, and the files that all hosts share.
password=$(openssl rand -hex 16)
token=$(openssl rand -hex 3).$(openssl rand -hex 8)
certificate_key=$(openssl rand -hex 32)
perl -e 'print "pull:", crypt($ARGV[0], q($2b$05$) . substr($ARGV[1], 0, 22)), "\n"' "$password" "$(openssl rand -hex 16)" > htpasswd
login=$(printf 'pull:%s' "$password" | base64 -w0)
for host in cp1 cp2 cp3 worker1 registry1; do echo "${address[$host]} $host"; done > names
for upstream in registry.k8s.io docker.io; do
    mkdir -p "certs.d/$upstream"
    cat > "certs.d/$upstream/hosts.toml" <<TOML
server = "https://registry1:5000/v2/$upstream"
[host."https://registry1:5000/v2/$upstream"]
  capabilities = ["pull", "resolve"]
  override_path = true
  ca = "/etc/containerd/registry-ca.crt"
  [host."https://registry1:5000/v2/$upstream".header]
    authorization = "Basic $login"
TOML
done
{
    cat "$here/haproxy.cfg"
    for host in "${planes[@]}"; do echo "  server $host ${address[$host]}:6443"; done
} > haproxy.cfg
for i in "${!nodes[@]}"; do echo "10.244.$i.0/24 ${nodes[i]} ${address[${nodes[i]}]}"; done > pods
members=$(for host in "${planes[@]}"; do echo "$host=https://${address[$host]}:2380"; done | paste -sd,)
sed -e "s/@token@/$token/; s/@certificate_key@/$certificate_key/; s/@address@/$CP1/" "$here/kubeadm.yaml" > kubeadm.yaml
said "keys and files are made"

files=$DISC/files
registry() {
    on registry1 mkdir -p /root/disc
    put registry1 "$files/registry.tar.gz" registry.crt registry.key htpasswd names "$here/registry.sh"
    on registry1 bash /root/disc/registry.sh
    said "the registry is up"
    mkdir trusted
    cp registry-ca.crt trusted/ca.crt
    local name
    for name in $(jq -r '.manifests[] | select(.artifactType == null) | .annotations."org.opencontainers.image.ref.name"' "$DISC/layout/index.json"); do
        beside skopeo copy -q --preserve-digests --dest-cert-dir trusted --dest-creds "pull:$password" \
            "oci:$DISC/layout:$name" "docker://$REGISTRY1:5000/$name"
    done
    all
    said "the registry is filled"
}
node() {
    local host=$1
    on "$host" mkdir -p /root/disc
    put "$host" "$files"/{containerd.tar.gz,runc,cni-plugins.tgz,kubeadm,kubelet,kubectl} haproxy haproxy.cfg names pods certs.d \
        registry-ca.crt "$here/node.sh"
    on "$host" bash /root/disc/node.sh "$host"
    said "$host has its programs"
}
etcd() {
    local host=$1
    on "$host" mkdir -p /root/disc
    put "$host" "$files/etcd.tar.gz" etcd-ca.crt client.crt client.key "$host.crt" "$host.key" "$here/etcd.sh"
    on "$host" bash /root/disc/etcd.sh "$host" "${address[$host]}" "$members"
    said "$host has etcd"
}
# The balancer's files are the layers of its image, in their order.
balancer=$(jq -r '.manifests[].annotations."org.opencontainers.image.ref.name" | select(startswith("docker.io/library/haproxy:"))' "$DISC/layout/index.json")
skopeo copy -q "oci:$DISC/layout:$balancer" dir:image
mkdir haproxy
jq -r '.layers[].digest' image/manifest.json | cut -d: -f2 | cat -n | while read -r i layer; do cp "image/$layer" "haproxy/$i.tgz"; done

beside registry
for host in "${planes[@]}"; do beside etcd "$host"; done
for host in "${nodes[@]}"; do beside node "$host"; done
all

pull() {
    on "$1" kubeadm config images pull --config /root/disc/kubeadm.yaml >/dev/null
    said "$1 has its images"
}
worker_images() {
    on worker1 'for image in registry.k8s.io/{pause:3.10.1,kube-proxy:v1.34.4,coredns/coredns:v1.12.1} docker.io/{rancher/local-path-provisioner:v0.0.30,library/busybox:1.36}; do
        ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d $image >/dev/null & jobs="$jobs $!"
    done; for job in $jobs; do wait $job || exit 1; done'
    said "worker1 has its images"
}
for host in "${planes[@]}"; do put "$host" kubeadm.yaml "$here"/{cluster.sh,coredns.yaml,local-path.yaml}; done
beside worker_images
beside pull cp2
beside pull cp3
pull cp1
# The authority of etcd has no part in it: kubeadm hands its certificate and the client's pair on with the rest.
on cp1 kubeadm init --config /root/disc/kubeadm.yaml --upload-certs --skip-phases addon/coredns > init.log 2>&1 || { tail -n 40 init.log; exit 1; }
said "cp1 is a control plane"
all
pin=sha256:$(on cp1 cat /etc/kubernetes/pki/ca.crt | openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1)
join() {
    local host=$1; shift
    on "$host" kubeadm join api.hand:8443 --node-name "$host" --token "$token" --discovery-token-ca-cert-hash "$pin" "$@" \
        > "join-$host.log" 2>&1 || { tail -n 40 "join-$host.log"; exit 1; }
    said "$host has joined"
}
for host in cp2 cp3; do beside join "$host" --control-plane --certificate-key "$certificate_key" --apiserver-advertise-address "${address[$host]}"; done
beside join worker1
all
for host in "${planes[@]}"; do beside on "$host" systemctl start etcd-snapshot.service; done
on cp1 bash /root/disc/cluster.sh
all
said "all nodes and pods are ready"
