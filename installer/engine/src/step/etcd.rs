//! A member of etcd, under systemd, with keys made beforehand. All members of a new cluster start together.

use super::context::{Context, StepBuildError, authority, program, unit};
use crate::action::{Action, File, Folder, Run, Subject};
use crate::plan::Step;
use crate::site::Host;
use crate::site::file::Role;

/// Where a member's keys lie.
const KEYS: &str = "/etc/etcd/pki";

const UNIT: &str = "[Unit]
Description=etcd
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
Nice=-5

[Install]
WantedBy=multi-user.target
";

/// etcdctl and its keys, as commands on an etcd host call it.
pub(crate) const CTL: &str = "ETCDCTL_API=3 /usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key";

/// The steps of a member.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let archive = context.supply.file("etcd.tar.gz", context.arch(host)?)?;
    let data = &context.site.etcd.data_dir;
    let mut actions = vec![Action::Run(
        Run::unless(
            "user etcd",
            Subject::User,
            "id etcd && getent group etcd",
            format!("id etcd >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir {data} --shell /usr/sbin/nologin etcd"),
        )
        .undone_by("! id etcd >/dev/null 2>&1 || userdel etcd"),
    )];
    for (path, mode, owner) in [
        ("/etc/etcd", 0o750, "root:etcd"),
        (KEYS, 0o750, "root:etcd"),
        (data.as_str(), 0o700, "etcd:etcd"),
        ("/etc/kubernetes", 0o755, "root:root"),
        ("/etc/kubernetes/pki", 0o755, "root:root"),
        ("/etc/kubernetes/pki/etcd", 0o755, "root:root"),
    ] {
        actions.push(Action::Folder(Folder::new(path, mode).owner(owner)));
    }
    for name in ["etcdctl", "etcdutl"] {
        actions.push(program(&format!("/usr/local/bin/{name}"), context.supply.member(archive, name)?));
    }
    for (path, name, mode) in [
        ("/etc/kubernetes/pki/etcd/ca.crt", "pki/etcd/ca.crt", 0o644),
        ("/etc/kubernetes/pki/etcd/healthcheck-client.crt", "pki/etcd/healthcheck-client.crt", 0o644),
        ("/etc/kubernetes/pki/etcd/healthcheck-client.key", "pki/etcd/healthcheck-client.key", 0o600),
    ] {
        actions.push(Action::File(context.secret_file(path, name, mode)?));
    }
    let mut reads = vec![program("/usr/local/bin/etcd", context.supply.member(archive, "etcd")?)];
    reads.push(Action::File(
        context.secret_file(&format!("{KEYS}/ca.crt"), "pki/etcd/ca.crt", 0o640)?.owner("root:etcd"),
    ));
    for what in ["server", "peer"] {
        for end in ["crt", "key"] {
            let name = format!("etcd/{}/{what}.{end}", host.name);
            let file = context.secret_file(&format!("{KEYS}/{what}.{end}"), &name, 0o640)?;
            reads.push(Action::File(file.owner("root:etcd")));
        }
    }
    reads.push(Action::File(
        File::text("/etc/etcd/etcd.env", environment(context, host)).mode(0o640).owner("root:etcd"),
    ));
    reads.push(Action::File(File::text("/etc/systemd/system/etcd.service", UNIT)));
    let start = unit("etcd.service", true, &reads);
    actions.extend(reads);
    actions.push(start);
    let answers = Run::unless(
        "etcd answers",
        Subject::Wait,
        format!("{CTL} --command-timeout=3s endpoint health"),
        format!(
            "for i in $(seq 60); do {CTL} --command-timeout=3s endpoint health && exit 0; sleep 1; done; journalctl -u etcd -n 20 --no-pager -o cat >&2; exit 1"
        ),
    );
    actions.push(Action::Run(answers.within(300)));
    Ok(vec![Step::new("etcd.member", &host.name, "etcd", actions)])
}

fn environment(context: &Context<'_>, host: &Host) -> String {
    let site = context.site;
    let members: Vec<String> =
        site.with(Role::Etcd).map(|member| format!("{}=https://{}", member.name, authority(member, 2380))).collect();
    let (client, peer) = (authority(host, 2379), authority(host, 2380));
    format!(
        "ETCD_NAME={name}
ETCD_DATA_DIR={data}
ETCD_LISTEN_PEER_URLS=https://{peer}
ETCD_LISTEN_CLIENT_URLS=https://{client},https://127.0.0.1:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://{peer}
ETCD_ADVERTISE_CLIENT_URLS=https://{client}
ETCD_INITIAL_CLUSTER={members}
ETCD_INITIAL_CLUSTER_TOKEN={cluster}
ETCD_INITIAL_CLUSTER_STATE=new
ETCD_CERT_FILE={KEYS}/server.crt
ETCD_KEY_FILE={KEYS}/server.key
ETCD_TRUSTED_CA_FILE={KEYS}/ca.crt
ETCD_CLIENT_CERT_AUTH=true
ETCD_PEER_CERT_FILE={KEYS}/peer.crt
ETCD_PEER_KEY_FILE={KEYS}/peer.key
ETCD_PEER_TRUSTED_CA_FILE={KEYS}/ca.crt
ETCD_PEER_CLIENT_CERT_AUTH=true
ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:2381
ETCD_AUTO_COMPACTION_MODE=periodic
ETCD_AUTO_COMPACTION_RETENTION=8h
ETCD_QUOTA_BACKEND_BYTES={quota}
ETCD_LOGGER=zap
ETCD_LOG_LEVEL=warn
",
        name = host.name,
        data = site.etcd.data_dir,
        members = members.join(","),
        cluster = site.cluster,
        quota = u64::from(site.etcd.quota_gib) << 30,
    )
}
