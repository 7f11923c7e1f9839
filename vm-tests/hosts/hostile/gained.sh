#!/bin/sh
# What the hostile user has gained: a line each; nothing if he has gained nothing.
export LC_ALL=C
find /home/plain/caught -uid 0 2>/dev/null | sed 's/^/a program of his was run by root: /'
sha256sum </root/hostile-canary | cmp -s - /root/hostile-canary.sum || echo 'a file of root was written through a link of his: /root/hostile-canary'
[ "$(stat -c '%a %U' /root/hostile-canary 2>/dev/null)" = '600 root' ] || echo 'a file of root changed mode or owner through a link of his: /root/hostile-canary'
[ ! -e /etc/hostile-canary ] || echo 'a file was made through a link of his: /etc/hostile-canary'
# Folders that he has made, with something of root's in them, or with a mode that he has not given them.
for root in /tmp /var/tmp /dev/shm /run/lock /home/plain/work /home/plain/trap; do
    find "$root" -xdev -mindepth 1 -type d -user plain 2>/dev/null | while IFS= read -r folder; do
        find "$folder" -mindepth 1 -maxdepth 1 -user root -print 2>/dev/null | sed 's/^/root has put something into a folder of his: /'
        [ ! -e "$folder" ] || [ "$(stat -c %a "$folder")" = 777 ] || echo "root has changed a folder of his: $folder $(stat -c '%a %U' "$folder")"
    done
done
find /home/plain/trap -mindepth 1 -user root 2>/dev/null | sed 's/^/root has followed a link of his: /'
# Anything of his where he may not write, his text where only root writes, more programs with root's rights.
find / /var -xdev \( -path /proc -o -path /sys -o -path /home/plain -o -path /tmp -o -path /var/tmp -o -path /var/lib/containerd -o -path /run/lock \) -prune -o -user plain -print 2>/dev/null |
    grep -v '^/var/lib/systemd/linger' | sed 's/^/something of his stands where only root may write: /'
grep -rlsF hostile-canary-7f3a /etc /usr/local /opt /root /var/lib/ferry /var/lib/kubelet /var/lib/etcd 2>/dev/null | sed 's/^/his text stands where only root may write: /'
find / /var -xdev -type f -perm /6000 ! -path '/var/lib/containerd/*' ! -path '/home/plain/*' 2>/dev/null | sort | comm -13 /root/hostile-setuid - | sed 's/^/has rights of root now: /'
true
