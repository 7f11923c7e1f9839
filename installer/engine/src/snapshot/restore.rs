//! A cluster's etcd goes back to a snapshot: every member at once, each under its own name, as a new cluster of the same members.
//!
//! ```text
//! rehearse  on one host, beside everything: restored into a scratch folder, started on other ports, its keys counted
//! prepare   on every member: restored beside the data, while etcd still runs
//! hold      API servers, schedulers and controllers end: their manifests are set aside
//! switch    etcd ends; `member` is renamed to `member.before-…`, the restored one takes its place; etcd starts
//! release   manifests come back, kubelets start again
//! look      each API server answers and holds what the snapshot holds
//! ```
//! From `release` on ([`comes_back`]) a run that was cut off goes on; before it, the same command goes through all of it again.
//! Nothing is removed: the data of before stay under their new name. Revisions are raised, so that what watches begins anew
//! (etcd documentation, "Disaster recovery").

use std::net::SocketAddr;

use crate::host::quote;
use crate::rounds::{Round, Task};
use crate::site::file::Role;
use crate::site::{Host, Site};
use crate::step::{CTL as ETCDCTL, KUBECTL};

/// What is restored.
#[derive(Debug, Clone)]
pub struct Restore {
    /// Where the snapshot lies on every etcd host.
    pub file: String,
    /// A word for this restore, of letters and digits: in the names of folders, and in the new cluster's token.
    pub stamp: String,
}

/// By how much revisions are raised: more than a cluster makes between two snapshots (etcd's own example).
const BUMP: u64 = 1_000_000_000;
/// The rehearsal's ports on 127.0.0.1.
const REHEARSAL: (u16, u16) = (23790, 23800);
/// Where manifests are while they are set aside. Not below `manifests`, which the kubelet reads.
const HELD: &str = "/etc/kubernetes/ferry-held";
/// The parts of a control plane that are set aside.
const PARTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// What will be done, in order.
#[must_use]
pub fn rounds(site: &Site, restore: &Restore) -> Vec<Round> {
    let members: Vec<&Host> = site.with(Role::Etcd).collect();
    let control: Vec<&Host> = site.with(Role::ControlPlane).collect();
    let nodes: Vec<&Host> = site.hosts.iter().filter(|host| host.is_node()).collect();
    let each = |hosts: &[&Host], make: &dyn Fn(&Host) -> Task| hosts.iter().map(|host| make(host)).collect::<Vec<_>>();
    let round = |name: &str, tasks: Vec<Task>| Round { name: name.to_owned(), tasks };
    let first = &members[..members.len().min(1)];
    let task = |id: &str, host: &Host, title: &str, script: String| {
        Task::new(&format!("restore.{id}"), &host.name, title, format!("set -eu\n{script}")).within(600)
    };
    vec![
        round(
            "rehearsal",
            each(first, &|host| {
                task("rehearse", host, "the snapshot restored and started in a scratch place", rehearse(site, restore))
            }),
        ),
        round(
            "every member prepared",
            each(&members, &|host| task("prepare", host, "restored beside the data", prepare(site, host, restore))),
        ),
        round(
            "the control plane set aside",
            each(&control, &|host| task("hold", host, "API server, scheduler, controllers end", hold())),
        ),
        round(
            "etcd ends",
            each(&members, &|host| task("stop", host, "etcd ends", "systemctl stop etcd.service".into())),
        ),
        round(
            "data switched",
            each(&members, &|host| task("switch", host, "the restored data take their place", switch(site, restore))),
        ),
        round("etcd starts", each(&members, &|host| task("start", host, "etcd starts and answers", start()))),
        round(
            "the control plane comes back",
            each(&control, &|host| task("release", host, "manifests come back", release())),
        ),
        round(
            "kubelets start anew",
            each(&nodes, &|host| task("kubelet", host, "the kubelet starts anew", kubelet()).owed()),
        ),
        round(
            "what there is now",
            each(&control, &|host| {
                task("look", host, "the API answers, and holds what the snapshot holds", look(host))
            }),
        ),
        round(
            "copies go",
            each(&members, &|host| {
                task(
                    "tidy",
                    host,
                    "the copy of the snapshot goes",
                    format!("rm -f {0}; rmdir \"$(dirname {0})\" 2>/dev/null || :", quote(&restore.file)),
                )
                .owed()
            }),
        ),
    ]
}

