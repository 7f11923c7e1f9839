#!/bin/bash
# The registry: TLS, one account.
set -euo pipefail
cd /root/disc
hostname registry1
echo registry1 > /etc/hostname
cat names >> /etc/hosts
tar -xzf registry.tar.gz -C /usr/local/bin
useradd --system --user-group --no-create-home --home-dir /var/lib/registry --shell /usr/sbin/nologin registry
install -d -m 750 -o registry -g registry /var/lib/registry
install -d -m 750 -g registry /etc/registry
install -m 640 -g registry registry.crt registry.key htpasswd /etc/registry/
cat > /etc/registry/config.yml <<'YAML'
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
auth:
  htpasswd: {realm: registry, path: /etc/registry/htpasswd}
http:
  addr: ":5000"
  tls: {certificate: /etc/registry/registry.crt, key: /etc/registry/registry.key, minimumtls: tls1.2}
YAML
cat > /etc/systemd/system/registry.service <<'UNIT'
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
User=registry
ExecStart=/usr/local/bin/registry serve /etc/registry/config.yml
Environment=OTEL_TRACES_EXPORTER=none
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable -q --now registry.service
for i in $(seq 60); do ss -Hltn 'sport = :5000' | grep -q . && exit 0; sleep 0.5; done
journalctl -u registry -n 20 --no-pager >&2
exit 1
