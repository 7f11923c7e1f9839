# Looks at a host and changes nothing on it. Runs in any POSIX shell as root; every tool is optional.
#
# Output: the line `== ferry-facts 1`, then sections. `== NAME` begins one, every line of its content is prefixed with
# `|`, and `== end` says that all of it has arrived. What comes before the first line was said by the login shell.
# Arguments: folders about which to say whether they are there, what is in them, and how their filesystem is mounted.
LC_ALL=C; export LC_ALL
user_path=$PATH
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH; export PATH
said_umask=$(umask)
section() { printf '\n== %s\n' "$1"; }
p() { sed 's/^/|/'; }
have() { command -v "$1" >/dev/null 2>&1; }
if have timeout && timeout 1 true >/dev/null 2>&1; then limit() { timeout "$@"; }; limited=yes
else limit() { shift; "$@"; }; limited=no; fi
read_file() { [ -r "$1" ] && cat "$1" 2>/dev/null; }
# The first line of a file, in $v, without a process of its own: there are a hundred of these.
first() { v=; IFS= read -r v <"$1"; } 2>/dev/null
now() { n=$(date +%s%N 2>/dev/null); case $n in *[!0-9]*|'') echo "$(date +%s)000000000";; ??????????) echo "${n}000000000";; *) echo "$n";; esac; }

printf '\n== ferry-facts 1\n'
section clock.begin; now | p
section who; { echo "uid=$(id -u)"; echo "user=$(id -un)"; echo "umask=$said_umask"; echo "lang=${LANG:-}"; echo "tmout=${TMOUT:-}"
  echo "path=$user_path"; grep -hs '^[^#]*TMOUT=' /etc/profile /etc/bashrc /etc/bash.bashrc /etc/environment /etc/profile.d/* | head -n 3 | sed 's/^/tmout-file=/'
  grep -rhs '^[^#]*requiretty' /etc/sudoers /etc/sudoers.d | head -n 3 | sed 's/^/sudoers=/'; } | p
section uname; { uname -m; uname -r; uname -n; } | p
section os-release; { read_file /etc/os-release || read_file /usr/lib/os-release; } | p
section init; { echo "comm=$(cat /proc/1/comm 2>/dev/null)"; [ -d /run/systemd/system ] && echo booted=yes
  have systemctl && { echo "version=$(systemctl --version | head -n 1)"; echo "state=$(limit 2 systemctl is-system-running 2>/dev/null)"; }; } | p
section status; grep -E '^Cap|^Seccomp:|^NoNewPrivs' /proc/self/status | p
section cgroup; { [ -f /sys/fs/cgroup/cgroup.controllers ] && { echo v2; cat /sys/fs/cgroup/cgroup.controllers; }; true; } | p
section cgroups; read_file /proc/cgroups | p
section cmdline; read_file /proc/cmdline | p
section identity; { echo "hostname=$(hostname 2>/dev/null || uname -n)"; echo "static=$(read_file /etc/hostname | head -n 1)"
  echo "machine-id=$(read_file /etc/machine-id)"; echo "product-uuid=$(read_file /sys/class/dmi/id/product_uuid)"
  echo "product=$(read_file /sys/class/dmi/id/product_name)"; echo "vendor=$(read_file /sys/class/dmi/id/sys_vendor)"
  have systemd-detect-virt && echo "virtual=$(systemd-detect-virt 2>/dev/null)"
  if [ "$limited" = yes ]; then echo "fqdn=$(limit 1 hostname -f 2>/dev/null)"
    have getent && limit 1 getent ahosts "$(uname -n)" | sed 's/ .*//' | sort -u | sed 's/^/resolves=/'
    have getent && limit 1 getent ahosts "ferry-no-such-name-$$" | sed 's/ .*//' | sort -u | sed 's/^/wildcard=/'; fi; } | p
