#!/bin/sh
# The careless way: a predictable folder in /var/tmp by `mkdir -p`, and a predictable file in /tmp. He must win against it.
cd /
for i in 1 2 3 4 5 6; do
    f=/var/tmp/careless-folder
    mkdir -p $f && chmod 700 $f
    cp /bin/true $f/.part && chmod 700 $f/.part && mv -f $f/.part $f/ferry-probe
    sleep 0.5
    $f/ferry-probe clock </dev/null >/dev/null 2>&1
    sleep 0.2
    rm -rf $f
    sleep 1
done
for i in 1 2 3 4; do sh -c 'echo careless >/tmp/careless-note.$$; sleep 0.2; rm -f /tmp/careless-note.$$' 2>/dev/null; sleep 1.2; done
true
