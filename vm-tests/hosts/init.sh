#!/bin/sh
# What runs before systemd on a host of the test bed.
# Writable controllers: a plain remount fails on a bind mount, and systemd wants its own tree in each.
for controller in /sys/fs/cgroup/*; do
    mountpoint -q "$controller" && mount -o remount,bind,rw "$controller"
done
# vm, fs, kernel and debug are the machine's: the host gets a copy it may write, so that nothing it sets leaks out.
# net is per network namespace, thus real. Values of /ferry-vm/sysctl stand in for what a fresh server has.
for group in vm fs kernel debug; do
    copy=/run/ferry-vm/sysctl/$group
    mkdir -p "$copy"
    (cd "/proc/sys/$group" && find . -type d -exec mkdir -p "$copy/{}" \; && find . -type f) | while read -r file; do
        cat "/proc/sys/$group/$file" > "$copy/$file" 2>/dev/null
    done
done
while read -r path value; do
    mkdir -p "$(dirname "/run/ferry-vm/sysctl/$path")"
    echo "$value" > "/run/ferry-vm/sysctl/$path"
done < /ferry-vm/sysctl
for group in vm fs kernel debug; do
    mount --bind "/run/ferry-vm/sysctl/$group" "/proc/sys/$group"
done
# The sysfs that is here was mounted from the machine's network namespace and shows its interfaces: show the host's.
mkdir -p /run/ferry-vm/sys
mount -t sysfs -o nosuid,nodev,noexec sysfs /run/ferry-vm/sys
for interfaces in class/net devices/virtual/net; do
    mount --bind "/run/ferry-vm/sys/$interfaces" "/sys/$interfaces"
done
mount --bind /dev/null /proc/sysrq-trigger
mount --make-rshared /
[ -e /dev/fuse ] || mknod /dev/fuse c 10 229
[ -e /dev/net/tun ] || { mkdir -p /dev/net; mknod /dev/net/tun c 10 200; }
exec /lib/systemd/systemd