section links; for d in /sys/class/net/*; do [ -d "$d" ] || continue
  driver=; physical=no; [ -e "$d/device" ] && { physical=yes; driver=$(readlink "$d/device/driver" 2>/dev/null); }
  first "$d/address"; address=$v; first "$d/mtu"; mtu=$v; first "$d/operstate"
  echo "${d##*/} $address $mtu $v $physical ${driver##*/}"; done | p
section ip-links; { have ip && ip -o link show; } 2>/dev/null | p
section addresses; { have ip && { ip -o -4 addr show; ip -o -6 addr show; }; } 2>/dev/null | p
section routes4; { have ip && ip -4 route show table all; } 2>/dev/null | head -n 2000 | p
section routes6; { have ip && ip -6 route show table all; } 2>/dev/null | head -n 2000 | p
section proc-route; read_file /proc/net/route | head -n 200 | p
section resolv; { [ -e /etc/resolv.conf ] && echo there=yes; l=$(readlink -f /etc/resolv.conf 2>/dev/null); echo "target=$l"
  read_file /etc/resolv.conf | sed 's/^/line=/'; read_file /run/systemd/resolve/resolv.conf | sed 's/^/upstream=/'; } | p
section hosts; read_file /etc/hosts | grep -v '^[[:space:]]*#' | head -n 500 | p
section nsswitch; grep '^hosts:' /etc/nsswitch.conf 2>/dev/null | p
section cpus; { nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c '^processor' /proc/cpuinfo; } | p
section cpuinfo; grep -E -m 2 '^(flags|Features|model name)' /proc/cpuinfo | sort -u | p
section meminfo; grep -E '^(MemTotal|MemAvailable|SwapTotal):' /proc/meminfo | p
section swaps; read_file /proc/swaps | p
section mounts; grep -Ev ' (/var/lib/kubelet/pods|/run/containerd|/run/netns|/var/lib/docker/)' /proc/self/mountinfo | head -n 500 | p
ledger=; [ -s /var/lib/ferry/ledger ] && [ $# -gt 0 ] && ledger=$(sed 's/^[^ ]* //' /var/lib/ferry/ledger)
section paths; asked=; for path in / /tmp /run /etc/kubernetes /etc/cni/net.d /opt/cni/bin /var /var/lib /var/lib/etcd /var/lib/kubelet \
  /var/lib/containerd /var/lib/docker /var/lib/rancher /var/lib/k0s /var/lib/ferry "$@"; do
  kind=missing; entries=0; link=
  if [ -L "$path" ]; then kind=link; link=$(readlink -f "$path")
  elif [ -d "$path" ]; then kind=folder; elif [ -e "$path" ]; then kind=other; fi
  if [ -d "$path" ]; then if list=$(ls -A "$path" 2>/dev/null); then entries=$(printf '%s\n' "$list" | grep -vcxE '|lost\+found|\.ferry-data(\.part)?'); else entries=; fi; fi
  near=$path; while [ ! -e "$near" ]; do near=$(dirname "$near"); done
  echo "path=$path"; echo "kind=$kind"; echo "link=$link"; echo "entries=$entries"; echo "mode=$(stat -c %a "$near" 2>/dev/null)"
  up=$near; [ "$near" != "$path" ] || up=$(dirname "$near"); while [ "$up" != / ] && [ -n "$up" ]; do m=$(stat -L -c %a "$up" 2>/dev/null); case $m in *[1357]|'') ;; *) echo "closed=$up";; esac
    # Where others than root can change what lies at the path: a folder of somebody else, or one that all may write. The sticky bit
    # keeps them from each other's files, but not from a name that is not taken yet.
    o=$(stat -L -c '%u %a' "$up" 2>/dev/null); case $o in "0 "*[2367]) case ${o#0 } in [1357]???) [ "$up" != "${path%/*}" ] || echo "open=$up";; *) echo "open=$up";; esac;; "0 "*|'') ;; *) echo "open=$up";; esac; up=$(dirname "$up"); done
  [ "$near" = "$asked" ] || { asked=$near; df=$(limit 1 df -P -k "$near" 2>/dev/null | tail -n 1); dfi=$(limit 1 df -P -i "$near" 2>/dev/null | tail -n 1); }
  if [ -f "$path/.ferry-data" ] && [ ! -L "$path/.ferry-data" ]; then echo "data=$(head -c 600 "$path/.ferry-data" | head -n 5 | tr '\n' '|')"; fi
  [ -z "$ledger" ] || ! printf '%s\n' "$ledger" | grep -qxF -e "done folder:$path" || echo "ledger=yes"
  echo "df=$df"; echo "dfi=$dfi"
done | p
section xfs; if have xfs_info; then grep ' xfs ' /proc/mounts | while read -r _ at _; do echo "$at $(limit 1 xfs_info "$at" 2>/dev/null | grep -o 'ftype=[01]')"; done; fi | p
section time; { have timedatectl && limit 5 timedatectl show 2>/dev/null; have timedatectl && limit 1 timedatectl show-timesync 2>/dev/null | grep -E '^(ServerName|ServerAddress|SystemNTPServers|LinkNTPServers|FallbackNTPServers)='
  echo "localtime=$(readlink -f /etc/localtime 2>/dev/null)"; } | p
section chrony; { have chronyc && { limit 1 chronyc -n -c tracking; limit 1 chronyc -n -c sources; }; } 2>/dev/null | p
section ntpq; { have ntpq && limit 1 ntpq -pn; } 2>/dev/null | p
# One process for all of them; the kernel gives a setting to who reads it at once, and not to a shell that reads byte by byte.
section sysctls; (cd /proc/sys && grep -Hs '' net/ipv4/ip_forward net/ipv4/conf/all/forwarding net/ipv4/conf/default/forwarding net/ipv6/conf/all/forwarding net/ipv6/conf/all/disable_ipv6 \
  net/bridge/bridge-nf-call-iptables net/bridge/bridge-nf-call-ip6tables net/ipv4/conf/all/rp_filter net/ipv4/conf/default/rp_filter net/ipv4/conf/all/arp_filter \
  net/ipv4/conf/all/arp_ignore net/ipv4/ip_local_port_range net/ipv4/ip_local_reserved_ports net/netfilter/nf_conntrack_max fs/inotify/max_user_instances \
  fs/inotify/max_user_watches fs/file-max fs/may_detach_mounts kernel/pid_max kernel/panic kernel/panic_on_oops vm/max_map_count vm/overcommit_memory vm/panic_on_oom vm/swappiness \
  kernel/keys/root_maxkeys kernel/keys/root_maxbytes net/core/somaxconn user/max_user_namespaces) 2>/dev/null | sed 'h;s/:.*//;y,/,.,;G;s/\n[^:]*:/=/' | p
section modules; loaded=" $(cut -d' ' -f1 /proc/modules 2>/dev/null | tr '\n' ' ')"; release=$(uname -r); config=; [ -r /proc/config.gz ] && have zcat && config=$(zcat /proc/config.gz 2>/dev/null | grep -E '=[ym]$')
[ -z "$config" ] && [ -r "/boot/config-$release" ] && config=$(grep -E '=[ym]$' "/boot/config-$release")
for pair in overlay:OVERLAY_FS br_netfilter:BRIDGE_NETFILTER nf_conntrack:NF_CONNTRACK ip_tables:IP_NF_IPTABLES ip6_tables:IP6_NF_IPTABLES nf_tables:NF_TABLES nft_compat:NFT_COMPAT \
  vxlan:VXLAN ipip:NET_IPIP dummy:DUMMY ip_vs:IP_VS ip_vs_rr:IP_VS_RR xt_set:NETFILTER_XT_SET ip_set:IP_SET veth:VETH bridge:BRIDGE xt_conntrack:NETFILTER_XT_MATCH_CONNTRACK; do
  m=${pair%%:*}; c=${pair##*:}; state=missing
  case $loaded in *" $m "*) state=loaded;; esac
  if [ "$state" = loaded ] || [ -d "/sys/module/$m" ]; then state=loaded
  elif have modprobe && modprobe -n -q "$m" 2>/dev/null; then state=loadable
  elif [ -n "$config" ] && echo "$config" | grep -q "^CONFIG_$c=y"; then state=builtin
  elif [ -r "/lib/modules/$release/modules.builtin" ] && grep -q "/$m\.ko" "/lib/modules/$release/modules.builtin"; then state=builtin
  else case $m in
    overlay) grep -q overlay /proc/filesystems && state=builtin;;
    br_netfilter) [ -d /proc/sys/net/bridge ] && state=builtin;;
    nf_conntrack) [ -e /proc/sys/net/netfilter/nf_conntrack_max ] && state=builtin;;
    ip_tables) [ -e /proc/net/ip_tables_names ] && state=builtin;;
    esac; fi
  echo "$m=$state"; done | p
