#!/bin/sh
# The application's image as its maker's build leaves it: a tar of `docker save`, of which one layer can hardly be compressed.
# $1 the tar, $2 its reference, $3 the version, $4 a static busybox, $5 three megabytes of noise.
set -eu
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin" "$work/root/tmp"
cp "$4" "$work/root/bin/busybox"; chmod 755 "$work/root/bin/busybox"
for name in sh sleep cat ls; do ln -s busybox "$work/root/bin/$name"; done
tars() { tar --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -C "$1" -cf "$2" .; }
tars "$work/root" "$work/base.tar"
# Of two versions three bytes in the middle differ.
mkdir -p "$work/model/opt"
{ head -c 1500000 "$5"; printf '%s' "$3"; tail -c +1500004 "$5"; } >"$work/model/opt/model.bin"
tars "$work/model" "$work/model.tar"
sum() { sha256sum <"$1" | cut -c1-64; }
base=$(sum "$work/base.tar"); model=$(sum "$work/model.tar")
printf '{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{"Cmd":["sleep","1000000"],"Labels":{"version":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' "$3" "$base" "$model" >"$work/config"
config=$(sum "$work/config")
mkdir -p "$work/out/$base" "$work/out/$model"
mv "$work/base.tar" "$work/out/$base/layer.tar"; mv "$work/model.tar" "$work/out/$model/layer.tar"
mv "$work/config" "$work/out/$config.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar","%s/layer.tar"]}]' "$config" "$2" "$base" "$model" >"$work/out/manifest.json"
tars "$work/out" "$1"
