#!/bin/sh
# Everything of before.sh and later.sh as text: whatever of it is lost, or changed by a byte, changes a line.
export LC_ALL=C
find / /var /dev/shm /var/site/customer-mount -xdev \( -path /proc -o -path /sys -o -path /ferry-vm -o -path '/var/log/journal' \) -prune -o -path '*customer*' -print 2>/dev/null | sort -u |
while IFS= read -r path; do
    if [ -h "$path" ]; then sum=$(readlink "$path"); elif [ -f "$path" ]; then sum=$(sha256sum <"$path" | cut -c1-64); else sum=-; fi
    # The time of a folder is that of what was put into it, which may be ferry's.
    if [ -d "$path" ]; then format='%A %U:%G -'; else format='%A %U:%G %Y'; fi
    echo "file $path $(stat -c "$format" "$path") $sum"
done
for folder in /var/site /var/site/backup /home/customer; do echo "folder $folder $(stat -c '%A %U:%G' $folder 2>&1)"; done
# A line of theirs has to stand once, in the order that it had.
grep customer /etc/hosts | sed 's/^/hosts /'
getent passwd customer; getent shadow customer; getent group customer customers; id ops
for unit in customer.service customer.timer customer-container.service customer-later.service customer-space.service; do
    systemctl show $unit -p Id -p ActiveState -p UnitFileState -p MainPID -p ExecMainStartTimestampMonotonic | sort | tr '\n' ' '; echo
done
ip -o link show | grep -E ' (br-customer|dummy-customer|vethcustomer[0-9]|caliper-cust)[@:]' | sort
for link in br-customer dummy-customer; do ip -4 -o addr show dev $link; ip route show dev $link; done
ip route show table 77 2>&1; ip rule show | grep 'lookup 77'
ip netns list | grep -E 'customer|cni-c0570000' | sort; ip -n customer -4 -o addr show dev eth0 2>&1
nft list table inet customer 2>&1
iptables-save 2>/dev/null | grep -i customer | sed 's/\[[0-9]*:[0-9]*\]$//'
grep -c ' /var/site/customer-mount ' /proc/self/mounts
true