/// The round with which the cluster comes back: from then on new things are written to it, and a restore that was cut off goes on
/// here instead of beginning again.
#[must_use]
pub fn comes_back(rounds: &[Round]) -> usize {
    let releases = |round: &Round| round.tasks.iter().any(|task| task.id == "restore.release");
    rounds.iter().position(releases).unwrap_or(rounds.len())
}

/// Restores and starts the snapshot where nobody else is; prints how many keys it holds. Leaves nothing.
fn rehearse(site: &Site, restore: &Restore) -> String {
    let (client, peer) = REHEARSAL;
    let (file, scratch) = (quote(&restore.file), quote(&format!("{}/.ferry-rehearsal", site.etcd.snapshot_dir)));
    let peers = format!("http://127.0.0.1:{peer}");
    let call = ETCDCTL.replace("127.0.0.1:2379", &format!("127.0.0.1:{client}"));
    format!(
        "[ -x /usr/local/bin/etcdutl ] || {{ echo 'etcd is not installed here: run \\`ferry-install install\\` first; it may stop at etcd, which this then restores' >&2; exit 1; }}
unit=ferry-etcd-rehearsal.service; scratch={scratch}
leave() {{ systemctl stop $unit 2>/dev/null || :; systemctl reset-failed $unit 2>/dev/null || :; rm -rf \"$scratch\"; }}
trap leave EXIT; leave
/usr/local/bin/etcdutl snapshot status {file} -w json
/usr/local/bin/etcdutl snapshot restore {file} --data-dir \"$scratch\" --name rehearsal --initial-cluster rehearsal={peers} --initial-advertise-peer-urls {peers} --bump-revision {BUMP} --mark-compacted >/dev/null 2>&1
systemd-run -q --unit=$unit /usr/local/bin/etcd --name rehearsal --data-dir \"$scratch\" --log-level error \\
    --listen-peer-urls {peers} --initial-advertise-peer-urls {peers} --initial-cluster rehearsal={peers} \\
    --listen-client-urls https://127.0.0.1:{client} --advertise-client-urls https://127.0.0.1:{client} --client-cert-auth \\
    --cert-file /etc/etcd/pki/server.crt --key-file /etc/etcd/pki/server.key --trusted-ca-file /etc/etcd/pki/ca.crt
for i in $(seq 60); do {call} --command-timeout=2s endpoint health >/dev/null 2>&1 && break; sleep 1; done
{call} endpoint health >/dev/null 2>&1 || {{ journalctl -u $unit -n 20 --no-pager -o cat >&2; exit 1; }}
keys=$({call} get '' --prefix --count-only -w fields | sed -n 's/^\"Count\" : //p')
[ -n \"$({call} get /registry/namespaces/kube-system --keys-only)\" ] || {{ echo 'the snapshot holds no cluster: there is no namespace kube-system in it' >&2; exit 1; }}
echo \"keys $keys\"; echo \"note: the rehearsal found $keys keys\""
    )
}

/// The member restored below the data folder, so that the switch is a rename, also where that folder is a disk of its own.
fn prepare(site: &Site, host: &Host, restore: &Restore) -> String {
    let data = &site.etcd.data_dir;
    let new = quote(&format!("{data}/restore-{}", restore.stamp));
    let members: Vec<String> =
        site.with(Role::Etcd).map(|member| format!("{}={}", member.name, peer(member))).collect();
    format!(
        "[ -x /usr/local/bin/etcdutl ] && [ -s /etc/etcd/etcd.env ] || {{ echo 'etcd is not installed here: run \\`ferry-install install\\` first; it may stop at etcd, which this then restores' >&2; exit 1; }}
rm -rf {old}/restore-*
/usr/local/bin/etcdutl snapshot restore {file} --data-dir {new} --name {name} --initial-cluster {members} --initial-cluster-token {token} --initial-advertise-peer-urls {peer} --bump-revision {BUMP} --mark-compacted >/dev/null 2>&1
chown -R etcd:etcd {new}; sync; [ -d {new}/member ]",
        old = quote(data),
        file = quote(&restore.file),
        name = quote(&host.name),
        members = quote(&members.join(",")),
        token = quote(&format!("{}-{}", site.cluster, restore.stamp)),
        peer = peer(host),
    )
}

fn peer(host: &Host) -> String {
    format!("https://{}", SocketAddr::new(host.internal, 2380))
}

/// Static pods end when their manifests go; where the kubelet is dead, their processes are ended. The kernel keeps 15 letters
/// of a process's name.
fn hold() -> String {
    let parts = PARTS.join(" ");
    format!(
        "[ -d /etc/kubernetes/manifests ] || exit 0
mkdir -p -m 700 {HELD}
for part in {parts}; do [ ! -e /etc/kubernetes/manifests/$part.yaml ] || mv -f /etc/kubernetes/manifests/$part.yaml {HELD}/$part.yaml; done
sync
# Those of this host's kubelet: another cluster may run in containers here.
slice=$(systemctl show -p ControlGroup kubepods.slice 2>/dev/null | sed 's/^ControlGroup=//'); slice=${{slice:-/kubepods.slice}}
alive() {{ for p in /proc/[0-9]*; do if grep -q \"^[0-9]*:[^:]*:$slice/\" $p/cgroup 2>/dev/null && read -r name 2>/dev/null <$p/comm; then case $name in kube-apiserver|kube-controller|kube-scheduler) echo ${{p#/proc/}};; esac; fi; done; }}
for i in $(seq 60); do [ -n \"$(alive)\" ] || exit 0; sleep 1; done
kill -KILL $(alive) 2>/dev/null || :
sleep 1; [ -z \"$(alive)\" ] || {{ echo 'the control plane does not end: see \\`ps\\` and the kubelet' >&2; exit 1; }}"
    )
}

/// Two renames in one folder. The restored member is there only until it has taken its place.
fn switch(site: &Site, restore: &Restore) -> String {
    let (data, stamp) = (quote(&site.etcd.data_dir), &restore.stamp);
    format!(
        "cd {data}
if [ -d restore-{stamp}/member ]; then
    [ ! -d member ] || mv -T member member.before-{stamp}
    mv -T restore-{stamp}/member member; sync
fi
rm -rf restore-{stamp}
[ ! -d member.before-{stamp} ] || echo \"note: $PWD/member.before-{stamp} holds the data of before; remove it when nobody wants it back\""
    )
}

fn start() -> String {
    format!(
        "systemctl reset-failed etcd.service 2>/dev/null || :
systemctl start etcd.service || {{ journalctl -u etcd.service -n 20 --no-pager -o cat >&2; exit 1; }}
for i in $(seq 60); do {ETCDCTL} --command-timeout=3s endpoint health >/dev/null 2>&1 && exit 0; sleep 1; done
journalctl -u etcd.service -n 20 --no-pager -o cat >&2; exit 1"
    )
}

fn release() -> String {
    format!(
        "[ ! -d {HELD} ] || {{ for part in {HELD}/*.yaml; do [ ! -e \"$part\" ] || mv -f \"$part\" /etc/kubernetes/manifests/; done; rmdir {HELD}; sync; }}"
    )
}

/// A node that was not joined yet has none to start.
fn kubelet() -> String {
    "[ ! -s /var/lib/kubelet/config.yaml ] || systemctl restart kubelet.service".into()
}

/// This host's own API server is asked, and not whichever the balancer gives; and until it answers everything at once.
fn look(host: &Host) -> String {
    let own = format!("{KUBECTL} --server=https://{} --request-timeout=10s", SocketAddr::new(host.internal, 6443));
    format!(
        "[ -s /etc/kubernetes/admin.conf ] || exit 0
answers() {{ {own} get --raw /readyz >/dev/null 2>&1 && {own} get namespace kube-system -o name >/dev/null 2>&1; }}
n=0; until answers; do
    n=$((n+1)); [ $n -lt 240 ] || {{ echo 'the API server of this host does not answer:' >&2; {own} get --raw '/readyz?verbose' 2>&1 | grep -v '^\\[+\\]' >&2 || :; exit 1; }}
    sleep 1
done
# Controllers wait until the leases of before have lapsed; until one is renewed nobody acts.
renewed() {{ {own} -n kube-system get lease kube-controller-manager -o jsonpath={{.spec.renewTime}} 2>/dev/null || :; }}
before=$(renewed); for i in $(seq 90); do [ \"$(renewed)\" = \"$before\" ] || break; sleep 1; done
keys=$({ETCDCTL} get '' --prefix --count-only -w fields 2>/dev/null | sed -n 's/^\"Count\" : //p'); echo \"keys $keys\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::site::site;

    fn all(site: &Site) -> Vec<Round> {
        rounds(site, &Restore { file: "/b/etcd-1.db".into(), stamp: "s1".into() })
    }

    #[test]
    fn nothing_stops_before_every_member_is_prepared_and_nothing_starts_before_every_one_is_switched() {
        let mut site = site();
        site.hosts[1].roles.push(Role::Etcd);
        let rounds = all(&site);
        let names: Vec<String> = rounds
            .iter()
            .map(|round| {
                round.tasks.iter().map(|task| format!("{}@{}", task.id, task.host)).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(
            names,
            [
                "restore.rehearse@node1",
                "restore.prepare@node1 restore.prepare@node2",
                "restore.hold@node1",
                "restore.stop@node1 restore.stop@node2",
                "restore.switch@node1 restore.switch@node2",
                "restore.start@node1 restore.start@node2",
                "restore.release@node1",
                "restore.kubelet@node1 restore.kubelet@node2",
                "restore.look@node1",
                "restore.tidy@node1 restore.tidy@node2",
            ]
        );
        assert!(rounds[1].tasks[1].script.contains("--name node2 --initial-cluster node1=https://10.0.0.11:2380,node2=https://10.0.0.12:2380 --initial-cluster-token demo-s1"));
    }

    #[test]
    fn the_look_asks_its_own_server_and_one_bad_answer_is_not_the_end() {
        let site = site();
        let all = all(&site);
        assert_eq!(all[comes_back(&all)].tasks[0].id, "restore.release");
        let script = look(&site.hosts[0]);
        assert!(script.contains("--server=https://10.0.0.11:6443"), "{script}");
        // Well once, then not, then well: as a server whose etcd has an election in between.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(at("admin.conf"), "x").unwrap();
        let kubectl = format!(
            "#!/bin/sh\nn=$(cat {0} 2>/dev/null || echo 0); n=$((n+1)); echo $n >{0}\ncase \"$*\" in *renewTime*) echo $n; exit 0;; esac\n\
             case $n in 2|4) echo '[+]ping ok' >&2; exit 1;; esac\necho ok\n",
            at("count")
        );
        std::fs::write(at("kubectl"), kubectl).unwrap();
        std::fs::write(at("etcdctl"), "#!/bin/sh\necho '\"Count\" : 42'\n").unwrap();
        let script = script
            .replace(KUBECTL, &format!("sh {}", at("kubectl")))
            .replace(ETCDCTL, &format!("sh {}", at("etcdctl")))
            .replace("/etc/kubernetes/admin.conf", &at("admin.conf"))
            .replace("sleep 1", ":");
        for shell in ["dash", "bash"] {
            std::fs::write(at("count"), "0").unwrap();
            let output = std::process::Command::new(shell).args(["-euc", &script]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "keys 42\n");
        }
        // One that never answers says what is wrong, without the twenty lines of what is right.
        std::fs::write(at("kubectl"), "#!/bin/sh\necho '[+]ping ok'; echo '[-]etcd failed'; exit 1\n").unwrap();
        let output = std::process::Command::new("sh").args(["-euc", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("[-]etcd failed") && !said.contains("[+]"), "{said}");
    }

    #[test]
    fn the_data_of_before_are_never_removed() {
        for task in all(&site()).iter().flat_map(|round| &round.tasks) {
            for line in task.script.lines().filter(|line| line.contains("rm -rf")) {
                assert!(line.contains("restore-") || line.contains("$scratch"), "{line}");
            }
        }
    }

    #[test]
    fn a_switch_that_was_cut_off_goes_on() {
        let folder = std::env::temp_dir().join(format!("ferry-switch-{}", std::process::id()));
        let mut site = site();
        site.etcd.data_dir = crate::site::types::DataDir::of_test(&folder);
        let script = switch(&site, &Restore { file: String::new(), stamp: "s1".into() });
        let put = |path: &str, text: &str| {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let get = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap_or_default();
        let run =
            || assert!(std::process::Command::new("sh").args(["-ec", &script]).output().unwrap().status.success());
        // Cut off between the two renames, then again after both.
        put("member.before-s1/db", "old");
        put("restore-s1/member/db", "new");
        run();
        assert_eq!((get("member/db"), get("member.before-s1/db")), ("new".to_owned(), "old".to_owned()));
        run();
        assert_eq!((get("member/db"), get("member.before-s1/db")), ("new".to_owned(), "old".to_owned()));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