section binaries; for b in ip iptables ip6tables nft mount umount nsenter conntrack curl socat ethtool ebtables tc touch modprobe sysctl sha256sum flock systemctl systemd-run \
  tar gzip ipset ipvsadm mountpoint findmnt losetup cp mv ln stat sync crictl containerd runc dockerd podman kubelet kubeadm kubectl etcd getenforce restorecon semanage firewall-cmd ufw \
  apparmor_parser chronyc timedatectl rpm dpkg-query apt-get dnf yum iscsiadm multipath mount.nfs lvm sftp-server; do
  have "$b" && { printf '%s=' "$b"; command -v "$b"; }; done | p
section versions; { have iptables && echo "iptables=$(iptables -V 2>/dev/null)"; have containerd && echo "containerd=$(limit 1 containerd --version 2>/dev/null)"
  have runc && echo "runc=$(limit 1 runc --version 2>/dev/null | head -n 1)"; have dockerd && echo "dockerd=$(limit 1 dockerd --version 2>/dev/null)"
  have kubelet && echo "kubelet=$(limit 1 kubelet --version 2>/dev/null)"; } | p
section sockets; for f in tcp tcp6; do grep -E '^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:0000 0A ' /proc/net/$f 2>/dev/null | sed "s/^/$f /"; done | p
section sockets.udp; for f in udp udp6; do grep -E '^ *[0-9]+: [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:0000 07 ' /proc/net/$f 2>/dev/null | sed "s/^/$f /"; done | head -n 500 | p
section ss; { have ss && ss -Hlntup; } 2>/dev/null | head -n 500 | p
section services; { have systemctl && limit 2 systemctl list-units --type=service --state=running,activating,reloading --no-legend --plain --no-pager; } 2>/dev/null | sed 's/[[:space:]].*//' | p
section units; { have systemctl && limit 2 systemctl list-unit-files --no-legend --no-pager kubelet.service containerd.service docker.service crio.service etcd.service 'k3s*.service' 'rke2*.service' 'k0s*.service' haproxy.service keepalived.service unattended-upgrades.service apt-daily-upgrade.timer dnf-automatic.timer; } 2>/dev/null | p
section processes; cat /proc/[0-9]*/comm 2>/dev/null | sort -u | p
section firewall; { have firewall-cmd && { echo "firewalld=$(limit 5 firewall-cmd --state 2>&1 | head -n 1)"; echo "version=$(limit 5 firewall-cmd --version 2>/dev/null)"; echo "zone=$(limit 5 firewall-cmd --get-default-zone 2>/dev/null)"; limit 2 firewall-cmd --get-active-zones 2>/dev/null | sed 's/^/zones=/'; }
  have ufw && echo "ufw=$(limit 1 ufw status 2>/dev/null | head -n 1)"
  if have nft; then limit 1 nft list chains 2>/dev/null | grep -E 'table|policy' | head -n 100 | sed 's/^/nft=/'
  elif [ -s /proc/net/ip_tables_names ] && have iptables; then limit 1 iptables -w 1 -S 2>/dev/null | grep '^-P' | sed 's/^/iptables=/'; fi; } | p
