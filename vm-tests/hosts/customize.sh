#!/bin/sh
# Turns a fresh Debian tree ($1) into what every host boots from. $2 is the kernel's version.
set -eu
tree=$1 kernel=$2

# People. root and ops come by key (put there when a host is made), pw also by password, plain may become nobody.
for user in ops pw plain; do
    chroot "$tree" useradd --create-home --shell /bin/bash "$user"
done
printf 'pw:%s\n' "$FERRY_VM_PASSWORD" | chroot "$tree" chpasswd
printf 'ops ALL=(ALL:ALL) NOPASSWD: ALL\n' > "$tree/etc/sudoers.d/ops"
printf 'pw ALL=(ALL:ALL) ALL\n' > "$tree/etc/sudoers.d/pw"
chmod 0440 "$tree/etc/sudoers.d/ops" "$tree/etc/sudoers.d/pw"
cat > "$tree/etc/ssh/sshd_config.d/ferry-vm.conf" <<'SSHD'
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication yes
UsePAM yes
UseDNS no
SSHD
# Each host gets keys of its own.
rm -f "$tree"/etc/ssh/ssh_host_*

# Other languages, for what they do to parsers.
printf 'C.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\nde_DE.UTF-8 UTF-8\nzh_CN.UTF-8 UTF-8\n' > "$tree/etc/locale.gen"
chroot "$tree" locale-gen >/dev/null 2>&1

# Units that make no sense in a container, and timers that would wake up in the middle of a test.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
    getty.target console-getty.service systemd-modules-load.service systemd-networkd-wait-online.service \
    proc-sys-fs-binfmt_misc.automount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount systemd-binfmt.service \
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer; do
    ln -sf /dev/null "$tree/etc/systemd/system/$unit"
done
# There, but off until a test wants them.
chroot "$tree" systemctl disable -q chrony.service firewalld.service
# The clock is the machine's: chronyd follows its sources without setting anything.
mkdir -p "$tree/etc/systemd/system/chrony.service.d"
printf '[Unit]\nConditionCapability=\n[Service]\nExecStart=\nExecStart=!/usr/sbin/chronyd -x $DAEMON_OPTS\n' > "$tree/etc/systemd/system/chrony.service.d/ferry-vm.conf"
ln -sf /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"

# Nothing that a first boot should make itself, and no nameserver: a true air gap.
: > "$tree/etc/machine-id"
rm -f "$tree/var/lib/dbus/machine-id" "$tree/etc/resolv.conf"
: > "$tree/etc/resolv.conf"
: > "$tree/etc/fstab"
rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*

# What Kubernetes asks modprobe for may be built into this kernel: tell kmod so, where its symbols show it.
modules="$tree/lib/modules/$kernel"
mkdir -p "$modules"
for list in modules.order modules.builtin modules.builtin.modinfo; do : > "$modules/$list"; done
while read -r path symbol; do
    if grep -q " $symbol\$" /proc/kallsyms || [ -e "/sys/module/${path##*/}" ]; then
        echo "kernel/$path.ko" >> "$modules/modules.builtin"
    fi
done <<'MODULES'
fs/overlayfs/overlay ovl_init
fs/fuse/fuse fuse_init
net/bridge/bridge br_init
net/bridge/br_netfilter br_netfilter_init
net/netfilter/nf_conntrack nf_conntrack_standalone_init
net/netfilter/nf_nat nf_nat_init
net/netfilter/nf_tables nf_tables_module_init
net/netfilter/nft_compat nft_compat_module_init
net/netfilter/x_tables xt_init
net/netfilter/ipset/ip_set ip_set_init
net/netfilter/ipvs/ip_vs ip_vs_init
net/ipv4/netfilter/ip_tables ip_tables_init
net/ipv4/netfilter/iptable_nat iptable_nat_init
net/ipv4/netfilter/iptable_filter iptable_filter_init
net/ipv4/ipip ipip_init
drivers/net/dummy dummy_init_module
drivers/net/vxlan/vxlan vxlan_init_module
drivers/net/veth veth_init
drivers/net/tun tun_init
drivers/block/loop loop_init
MODULES
chroot "$tree" depmod -a "$kernel"
