//! What stands on a host before ferry: kernel settings, folders and packet filter tables that programs of the cluster change
//! by themselves, not by an action. Noted once, so that an uninstall can tell theirs from the site's.

use crate::action::{Action, Run, Subject};
use crate::preflight::wanted_sysctls;
use crate::site::Site;

/// Settings that the kubelet, kube-proxy and CNI plugins write by themselves, beside those that ferry wants
/// (`pkg/kubelet/cm/container_manager_linux.go`, `cmd/kube-proxy/app/conntrack.go`, `pkg/proxy/iptables/proxier.go`).
const WRITTEN: [&str; 17] = [
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv6.conf.all.forwarding",
    "net.bridge.bridge-nf-call-iptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.ipv4.vs.conntrack",
    "net.ipv4.vs.conn_reuse_mode",
];

/// Folders in which those programs store what is theirs alone. An uninstall clears them of what came since ferry did: a site
/// may have made one before, for a disk of its own, or have something in it.
pub(crate) const MADE: [&str; 11] = [
    "/var/lib/kubelet",
    CONTAINERD[0],
    "/var/lib/cni",
    "/var/lib/calico",
    "/var/log/pods",
    "/var/log/containers",
    "/var/log/calico",
    CONTAINERD[1],
    "/run/flannel",
    "/run/calico",
    "/var/run/calico",
];

/// Where containerd keeps the containers of all that use it.
pub(crate) const CONTAINERD: [&str; 2] = ["/var/lib/containerd", "/run/containerd"];

/// Folders that those programs make and leave empty, for others to put something in: they go if nobody has.
pub(crate) const HOLLOW: [&str; 13] = [
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/nodeagent~uds",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
    "/opt/containerd/bin",
    "/opt/containerd/lib",
    "/opt/containerd",
    "/opt/nri/plugins",
    "/opt/nri",
    "/etc/nri/conf.d",
    "/etc/nri",
    "/root/.kube/cache",
];

/// Folders in which those programs put something that is not all there is in them.
pub(crate) const SHARED: [&str; 9] = [
    "/root/.kube",
    "/etc/systemd/logind.conf.d",
    "/etc/kubernetes",
    "/etc/kubernetes/manifests",
    "/etc/kubernetes/tmp",
    "/etc/kubernetes/pki",
    "/etc/cni/net.d",
    "/opt/cni/bin",
    "/run/netns",
];

/// The action that notes it; before anything else is changed, but for modules, whose settings would else not be there.
pub(super) fn note(site: &Site) -> Action {
    let wanted = wanted_sysctls(site);
    let mut names: Vec<&str> = wanted.iter().map(|one| one.name).chain(WRITTEN).collect();
    names.sort_unstable();
    names.dedup();
    let folders = MADE.iter().chain(&HOLLOW).chain(&SHARED).copied().collect::<Vec<_>>().join(" ");
    let names = names.join(" ");
    let command = format!(
        "B=/var/lib/ferry/before\n\
         for name in {names}; do value=$(sysctl -n $name 2>/dev/null) && printf '%s %s\\n' $name \"$value\"; done >$B/sysctls || :\n\
         for folder in {folders}; do [ ! -d $folder ] || {{ echo $folder; stat -c '%a %u:%g %n' $folder/. >&3; ls -A $folder/ | sed \"s|^|$folder/|\" >&4; }}; done >$B/folders 3>$B/modes 4>$B/entries\n\
         nft list tables >$B/nft-tables 2>/dev/null || :\n\
         for one in iptables-nft iptables-legacy iptables ip6tables-nft ip6tables-legacy ip6tables; do ! command -v $one-save >/dev/null 2>&1 || $one-save 2>/dev/null | sed -n 's/^:\\([^ ]*\\) - .*/\\1/p'; done >$B/chains || :\n\
         ! command -v ipset >/dev/null 2>&1 || ipset list -n >$B/ipsets 2>/dev/null || :\n\
         awk '{{ print $5 }}' /proc/self/mountinfo >$B/mounts\n\
         ip -o link show | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' >$B/links\n\
         sync; : >$B/noted"
    );
    // Only what is no longer as it was is written: a setting can refuse even its own value.
    let undo = "while read -r name value; do [ \"$(sysctl -n $name 2>/dev/null)\" = \"$value\" ] || sysctl -q -w \"$name=$value\" || echo \"note: $name can't be set back to $value\"; done </var/lib/ferry/before/sysctls";
    let run = Run::unless(
        "what stands here before ferry is noted",
        Subject::Other,
        "[ -e /var/lib/ferry/before/noted ]",
        command,
    );
    Action::Run(run.undone_by(undo))
}