section selinux; { if [ -r /sys/fs/selinux/enforce ]; then echo "enforce=$(cat /sys/fs/selinux/enforce)"; fi; have rpm && limit 2 rpm -q container-selinux 2>/dev/null | grep '^container-selinux' | sed 's/^/policy=/'; } | p
section apparmor; read_file /sys/module/apparmor/parameters/enabled | p
section locks; for f in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /var/cache/dnf/metadata_lock.pid; do
  i=$(stat -c %i "$f" 2>/dev/null) && grep -q ":$i " /proc/locks 2>/dev/null && echo "$f"; done | p
section reboot; { [ -e /run/reboot-required ] && echo "asked for by /run/reboot-required"; [ -e /var/run/reboot-required.pkgs ] && sort -u /var/run/reboot-required.pkgs | head -n 5; true; } | p
section proxies; { env | grep -iE '^(https?|no|all|ftp)_proxy='; grep -hisE '^(export +)?(https?|no|all)_proxy=' /etc/environment /etc/profile.d/*.sh | sed 's/^export *//'; } | sed 's#://[^/@]*@#://…@#' | sort -u | p
# By which login this runs: sudo and su hide it, so the processes above are asked.
login() { q=$$; while [ "${q:-0}" -gt 1 ]; do
  v=$(tr '\0' '\n' 2>/dev/null <"/proc/$q/environ" | sed -n "s/^$1=//p" | head -n 1); [ -n "$v" ] && [ "$v" != root ] && { echo "$v"; return; }
  q=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$q/status" 2>/dev/null); done; }
# As it applies to this very login: `Match` blocks ask for user and addresses.
section sshd; { c=$(command -v sshd) && { u=$(login LOGNAME); set -- $(login SSH_CONNECTION)
  { [ $# = 4 ] && limit 2 "$c" -T -C "user=${u:-root},host=$1,addr=$1,laddr=$3,lport=$4" 2>/dev/null || limit 2 "$c" -T 2>/dev/null; } |
    grep -iE '^(maxsessions|maxstartups|allowtcpforwarding|disableforwarding|permitopen|subsystem|permitrootlogin|passwordauthentication) '; }; true; } | p
section sshd-file; grep -hisE '^[[:space:]]*(maxsessions|maxstartups|allowtcpforwarding|disableforwarding|subsystem)[[:space:]]' /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf | p
section networkmanager; grep -rhs 'unmanaged-devices' /etc/NetworkManager /run/NetworkManager /usr/lib/NetworkManager/conf.d | head -n 20 | p
section ferry; [ -d /var/lib/ferry ] && ls -A /var/lib/ferry | head -n 50 | p
section ferry.install; read_file /var/lib/ferry/install | head -n 1 | p
section uptime; read_file /proc/uptime | p
section clock.end; now | p
printf '\n== end\n'
