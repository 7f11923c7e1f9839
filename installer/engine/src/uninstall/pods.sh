# Ends every process of every pod of this host's kubelet, and what held them. Containers of other clusters and runtimes run on,
# also those that others run by ferry's containerd in a namespace of their own.
ctr() { timeout 60 /usr/local/bin/ctr "$@" 2>/dev/null; }
others() { for space in $(ctr namespaces ls -q); do [ "$space" = k8s.io ] || [ -z "$(ctr -n "$space" containers ls -q; ctr -n "$space" images ls -q)" ] || echo "$space"; done; }
systemctl stop kubelet.service 2>/dev/null || :
if systemctl is-active -q containerd.service 2>/dev/null; then others >$S/other-namespaces.part; mv -f $S/other-namespaces.part $S/other-namespaces; fi
systemctl stop containerd.service 2>/dev/null || :
slice=$(systemctl show -p ControlGroup kubepods.slice 2>/dev/null | sed 's/^ControlGroup=//') || :
slice=${slice:-/kubepods.slice}
# The same path in each hierarchy, and none that ends alike: a cluster in a container has its own `kubepods.slice`.
groups() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then set -- "/sys/fs/cgroup$slice"; else set -- /sys/fs/cgroup/*"$slice"; fi
    for one in "$@"; do [ ! -d "$one" ] || echo "$one"; done
}
pods() { groups | while read -r one; do find "$one" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -u; }
shims() { for p in /proc/[0-9]*; do case $(readlink "$p/exe" 2>/dev/null) in /usr/local/bin/containerd-shim-runc-v2*)
    ! tr '\0' ' ' 2>/dev/null <"$p/cmdline" | grep -q -e ' -namespace k8s.io ' || echo "${p#/proc/}";; esac; done; }
for i in 1 2 3 4 5 6 7 8 9 10; do
    all="$(pods) $(shims)"; [ -n "${all# }" ] || break
    kill -KILL $all 2>/dev/null || :
    sleep 1
done
[ -z "$(pods)$(shims)" ] || { echo 'processes of pods do not end' >&2; exit 1; }
# A network namespace is a pod's if it has a name as containerd gives them, came since ferry, nobody else's record names it, and
# nothing runs in it.
foreign() { for record in /var/lib/cni/results/*; do case ${record##*/} in ferry-*|k8s-pod-network-*) ;; *) ! grep -qF -e "$1" "$record" 2>/dev/null || return 0;; esac; done; return 1; }
spaces() { for one in /run/netns/cni-????????-????-????-????-????????????; do [ ! -e "$one" ] || f_stood "$one" || foreign "${one##*/}" || [ -n "$(ip netns pids "${one##*/}" 2>/dev/null)" ] || echo "$one"; done; }
spaces=$(spaces)
for i in 1 2 3; do
    { f_mounts | grep -E '^(/var/lib/kubelet/|/run/containerd/io\.containerd\.runtime\.v2\.task/k8s\.io/|/run/containerd/io\.containerd\.grpc\.v1\.cri/|/var/lib/containerd/tmpmounts/)' || :
      for one in $spaces; do f_mounts | grep -xF -e "$one" -e "/var$one" || :; done; } | sort -r |
        while read -r at; do
            # What was mounted before ferry came, or is mounted at every boot, is the site's.
            if grep -qxF -e "$at" $B/mounts 2>/dev/null || awk -v at="$at" '$1 !~ /^#/ && $2 == at { f = 1 } END { exit !f }' /etc/fstab 2>/dev/null; then continue; fi
            umount "$(printf '%b' "$at")" 2>/dev/null || umount -l "$(printf '%b' "$at")" || :
        done
done
for one in $spaces; do rm -f -- "$one"; done
systemctl stop kubepods.slice 2>/dev/null || :
groups | while read -r one; do find "$one" -depth -type d -exec rmdir {} + 2>/dev/null || :; done
if [ -s $S/other-namespaces ]; then
    echo "note: containers of others in ferry's containerd run on (namespaces $(tr '\n' ' ' <$S/other-namespaces)); /var/lib/containerd and /run/containerd stay"
fi
