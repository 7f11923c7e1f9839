# Links, routes and rules of kube-proxy, of the CNI plugins, of Calico and of flannel, as far as they are this cluster's. `$pods` is
# the range of pods, `$hosts` are the addresses of the site's hosts.
kind=$(cat /etc/ferry/network 2>/dev/null) || kind=
# A node without a note that has ferry's bridge was installed when there was no other kind.
[ -n "$kind" ] || [ ! -e /etc/cni/net.d/10-ferry.conflist ] || kind=host-routes
noted() { grep -qxF -e "$2" "$B/$1" 2>/dev/null; }
# The ends of pods' links, as the plugins of ferry's networks have recorded them.
named=$(cat /var/lib/cni/results/ferry-* /var/lib/cni/results/k8s-pod-network-* 2>/dev/null | grep -oE '"name": ?"(veth|cali)[0-9a-f]+"' | cut -d'"' -f4) || named=
is_named() { printf '%s\n' "$named" | grep -qxF -e "$1"; }
ours=
for link in $(ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
    ! noted links "$link" || continue
    case $kind:$link in
        host-routes:cni0|flannel:cni0|flannel:flannel.1|flannel:flannel-v6.1|calico:vxlan.calico|calico:vxlan-v6.calico|*:kube-ipvs0) ;;
        host-routes:veth*|flannel:veth*) is_named "$link" || ip -o link show dev "$link" 2>/dev/null | grep -q ' master cni0 ' || continue;;
        calico:cali???????????) is_named "$link" || [ -n "$(ip route show dev "$link" root $pods 2>/dev/null)" ] || continue;;
        *) continue;;
    esac
    ours="$ours $link"
done
services=
case " $ours " in *' kube-ipvs0 '*) services=$(ip -o addr show dev kube-ipvs0 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }');; esac
if [ -n "$services" ] && command -v ipvsadm >/dev/null 2>&1; then
    own=$(ip -o addr show 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }')
    ipvsadm -Sn 2>/dev/null | awk '$1 == "-A" { print $2, $3 }' | while read -r protocol at; do
        address=$(printf %s "${at%:*}" | tr -d '[]'); port=${at##*:}
        if printf '%s\n' "$services" | grep -qxF -e "$address"; then ipvsadm -D "$protocol" "$at" || :
        elif [ "$port" -ge 30000 ] && [ "$port" -le 32767 ] && printf '%s\n' "$own" | grep -qxF -e "$address"; then ipvsadm -D "$protocol" "$at" || :; fi
    done
fi
for link in $ours; do ip link del "$link" 2>/dev/null || :; done
if [ "$kind" = calico ] && ip link show tunl0 >/dev/null 2>&1 && ! noted links tunl0; then { ip addr flush dev tunl0; ip link set tunl0 down; } 2>/dev/null || :; fi
# Routes to pods of the site's other hosts, and Calico's own.
ip -o route show root $pods 2>/dev/null | awk -v hosts=" $hosts " '{ for (i = 1; i < NF; i++) if ($i == "via" && index(hosts, " " $(i + 1) " ")) print $1, $(i + 1) }' |
    while read -r to via; do ip route del "$to" via "$via" 2>/dev/null || :; done
if [ "$kind" = calico ]; then
    ip -o route show type blackhole root $pods 2>/dev/null | awk '/ proto (bird|80)( |$)/ { print $2 }' | while read -r to; do ip route del blackhole "$to" 2>/dev/null || :; done
fi
# From what a table holds to the commands that take out of it the cluster's chains, and the rules that lead to them. The rest is
# not even written again: what others change meanwhile is not lost.
rules() { awk -v kind="$kind" -v pods="$pods" -v stood="$B/chains" '
function target(line,  n, w, i) { gsub(/"([^"\\]|\\.)*"/, "_", line); n = split(line, w, " "); for (i = 1; i < n; i++) if (w[i] == "-j" || w[i] == "-g") return w[i + 1]; return "" }
function mine(c) { return c != "" && !(c in was) && (c ~ /^KUBE-[A-Z0-9-]+$/ || (kind == "calico" && c ~ /^cali-/) || (kind == "flannel" && c ~ /^FLANNEL-(POSTRTG|FWD)$/) || (table, c) in plugin || (c ~ /^CNI-HOSTPORT-(SETMARK|MASQ|DNAT)$/ && !(table in shared))) }
BEGIN { while ((getline line < stood) > 0) was[line] = 1 }
/^\*/ { table = substr($0, 2); tables[++t] = table; next }
/^:/ && $2 == "-" { chains[table, ++c[table]] = substr($1, 2); next }
/^-A / {
    list[table, ++r[table]] = $0
    to = target($0)
    if ($0 ~ /name: \\"(ferry|k8s-pod-network)\\"/) { if (to ~ /^CNI-/ && to !~ /^CNI-HOSTPORT-/) plugin[table, to] = 1 }
    else if ($2 == "CNI-HOSTPORT-DNAT") shared[table] = 1
}
END { for (k = 1; k <= t; k++) { table = tables[k]; flush = drop = cut = ""
    for (i = 1; i <= c[table]; i++) if (mine(chains[table, i])) { flush = flush "-F " chains[table, i] "\n"; drop = drop "-X " chains[table, i] "\n" }
    for (i = 1; i <= r[table]; i++) { line = list[table, i]; split(line, w, " ")
        if (mine(w[2])) continue
        if (mine(target(line)) || (kind == "calico" && line ~ /--comment "cali:/) || (kind == "flannel" && line ~ /--comment "flanneld (masq|forward)"/) \
            || (table == "nat" && line == "-A POSTROUTING -s " pods " -d " pods " -j ACCEPT")) cut = cut "-D" substr(line, 3) "\n" }
    if (flush cut != "") printf "*%s\n%s%s%sCOMMIT\n", table, flush, cut, drop
} }'; }
clean() { command -v "$1-save" >/dev/null 2>&1 && command -v "$1-restore" >/dev/null 2>&1 || return 0
    change=$("$1-save" 2>/dev/null | rules) || :
    [ -z "$change" ] || printf '%s\n' "$change" | "$1-restore" --noflush || echo "note: rules of the cluster stay in $1"; }
for family in iptables ip6tables; do clean $family-nft; clean $family-legacy; clean $family; done
! command -v ipset >/dev/null 2>&1 || for set in $(ipset list -n 2>/dev/null); do
    ! noted ipsets "$set" || continue
    case $kind:$set in *:KUBE-*|calico:cali4*|calico:cali6*) ipset destroy "$set" || :;; esac
done
if command -v nft >/dev/null 2>&1 && [ -e $B/nft-tables ]; then
    nft list tables | while read -r word family name; do
        ! noted nft-tables "$word $family $name" || continue
        case $family:$name in ip:kube-proxy|ip6:kube-proxy) nft delete table $family $name;;
            ip:nat|ip:filter|ip:mangle|ip:raw|ip6:nat|ip6:filter|ip6:mangle|ip6:raw)
                # One that the iptables programs made, and in which nothing is left but empty chains of the kernel's hooks, that accept.
                nft list table $family $name | grep -vqE '^(# Warning: table .*|table ip6? [a-z]+ \{|	chain (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) \{|		type [a-z]+ hook [a-z]+ priority [a-z0-9 +-]+; policy accept;|	\}|\}|[ 	]*)$' || nft delete table $family $name;;
        esac
    done
fi
