//! What programs of the cluster have made that no ledger names: processes of pods, mounts, links, rules, data.
//!
//! Each sweep belongs to a unit of ferry's: where ferry has not brought that unit, its sweep is left out. Data folders are
//! emptied only when nothing is mounted below, so that a volume that a pod still holds is never emptied with them.

use super::{Options, Record};
use crate::host::quote;
use crate::rounds::Task;
use crate::site::Site;
use crate::site::file::StorageKind;
use crate::step::{MADE, SHARED};

/// `f_clear FOLDER…`: their content goes, and they themselves unless they stood before or something is mounted on them.
const CLEAR: &str = r#"set -eu
f_clear() { for folder in "$@"; do
    [ -d "$folder" ] || continue
    if awk -v d="$folder/" 'index($5, d) == 1 { f = 1 } END { exit !f }' /proc/self/mountinfo; then
        echo "$folder: something is still mounted below; see \`findmnt\`, end what uses it, and run this again" >&2; exit 1
    fi
    find "$folder/" -xdev -mindepth 1 -delete
    awk -v d="$folder/." '$3 == d { print $1, $2 }' /var/lib/ferry/before/modes 2>/dev/null | while read -r mode owner; do chown "$owner" "$folder/."; chmod "$mode" "$folder/."; done
    if [ -L "$folder" ] || grep -qxF "$folder" /var/lib/ferry/before/folders 2>/dev/null || awk -v d="$folder" '$5 == d { f = 1 } END { exit !f }' /proc/self/mountinfo; then continue; fi
    rmdir "$folder"
done; }
"#;

/// Ends every process of every pod, and what held them.
const PODS: &str = r#"systemctl stop kubelet.service 2>/dev/null || :
systemctl stop containerd.service 2>/dev/null || :
pods() { find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u; }
shims() { for p in /proc/[0-9]*; do case $(readlink "$p/exe" 2>/dev/null) in /usr/local/bin/containerd-shim-runc-v2*) echo "${p#/proc/}";; esac; done; }
for i in 1 2 3 4 5 6 7 8 9 10; do
    all="$(pods) $(shims)"; [ -n "${all# }" ] || break
    kill -KILL $all 2>/dev/null || :
    sleep 1
done
[ -z "$(pods)$(shims)" ] || { echo 'processes of pods do not end' >&2; exit 1; }
for i in 1 2 3; do
    awk '{ print $5 }' /proc/self/mountinfo | grep -E '^(/var/lib/kubelet/|/run/containerd/|/var/lib/containerd/|/run/netns/cni-|/var/run/netns/cni-)' | sort -r |
        while read -r at; do umount "$(printf '%b' "$at")" 2>/dev/null || umount -l "$(printf '%b' "$at")" || :; done
done
rm -f /run/netns/cni-*
systemctl stop kubepods.slice 2>/dev/null || :
find /sys/fs/cgroup -depth -type d -path '*kubepods*' -exec rmdir {} + 2>/dev/null || :
"#;

/// Links and rules of kube-proxy, the CNI plugins, Calico and flannel. `$pods` is the range of pods.
const NETWORK: &str = r#"for link in $(ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
    grep -qxF "$link" /var/lib/ferry/before/links 2>/dev/null && continue
    case $link in cni0|flannel.1|flannel-v6.1|vxlan.calico|vxlan-v6.calico|kube-ipvs0|cali*|veth*) ip link del "$link" 2>/dev/null || :;; esac
done
! ip link show tunl0 >/dev/null 2>&1 || grep -qxF tunl0 /var/lib/ferry/before/links 2>/dev/null || { ip addr flush dev tunl0; ip link set tunl0 down; } 2>/dev/null || :
ip route flush root $pods 2>/dev/null || :
ours="KUBE-|CNI-|cali-|FLANNEL-|flanneld|-s $pods -d $pods -j ACCEPT"
clean() { command -v "$1-save" >/dev/null 2>&1 && command -v "$1-restore" >/dev/null 2>&1 || return 0
    if "$1-save" 2>/dev/null | grep -qE -e "$ours"; then "$1-save" -c 2>/dev/null | grep -vE -e "$ours" | "$1-restore" -c; fi; }
