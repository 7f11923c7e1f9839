//! A member of etcd, under systemd, with keys made beforehand. All members of a new cluster start together; where a cluster
//! answers already, a new member begins as a learner and is promoted once it has caught up, so that a member that never
//! comes up can't cost the quorum.

use super::base::PROGRAMS;
use super::context::{Context, StepBuildError, authority, unit};
use crate::action::{Action, DataKind, File, Folder, Run, Subject};
use crate::host::quote;
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
EnvironmentFile=/etc/etcd/initial.env
ExecStart=/usr/local/bin/etcd
Restart=always
RestartSec=3
TimeoutStartSec=0
LimitNOFILE=65536
Nice=-5

[Install]
WantedBy=multi-user.target
";

/// etcdctl and its keys on an etcd host, with more words.
macro_rules! etcdctl {
    ($words:literal) => {
        concat!(
            "ETCDCTL_API=3 /usr/local/bin/etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt ",
            "--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt --key=/etc/kubernetes/pki/etcd/healthcheck-client.key ",
            $words
        )
    };
}

/// etcdctl and its keys, as commands on an etcd host ask its own member.
pub(crate) const CTL: &str = etcdctl!("--endpoints=https://127.0.0.1:2379");
/// Likewise, with the member to ask still to be said.
const ASK: &str = etcdctl!("--command-timeout=5s");

/// How a new member begins. It is asked for by address, because the name of one that has not started is not known.
/// Where nobody listens on any other host, twice, there is no cluster: etcdctl would take its whole time-out to say so, for
/// each of them. Who is listed and has not started yet is called by the name that the plan has for his address.
const BEGIN: &str = r#"silent() {
  for one in {others}; do {probe} get --timeout 2000 "http://${one#https://}/" 2>/dev/null | grep -q 'Connection refused' || return 1; done
}
list=
if ! silent || ! { sleep 1; silent; }; then
  for one in {others}; do
    list=$({ctl} --endpoints=$one member list) && break
    list=
  done
