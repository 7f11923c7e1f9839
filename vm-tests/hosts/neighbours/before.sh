#!/bin/sh
# What other people have on the host before ferry comes. Every path that is theirs has `customer` in it: list.sh looks
# for that, and for the links, rules, users, units and mounts made here.
set -eu
put() { mkdir -p "${1%/*}"; printf '%s\n' "${2:-of the customer}" >"$1"; }

# Beside the data folders that the site file names: in their parents, and folders with the names of runtimes.
mkdir -p /var/site/backup; chmod 751 /var/site; chmod 705 /var/site/backup
put /var/site/customer.db; put /var/site/customer/ledger.txt; put /var/site/backup/customer.tar
put /var/site/etcd-customer/member/snap/db; put /var/backups/customer.sql; put /var/backups/ferry-customer/dump
for folder in /var/lib/docker/overlay2 /var/lib/containers/storage /var/lib/etcd /var/lib/registry /var/lib/customer; do
    put "$folder/customer/layer/file"; chmod 700 "$folder/customer"
done

# Where kubelet, containerd and the CNI plugins keep theirs (not /var/log/pods: the kubelet itself removes what no pod of its own has there).
put /etc/cni/net.d/87-customer-bridge.conflist '{"cniVersion":"1.0.0","name":"customer","plugins":[{"type":"bridge","bridge":"br-customer"}]}'
put /opt/cni/bin/customer-plugin '#!/bin/sh'; chmod 755 /opt/cni/bin/customer-plugin
put /var/lib/containerd/customer/snapshots/1/file; put /var/lib/kubelet/customer/state.json '{}'
put /var/lib/cni/customer.json '{}'; put /var/log/containers/customer.log
put /usr/libexec/kubernetes/kubelet-plugins/volume/exec/customer~flex/flex '#!/bin/sh'
put /etc/containerd/customer.toml; put /etc/containerd/certs.d/registry.customer.example/hosts.toml
put /etc/kubernetes/customer-notes.txt; put /etc/kubernetes/pki/customer-ca.crt; put /root/.kube/customer-config

# In folders that everybody writes to.
for folder in /etc/sysctl.d /etc/modules-load.d /etc/systemd/journald.conf.d /etc/systemd/logind.conf.d /etc/chrony/conf.d; do
    put "$folder/50-customer.conf" '# of the customer'
done
put /etc/cron.d/customer '# of the customer'; put /etc/profile.d/customer.sh '# of the customer'
put /etc/security/limits.d/customer.conf '# of the customer'; put /etc/logrotate.d/customer '# of the customer'
put /usr/local/bin/customer-tool '#!/bin/sh'; chmod 4750 /usr/local/bin/customer-tool
put /usr/local/lib/customer/lib.so; put /opt/customer/app.conf; ln -s ../opt/customer /etc/customer-link
put /tmp/customer/work; put /var/tmp/customer/work; put /dev/shm/customer; put /home/ops/customer/file
printf '198.51.100.7 printer.customer printer\n' >>/etc/hosts

# People, a unit that runs, a timer, what somebody wants of units that ferry brings.
useradd --create-home --comment 'of the customer' customer
groupadd customers; usermod -aG customers ops
printf '[Unit]\nDescription=of the customer\n[Service]\nExecStart=/usr/bin/env sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >/etc/systemd/system/customer.service
printf '[Timer]\nOnCalendar=2099-01-01\n[Install]\nWantedBy=timers.target\n' >/etc/systemd/system/customer.timer
put /etc/systemd/system/containerd.service.d/50-customer.conf '[Service]
Environment=CUSTOMER=1'
systemctl daemon-reload; systemctl enable -q --now customer.service customer.timer

# Links, a network namespace with a process in it as container runtimes have them, routes, rules.
ip link add br-customer type bridge; ip addr add 203.0.113.1/24 dev br-customer; ip link set br-customer up
ip link add dummy-customer type bridge; ip addr add 198.51.100.1/24 dev dummy-customer; ip link set dummy-customer up
ip link add vethcustomer0 type veth peer name vethcustomer1; ip link set vethcustomer0 master br-customer up; ip link set vethcustomer1 up
ip netns add customer
ip link add vethcustomer2 type veth peer name eth0 netns customer; ip link set vethcustomer2 master br-customer up
ip -n customer addr add 203.0.113.2/24 dev eth0; ip -n customer link set eth0 up
printf '[Service]\nExecStart=/usr/bin/env ip netns exec customer sleep infinity\n' >/etc/systemd/system/customer-container.service
systemctl daemon-reload; systemctl start customer-container.service
ip route add 198.51.100.128/25 dev dummy-customer table 77; ip rule add pref 777 from 198.51.100.0/24 lookup 77
nft 'table inet customer { set s { type ipv4_addr; elements = { 192.0.2.7 }; }; chain c { type filter hook input priority 10; policy accept; ip saddr @s accept; }; }'
iptables -N CUSTOMER; iptables -A CUSTOMER -s 192.0.2.9/32 -m comment --comment 'customer: in the place of KUBE-PROXY and cali-x' -j ACCEPT
iptables -A INPUT -d 203.0.113.1/32 -m comment --comment customer -j CUSTOMER
iptables -t nat -N CUSTOMER-NAT; iptables -t nat -A CUSTOMER-NAT -j RETURN
iptables -t nat -A POSTROUTING -s 203.0.113.0/24 -m comment --comment customer -j MASQUERADE
iptables -t nat -A POSTROUTING -d 192.0.2.0/24 -m comment --comment customer -j CUSTOMER-NAT
mkdir -p /var/site/customer-mount; mount -t tmpfs -o size=1m,mode=0711 customer /var/site/customer-mount; put /var/site/customer-mount/file
