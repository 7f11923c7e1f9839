#!/bin/sh
# The canaries, and the hostile user at work as `plain`. Standard input of nobody: $1 is the program.
set -eu
printf 'precious\n' >/root/hostile-canary; chmod 600 /root/hostile-canary
sha256sum </root/hostile-canary >/root/hostile-canary.sum
find / /var -xdev -type f -perm /6000 ! -path '/var/lib/containerd/*' 2>/dev/null | sort >/root/hostile-setuid
chmod 755 /home/plain/racer.pl; chown plain: /home/plain/racer.pl
systemd-run -q --unit=hostile -p User=plain -p WorkingDirectory=/home/plain /usr/bin/perl /home/plain/racer.pl /home/plain ferry-promote.1 ferry-probe
for i in $(seq 50); do [ -d /home/plain/work ] && exit 0; sleep 0.1; done
echo 'the racer does not run' >&2; journalctl -u hostile --no-pager -o cat >&2; exit 1