fi
state=new members='{members}'
if [ -n "$list" ]; then
  ctl() { {ctl} --endpoints=$one "$@"; }
  state=existing
  known=$(printf '%s\n' "$list" | awk -F', ' '$4 == "{peer}" {print $1 " " $5}')
  # One that has served before, and whose data are gone, has to begin as another one.
  if [ -n "${known#* }" ]; then ctl member remove "${known%% *}" >/dev/null; known=; fi
  if [ -z "$known" ]; then
    n=0
    until ctl member add {name} --learner --peer-urls={peer} >/dev/null; do
      n=$((n+1)); [ $n -lt 60 ] || exit 1
      sleep 2
    done
  fi
  members=$(ctl member list | awk -F', ' 'BEGIN {n = split("{members}", all, ","); for (i = 1; i <= n; i++) {at = index(all[i], "="); of[substr(all[i], at + 1)] = substr(all[i], 1, at - 1)}}
    {name = $3; if (name == "" || $4 == "{peer}") name = of[$4]; printf "%s%s=%s", sep, name, $4; sep = ","}')
fi
printf 'ETCD_INITIAL_CLUSTER=%s\nETCD_INITIAL_CLUSTER_STATE=%s\nETCD_INITIAL_CLUSTER_TOKEN=%s\n' "$members" $state {cluster} >/etc/etcd/initial.env.part
chown root:etcd /etc/etcd/initial.env.part; chmod 640 /etc/etcd/initial.env.part; sync
mv -f /etc/etcd/initial.env.part /etc/etcd/initial.env"#;

/// Makes a learner a full member once it has caught up.
const PROMOTE: &str = r#"said=
for i in $(seq 120); do
  for one in {others}; do
    said=$({ id=$({ctl} --endpoints=$one member list | awk -F', ' '$4 == "{peer}" {print $1}') && [ -n "$id" ] && {ctl} --endpoints=$one member promote "$id"; } 2>&1) && exit 0
  done
  sleep 1
done
printf '%s\n' "$said" | tail -n 3 >&2; exit 1"#;

/// The steps of a member.
pub(super) fn steps(context: &Context<'_>, host: &Host) -> Result<Vec<Step>, StepBuildError> {
    let archive = context.supply.file("etcd.tar.gz", context.arch(host)?)?;
    let data = &context.site.etcd.data_dir;
    let home = quote(data);
    let mut actions = vec![Action::Run(
        Run::unless(
            "user etcd",
            Subject::User,
            "id etcd && getent group etcd",
            format!("id etcd >/dev/null 2>&1 || {{ : >/var/lib/ferry/before/user-etcd.made; useradd --system --user-group --no-create-home --home-dir {home} --shell /usr/sbin/nologin etcd; }}"),
        )
        // An account that was there, and only lacks its group, is not ferry's to delete.
        .undone_by("[ ! -e /var/lib/ferry/before/user-etcd.made ] || ! id etcd >/dev/null 2>&1 || userdel etcd"),
    )];
    for (path, mode, owner) in [
        ("/etc/etcd", 0o750, "root:etcd"),
        (KEYS, 0o750, "root:etcd"),
        (data.as_str(), 0o700, "etcd:etcd"),
        ("/etc/kubernetes", 0o755, "root:root"),
        ("/etc/kubernetes/pki", 0o755, "root:root"),
        ("/etc/kubernetes/pki/etcd", 0o755, "root:root"),
    ] {
        let folder = Folder::new(path, mode).owner(owner);
        actions.push(Action::Folder(if path == data.as_str() { folder.data(DataKind::Etcd) } else { folder }));
    }
    for name in ["etcdctl", "etcdutl"] {
        actions.push(context.program(
            host,
            &format!("/usr/local/bin/{name}"),
            context.supply.member(archive, name)?,
        )?);
    }
    for (path, name, mode) in [
        ("/etc/kubernetes/pki/etcd/ca.crt", "pki/etcd/ca.crt", 0o644),
        ("/etc/kubernetes/pki/etcd/healthcheck-client.crt", "pki/etcd/healthcheck-client.crt", 0o644),
        ("/etc/kubernetes/pki/etcd/healthcheck-client.key", "pki/etcd/healthcheck-client.key", 0o600),
    ] {
        actions.push(Action::File(context.secret_file(path, name, mode)?));
    }
    let mut reads = vec![context.program(host, "/usr/local/bin/etcd", context.supply.member(archive, "etcd")?)?];
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
    actions.push(Action::Run(begins(context, host)));
    actions.push(start);
    actions.extend(promoted(context, host).map(Action::Run));
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

/// The URL by which the other members know a host's.
pub(crate) fn peer(host: &Host) -> String {
    format!("https://{}", authority(host, 2380))
}

/// The URL by which clients know a host's member.
fn url(host: &Host) -> String {
    format!("https://{}", authority(host, 2379))
}

/// The client URLs of the other members, as words of a shell.
fn others(context: &Context<'_>, host: &Host) -> String {
    let others = context.site.with(Role::Etcd).filter(|other| other.name != host.name);
    others.map(url).collect::<Vec<_>>().join(" ")
}

fn filled(text: &str, context: &Context<'_>, host: &Host) -> String {
    let members: Vec<String> =
        context.site.with(Role::Etcd).map(|member| format!("{}={}", member.name, peer(member))).collect();
    [
        ("{ctl}", ASK.to_owned()),
        ("{probe}", format!("{PROGRAMS}/ferry-probe")),
        ("{others}", others(context, host)),
        ("{members}", members.join(",")),
        ("{peer}", peer(host)),
        ("{name}", quote(&host.name)),
        ("{cluster}", quote(&context.site.cluster)),
    ]
    .iter()
    .fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

/// Decided where there are no data yet, and anew when a decision was not followed for ten minutes.
fn begins(context: &Context<'_>, host: &Host) -> Run {
    let data = quote(&context.site.etcd.data_dir);
    let question = format!("[ -d {data}/member ] || find /etc/etcd/initial.env -mmin -10 | grep .");
    Run::unless("how the member begins", Subject::Other, question, filled(BEGIN, context, host))
        .within(240)
        .undone_by("rm -f /etc/etcd/initial.env")
}

/// None for a lone member.
fn promoted(context: &Context<'_>, host: &Host) -> Option<Run> {
    if others(context, host).is_empty() {
        return None;
    }
    let question = "for one in {others}; do {ctl} --endpoints=$one member list | awk -F', ' '$4 == \"{peer}\" && $6 == \"false\"' | grep . && exit 0; done; exit 1";
    let run = Run::unless(
        "the member has a vote",
        Subject::Wait,
        filled(question, context, host),
        filled(PROMOTE, context, host),
    );
    Some(run.within(240))
}

fn environment(context: &Context<'_>, host: &Host) -> String {
    let site = context.site;
    let (client, peer) = (authority(host, 2379), authority(host, 2380));
    format!(
        "ETCD_NAME={name}
ETCD_DATA_DIR={data}
ETCD_LISTEN_PEER_URLS=https://{peer}
ETCD_LISTEN_CLIENT_URLS=https://{client},https://127.0.0.1:2379
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://{peer}
ETCD_ADVERTISE_CLIENT_URLS=https://{client}
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
        quota = u64::from(site.etcd.quota_gib.get()) << 30,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;

    const REFUSED: &str = r#"echo '{"ok":false,"error":"Connection refused (os error 111)"}'; exit 1"#;
    const LISTENS: &str = r#"echo '{"ok":false,"error":"this is no HTTP answer"}'; exit 1"#;

    /// Runs the script on host b of a, b and c, with these in the places of the probe and of etcdctl; gives what it has
    /// decided, and what it has asked etcdctl.
    fn decided(probe: &str, etcdctl: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, body) in
            [("probe", probe.to_owned()), ("ctl", format!("echo \"$*\" >>{}\n{etcdctl}", path("asked")))]
        {
            fs::write(path(name), format!("#!/bin/sh\n{body}\n")).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let words = [
            ("{ctl}", path("ctl")),
            ("{probe}", path("probe")),
            ("{others}", "https://10.0.0.1:2379 https://10.0.0.3:2379".into()),
            ("{members}", "a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380".into()),
            ("{peer}", "https://10.0.0.2:2380".into()),
            ("{name}", "b".into()),
            ("{cluster}", "site".into()),
            ("/etc/etcd", path("")),
        ];
        let script = words.iter().fold(BEGIN.to_owned(), |text, (word, value)| text.replace(word, value));
        let script = format!("set -eu\nchown() {{ :; }}\nsleep() {{ :; }}\n{script}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read = |name: &str| fs::read_to_string(path(name)).unwrap_or_default();
        (read("initial.env"), read("asked"))
    }

    const ALL: &str = "ETCD_INITIAL_CLUSTER=a=https://10.0.0.1:2380,b=https://10.0.0.2:2380,c=https://10.0.0.3:2380\n";

    #[test]
    fn where_nobody_listens_a_cluster_begins_and_nobody_is_waited_for() {
        let (decided, asked) = decided(REFUSED, "exit 1");
        assert_eq!(decided, format!("{ALL}ETCD_INITIAL_CLUSTER_STATE=new\nETCD_INITIAL_CLUSTER_TOKEN=site\n"));
        assert_eq!(asked, "");
    }

    #[test]
    fn who_listens_or_does_not_refuse_is_asked() {
        for said in [LISTENS, r#"echo '{"ok":false,"error":"timed out"}'; exit 1"#] {
            let (decided, asked) = decided(said, "exit 1");
            assert!(decided.contains("ETCD_INITIAL_CLUSTER_STATE=new\n"), "{decided}");
            let to = |host| format!("--endpoints=https://10.0.0.{host}:2379 member list\n");
            assert_eq!(asked, to(1) + &to(3));
        }
    }

    #[test]
    fn who_is_listed_and_has_not_started_has_the_plans_name() {
        let listed = "echo '1, started, a, https://10.0.0.1:2380, https://10.0.0.1:2379, false'\n\
                      echo '2, unstarted, , https://10.0.0.2:2380, , false'\n\
                      echo '3, unstarted, , https://10.0.0.3:2380, , false'";
        let (decided, asked) = decided(LISTENS, listed);
        assert_eq!(decided, format!("{ALL}ETCD_INITIAL_CLUSTER_STATE=existing\nETCD_INITIAL_CLUSTER_TOKEN=site\n"));
        assert!(!asked.contains("remove") && !asked.contains("add"), "{asked}");
    }
}
