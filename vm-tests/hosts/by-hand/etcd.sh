#!/bin/bash
# A member of etcd with keys, and snapshots on a timer. $1 name, $2 address, $3 all members as etcd wants them.
set -euo pipefail
cd /root/disc
name=$1 address=$2 members=$3
id etcd >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir /var/lib/etcd --shell /usr/sbin/nologin etcd
tar -xzf etcd.tar.gz --strip-components=1 -C /usr/local/bin
install -d -m 700 -o etcd -g etcd /var/lib/etcd
install -d -m 750 -g etcd /etc/etcd
install -m 640 -g etcd etcd-ca.crt "$name.crt" "$name.key" /etc/etcd/
# Where kubeadm looks for what its API server needs.
install -d /etc/kubernetes/pki/etcd
install -m 644 etcd-ca.crt /etc/kubernetes/pki/etcd/ca.crt
install -m 644 client.crt /etc/kubernetes/pki/apiserver-etcd-client.crt
install -m 600 client.key /etc/kubernetes/pki/apiserver-etcd-client.key
cat > /etc/etcd/etcd.env <<ENV
ETCD_NAME=$name
ETCD_DATA_DIR=/var/lib/etcd
ETCD_LISTEN_PEER_URLS=https://$address:2380
ETCD_LISTEN_CLIENT_URLS=https://$address:2379,https://127.0.0.1:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://$address:2380
ETCD_ADVERTISE_CLIENT_URLS=https://$address:2379
ETCD_INITIAL_CLUSTER=$members
ETCD_INITIAL_CLUSTER_TOKEN=hand
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_CERT_FILE=/etc/etcd/$name.crt
ETCD_KEY_FILE=/etc/etcd/$name.key
ETCD_TRUSTED_CA_FILE=/etc/etcd/etcd-ca.crt
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_CERT_FILE=/etc/etcd/$name.crt
ETCD_PEER_KEY_FILE=/etc/etcd/$name.key
ETCD_PEER_TRUSTED_CA_FILE=/etc/etcd/etcd-ca.crt
ETCD_PEER_CLIENT_CERT_AUTH=true
ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:2381
ETCD_AUTO_COMPACTION_MODE=periodic
ETCD_AUTO_COMPACTION_RETENTION=8h
ETCD_QUOTA_BACKEND_BYTES=8589934592
ETCD_LOG_LEVEL=warn
ENV
cat > /etc/systemd/system/etcd.service <<'UNIT'
[Unit]
After=network-online.target
Wants=network-online.target
[Service]
Type=notify
User=etcd
EnvironmentFile=/etc/etcd/etcd.env
ExecStart=/usr/local/bin/etcd
Restart=always
RestartSec=3
TimeoutStartSec=0
LimitNOFILE=65536
[Install]
WantedBy=multi-user.target
UNIT
cat > /usr/local/sbin/etcd-snapshot <<'SCRIPT'
#!/bin/sh
set -eu
umask 077
mkdir -p /var/backups/etcd
file=/var/backups/etcd/etcd-$(date -u +%Y%m%dT%H%M%SZ).db
etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/apiserver-etcd-client.crt \
    --key=/etc/kubernetes/pki/apiserver-etcd-client.key snapshot save "$file.part" >/dev/null
etcdutl snapshot status "$file.part" >/dev/null
mv "$file.part" "$file"
ls -1 /var/backups/etcd/etcd-*.db | sort -r | tail -n +15 | xargs -r rm -f
SCRIPT
chmod 755 /usr/local/sbin/etcd-snapshot
printf '[Service]\nType=oneshot\nEnvironment=PATH=/usr/local/bin:/usr/bin:/bin\nExecStart=/usr/local/sbin/etcd-snapshot\n' > /etc/systemd/system/etcd-snapshot.service
printf '[Timer]\nOnBootSec=5min\nOnUnitActiveSec=6h\n[Install]\nWantedBy=timers.target\n' > /etc/systemd/system/etcd-snapshot.timer
systemctl daemon-reload
# It says that it is up once the members have found each other.
systemctl enable -q --now etcd.service etcd-snapshot.timer