for family in iptables ip6tables; do clean $family-nft; clean $family-legacy; clean $family; done
! command -v ipvsadm >/dev/null 2>&1 || { ipvsadm -Ln 2>/dev/null | grep -q '^[TU]' && ipvsadm -C; } || :
! command -v ipset >/dev/null 2>&1 || for set in $(ipset list -n 2>/dev/null | grep -E '^(KUBE-|cali)'); do ipset destroy "$set" || :; done
if command -v nft >/dev/null 2>&1 && [ -e /var/lib/ferry/before/nft-tables ]; then
    nft list tables | while read -r word family name; do
        grep -qxF "$word $family $name" /var/lib/ferry/before/nft-tables && continue
        case $family:$name in ip:kube-proxy|ip6:kube-proxy) nft delete table $family $name;;
            ip:nat|ip:filter|ip:mangle|ip:raw|ip6:nat|ip6:filter|ip6:mangle|ip6:raw)
                # One that the iptables programs made, and in which nothing is left but empty chains of the kernel's hooks.
                if ! nft list table $family $name | grep -qE 'jump |counter|accept *$|drop *$|goto ' && [ -z "$(nft list table $family $name | sed -n 's/^\tchain \([^ ]*\) .*/\1/p' | grep -vxE 'PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING')" ]; then nft delete table $family $name; fi;;
        esac
    done
fi
"#;

/// The sweeps of a host, in order.
pub(super) fn tasks(site: &Site, host: &str, record: &Record, options: Options) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut sweep = |name: &str, title: &str, script: String| {
        tasks.push(Task::new(&format!("uninstall.{name}"), host, title, script).within(300).owed());
    };
    let node = record.has("unit:kubelet.service");
    if node || record.has("unit:containerd.service") {
        sweep("pods", "pods, containers, and their mounts", format!("set -u\n{PODS}"));
        let pods = quote(&site.kubernetes.pod_cidr.value.to_string());
        sweep(
            "network",
            "links and rules of the pod network and kube-proxy",
            format!("set -u\npods={pods}\n{NETWORK}"),
        );
        let made = MADE.map(quote).join(" ");
        // The kubelet tells logind to wait for it at shutdown.
        let logind = "if [ -e /etc/systemd/logind.conf.d/99-kubelet.conf ]; then rm -f /etc/systemd/logind.conf.d/99-kubelet.conf; systemctl kill -s HUP systemd-logind.service 2>/dev/null || :; fi";
        let shared = SHARED.join(" ");
        let script = format!(
            "{CLEAR}f_clear {made}\n{logind}\nfor folder in {shared}; do [ ! -d $folder ] || grep -qxF $folder /var/lib/ferry/before/folders || rmdir $folder 2>/dev/null || :; done"
        );
        sweep("runtime", "what kubelet and containerd have stored", script);
    }
    if node {
        // Placed by kubeadm and by the installers of Calico and flannel; what ferry placed there is in the ledger.
        let script = format!(
            "{CLEAR}cd /etc/kubernetes 2>/dev/null || exit 0\nrm -f ./*.conf .ferry-part-*\nf_clear /etc/kubernetes/manifests /etc/kubernetes/tmp\n\
             rm -f pki/apiserver.* pki/apiserver-kubelet-client.* pki/front-proxy-client.* pki/ca.crt.old\n\
             rm -f /etc/cni/net.d/10-calico.conflist /etc/cni/net.d/calico-kubeconfig /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/.kubernetes-cni-keep\n\
             rm -f /opt/cni/bin/calico /opt/cni/bin/calico-ipam /opt/cni/bin/flannel"
        );
        sweep("kubeadm", "what kubeadm has written", script);
    }
    if record.has("unit:etcd.service") {
        let data = quote(&site.etcd.data_dir);
        let script = format!(
            "systemctl stop etcd.service 2>/dev/null || :\nset -eu\n[ ! -d {data} ] || find {data}/ -xdev -mindepth 1 -delete"
        );
        sweep("etcd", "etcd's data", script);
    }
    if record.has("unit:ferry-registry.service") {
        let data = quote(&site.registry.data_dir);
        let script = format!(
            "systemctl stop ferry-registry.service ferry-registry-push.service 2>/dev/null || :\nset -eu\n[ ! -d {data} ] || find {data}/ -xdev -mindepth 1 -delete"
        );
        sweep("registry", "the registry's content", script);
    }
    let mut kept = Vec::new();
    if record.has("unit:etcd.service") {
        kept.push(site.etcd.snapshot_dir.as_str());
    }
    if node && site.storage.kind == StorageKind::LocalPath {
        kept.push(site.storage.path.as_str());
    }
    if !kept.is_empty() {
        let list = kept.iter().map(|path| quote(path)).collect::<Vec<_>>().join(" ");
        if options.wipe_data {
            sweep("data", "snapshots of etcd and the content of volumes", format!("{CLEAR}f_clear {list}"));
        } else {
            let script = format!(
                "for folder in {list}; do [ -z \"$(ls -A $folder 2>/dev/null)\" ] || echo \"note: $folder stays, with what is in it\"; done"
            );
            sweep("data", "snapshots of etcd and volumes stay", script);
        }
    }
    tasks
}
