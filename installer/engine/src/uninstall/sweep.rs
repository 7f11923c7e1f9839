//! What programs of the cluster have made that no ledger names: processes of pods, mounts, links, rules, files of known names.
//!
//! Each sweep belongs to a unit of ferry's: where ferry has not brought that unit, its sweep is left out. What was there before
//! ferry came is noted on the host, and stays; what others have brought since is told from the cluster's by name, by record, by
//! what it hangs on (`clear.sh`, `pods.sh`, `network.sh`). Data folders are given back as the ledger has them, whatever the site
//! file says today.

use std::fmt::Display;

use super::{Options, Record};
use crate::action::{DataFolder, DataKind, give_back};
use crate::host::quote;
use crate::rounds::Task;
use crate::site::Site;
use crate::site::file::StorageKind;
use crate::step::{CONTAINERD, HOLLOW, MADE};

/// Functions of the other two.
const CLEAR: &str = include_str!("clear.sh");
/// Ends every process of every pod, and what held them.
const PODS: &str = include_str!("pods.sh");
/// Links, routes and rules.
const NETWORK: &str = include_str!("network.sh");

/// What kubeadm writes into `/etc/kubernetes`, and the installers of Calico and flannel elsewhere. What ferry itself places there is
/// in the ledger.
const WRITTEN: &str = "f_before /etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/controller-manager.conf \
/etc/kubernetes/scheduler.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf
rm -f /etc/kubernetes/.ferry-part-*
for part in kube-apiserver kube-controller-manager kube-scheduler; do f_before /etc/kubernetes/manifests/$part.yaml; done
for one in /etc/kubernetes/tmp/kubeadm-*; do f_stood \"$one\" || rm -rf --one-file-system -- \"$one\"; done
f_hollow /etc/kubernetes/manifests /etc/kubernetes/tmp
for leaf in apiserver apiserver-kubelet-client front-proxy-client; do f_before /etc/kubernetes/pki/$leaf.crt /etc/kubernetes/pki/$leaf.key; done
f_gone /etc/cni/net.d/10-calico.conflist /etc/cni/net.d/calico-kubeconfig /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/.kubernetes-cni-keep
f_gone /opt/cni/bin/calico /opt/cni/bin/calico-ipam /opt/cni/bin/flannel
";

/// The sweeps of a host, in order.
pub(super) fn tasks(site: &Site, host: &str, record: &Record, options: Options) -> Vec<Task> {
    let mut tasks = Vec::new();
    let mut sweep = |name: &str, title: &str, script: String| {
        tasks.push(Task::new(&format!("uninstall.{name}"), host, title, script).within(300).owed());
    };
    let node = record.has("unit:kubelet.service");
    if node || record.has("unit:containerd.service") {
        sweep("pods", "pods, containers, and their mounts", format!("{CLEAR}set +e\n{PODS}"));
        let pods = quote(&site.kubernetes.pod_cidr.value.to_string());
        let hosts: Vec<String> = site.hosts.iter().map(|one| one.internal.to_string()).collect();
        let hosts = quote(&hosts.join(" "));
        sweep(
            "network",
            "links and rules of the pod network and kube-proxy",
            format!("{CLEAR}set +e\npods={pods} hosts={hosts}\n{NETWORK}"),
        );
        sweep("runtime", "what kubelet and containerd have stored", stored());
    }
    if node {
        sweep("kubeadm", "what kubeadm has written", format!("{CLEAR}{WRITTEN}"));
    }
    let (wiped, left): (Vec<_>, Vec<_>) =
        data(site, record).into_iter().partition(|one| options.wipe_data || !one.kind.outlives());
    for (kind, title, units) in [
        (DataKind::Etcd, "etcd's data", "etcd.service"),
        (DataKind::Registry, "the registry's content", "ferry-registry.service ferry-registry-push.service"),
    ] {
        let folders: Vec<&DataFolder> = wiped.iter().filter(|one| one.kind == kind).collect();
        let brought = units.split(' ').any(|unit| record.has(&format!("unit:{unit}")));
        if brought || !folders.is_empty() {
            let script = give_back(folders.into_iter().map(|one| (one, true)));
            let stop = if brought { format!("systemctl stop {units} 2>/dev/null || :\n") } else { String::new() };
            sweep(kind.word(), title, format!("{stop}{script}"));
        }
    }
    let wiped = wiped.iter().filter(|one| one.kind.outlives()).map(|one| (one, true));
    let rest: Vec<_> = wiped.chain(left.iter().map(|one| (one, false))).collect();
    if !rest.is_empty() {
        let title = if options.wipe_data {
            "snapshots of etcd and the content of volumes"
        } else {
            "snapshots of etcd and volumes stay"
        };
        sweep("data", title, give_back(rest));
    }
    tasks
}

/// What kubelet, containerd and the CNI plugins keep, and the folders that they leave empty.
fn stored() -> String {
    let list = |folders: &mut dyn Iterator<Item = &&str>| folders.map(|one| quote(one)).collect::<Vec<_>>().join(" ");
    let own = list(&mut MADE.iter().filter(|one| !CONTAINERD.contains(one)));
    let (containerd, hollow) = (list(&mut CONTAINERD.iter()), list(&mut HOLLOW.iter()));
    // The kubelet tells logind to wait for it at shutdown. kubectl keeps what it has asked below root's home.
    format!(
        "{CLEAR}f_clear {own}\n[ -s $S/other-namespaces ] || f_clear {containerd}\n\
         f_gone '/usr/libexec/kubernetes/kubelet-plugins/volume/exec/nodeagent~uds/uds'\n\
         f_folder /root/.kube/cache || rm -rf --one-file-system /root/.kube/cache/discovery /root/.kube/cache/http\n\
         f_hollow {hollow} /root/.kube\n\
         if [ -e /etc/systemd/logind.conf.d/99-kubelet.conf ] && ! f_stood /etc/systemd/logind.conf.d/99-kubelet.conf; then\n\
         rm -f /etc/systemd/logind.conf.d/99-kubelet.conf; systemctl kill -s HUP systemd-logind.service 2>/dev/null || :; fi\n\
         f_hollow /etc/systemd/logind.conf.d"
    )
}

/// The data folders of a host: as its ledger has them; where a ferry without marks has worked, those of the site file that the
/// ledger names. What is no longer in the site file, or never was in the ledger, stays.
fn data(site: &Site, record: &Record) -> Vec<DataFolder> {
    let mut folders = record.data.clone();
    let text = |path: &dyn Display| path.to_string();
    let volumes = (site.storage.kind == StorageKind::LocalPath).then(|| text(&site.storage.path));
    for (kind, path) in [
        (DataKind::Etcd, Some(text(&site.etcd.data_dir))),
        (DataKind::Registry, Some(text(&site.registry.data_dir))),
        (DataKind::Snapshots, Some(text(&site.etcd.snapshot_dir))),
        (DataKind::Volumes, volumes),
    ] {
        let Some(path) = path.filter(|_| !record.has_marked(kind)) else { continue };
        let named = match kind {
            DataKind::Volumes => record.has_done("unit:kubelet.service"),
            _ => record.has_done(&format!("folder:{path}")),
        };
        if named {
            folders.push(DataFolder { install: None, kind, path });
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Output, Stdio};

    use super::*;

    const SHELLS: [&str; 2] = ["dash", "bash"];

    /// A host below a folder: programs that are scripted stand first in its path.
    struct Bed(tempfile::TempDir);

    impl Bed {
        fn new() -> Self {
            let bed = Self(tempfile::tempdir().unwrap());
            for folder in ["var/lib/ferry/before", "bin"] {
                std::fs::create_dir_all(bed.at(folder)).unwrap();
            }
            bed
        }
        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path.trim_start_matches('/'))
        }
        fn put(&self, path: &str, text: &str) {
            std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
            std::fs::write(self.at(path), text).unwrap();
        }
        fn all(&self, paths: &[&str], text: &str) {
            for path in paths {
                self.put(path, text);
            }
        }
        fn program(&self, name: &str, script: &str) {
            self.put(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(self.at(&format!("bin/{name}")), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        /// The script with all of the host's folders below this one.
        fn moved(&self, script: &str) -> String {
            let root = self.0.path().display().to_string();
            let folders = [
                "/var/lib/",
                "/var/log/",
                "/var/run/",
                "/etc/",
                "/opt/",
                "/usr/libexec/",
                "/root/",
                "/run/",
                "/sys/fs/",
                "/usr/local/",
            ];
            let mut text = script.to_owned();
            for folder in folders {
                // Only where a path begins.
                for before in [" ", "\"", "'", "\n", "=", "(", "<", ">", "{"] {
                    text = text.replace(&format!("{before}{folder}"), &format!("{before}{root}{folder}"));
                }
            }
            text
        }
        fn sh(&self, shell: &str, script: &str) -> Output {
            let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap_or_default());
            Command::new(shell).args(["-c", &self.moved(script)]).env("PATH", path).output().unwrap()
        }
        fn paths(&self) -> BTreeSet<String> {
            fn walk(folder: &std::path::Path, found: &mut BTreeSet<String>) {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() && !path.is_symlink() {
                        walk(&path, found);
                    }
                    found.insert(path.display().to_string());
                }
            }
            let mut found = BTreeSet::new();
            walk(self.0.path(), &mut found);
            found
        }
        /// Notes what there is, as the first step of an install does.
        fn noted(&self) {
            let (mut folders, mut entries) = (String::new(), String::new());
            for folder in MADE.iter().chain(&HOLLOW).chain(&crate::step::SHARED) {
                if let Ok(list) = std::fs::read_dir(self.at(folder)) {
                    folders.push_str(&format!("{}\n", self.at(folder).display()));
                    for entry in list {
                        entries.push_str(&format!("{}\n", entry.unwrap().path().display()));
                    }
                }
            }
            self.put("var/lib/ferry/before/folders", &folders);
            self.put("var/lib/ferry/before/entries", &entries);
        }
    }

    /// What others may have where programs of the cluster put theirs.
    const THEIRS: [&str; 12] = [
        "etc/kubernetes/manifests/theirs.yaml",
        "etc/kubernetes/theirs.conf",
        "etc/kubernetes/tmp/theirs",
        "etc/kubernetes/pki/theirs.crt",
        "etc/cni/net.d/87-podman.conflist",
        "opt/cni/bin/theirs",
        "opt/containerd/bin/theirs",
        "etc/nri/conf.d/theirs.conf",
        "usr/libexec/kubernetes/kubelet-plugins/volume/exec/them~driver/driver",
        "root/.kube/config",
        "etc/systemd/logind.conf.d/10-theirs.conf",
        "run/netns/theirs",
    ];

    /// Likewise, where it is noted that they had it before ferry.
    const EARLIER: [&str; 6] = [
        "var/lib/kubelet/theirs",
        "var/lib/cni/networks/podman/last",
        "var/log/pods/theirs/0.log",
        "var/lib/containerd/theirs/x",
        "etc/kubernetes/admin.conf",
        "root/.kube/cache/http/theirs",
    ];

    /// What programs of the cluster have put there.
    const OURS: [&str; 10] = [
        "etc/kubernetes/manifests/kube-apiserver.yaml",
        "etc/kubernetes/kubelet.conf",
        "etc/kubernetes/tmp/kubeadm-backup/x",
        "etc/kubernetes/pki/apiserver.key",
        "etc/cni/net.d/10-calico.conflist",
        "opt/cni/bin/calico",
        "var/lib/kubelet/config.yaml",
        "var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
        "var/lib/cni/results/ferry-x",
        "run/containerd/x",
    ];

    #[test]
    fn files_of_others_stay_where_programs_of_the_cluster_have_put_theirs() {
        for shell in SHELLS {
            for earlier in [false, true] {
                let bed = Bed::new();
                bed.program("systemctl", ":");
                if earlier {
                    bed.all(&EARLIER, "theirs");
                    bed.all(&THEIRS, "theirs");
                    bed.noted();
                    // kubeadm has written one in the place of theirs.
                    bed.put("var/lib/ferry/before/kubeadm-scheduler.conf", "theirs");
                    bed.put("etc/kubernetes/scheduler.conf", "ours");
                } else {
                    bed.noted();
                    bed.all(&THEIRS, "theirs");
                }
                // A link of others leads out of a folder that is cleared.
                bed.put("outside/x", "theirs");
                let before = bed.paths();
                bed.all(&OURS, "ours");
                std::fs::create_dir_all(bed.at("var/lib/kubelet/pods")).unwrap();
                symlink(bed.at("outside"), bed.at("var/lib/kubelet/pods/link")).unwrap();
                for folder in
                    ["opt/containerd/lib", "opt/nri/plugins", "usr/libexec/kubernetes/kubelet-plugins/volume/exec"]
                {
                    std::fs::create_dir_all(bed.at(folder)).unwrap();
                }
                for script in [stored(), format!("{CLEAR}{WRITTEN}")] {
                    let output = bed.sh(shell, &script);
                    assert!(output.status.success(), "{shell} {}", String::from_utf8_lossy(&output.stderr));
                }
                if earlier {
                    assert_eq!(std::fs::read_to_string(bed.at("etc/kubernetes/scheduler.conf")).unwrap(), "theirs");
                }
                let after = bed.paths();
                let lost: Vec<_> = before.difference(&after).collect();
                assert!(lost.is_empty(), "{shell} {earlier}: {lost:#?}");
                let left: Vec<_> = after.difference(&before).filter(|path| bed.at(path.as_str()).is_file()).collect();
                assert!(left.is_empty(), "{shell} {earlier}: {left:#?}");
                assert!(OURS.iter().all(|path| !bed.at(path).exists()), "{shell} {earlier}: {:#?}", bed.paths());
            }
        }
    }

    #[test]
    fn a_folder_of_before_of_which_nothing_more_was_noted_keeps_its_content() {
        for shell in SHELLS {
            let bed = Bed::new();
            bed.put("var/lib/kubelet/x", "x");
            bed.put("var/lib/calico/y", "y");
            bed.put("var/lib/ferry/before/folders", &format!("{}\n", bed.at("var/lib/kubelet").display()));
            let output = bed.sh(shell, &stored());
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(bed.at("var/lib/kubelet/x").exists() && !bed.at("var/lib/calico").exists(), "{output:?}");
            assert!(said.contains("note: ") && said.contains("var/lib/kubelet stays"), "{said}");
        }
    }

    #[test]
    fn only_processes_of_this_hosts_kubelet_are_ended() {
        for shell in SHELLS {
            let bed = Bed::new();
            let sleeper = || Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
            let (mut ours, mut theirs) = (sleeper(), sleeper());
            bed.put("sys/fs/cgroup/cgroup.controllers", "cpu\n");
            bed.put("sys/fs/cgroup/kubepods.slice/a.slice/cgroup.procs", &format!("{}\n", ours.id()));
            for nested in
                ["kind.slice/kubepods.slice", "machine.slice/kubelet.slice/kubepods-b.slice", "kubepods.slice.d"]
            {
                bed.put(&format!("sys/fs/cgroup/{nested}/cgroup.procs"), &format!("{}\n", theirs.id()));
            }
            bed.program("systemctl", "case \"$*\" in *ControlGroup*) echo ControlGroup=;; is-active*) exit 0;; esac");
            let ctr = "case \"$*\" in 'namespaces ls -q') echo k8s.io; echo moby; echo default;; '-n moby containers ls -q') echo c1;; esac";
            bed.program("ctr", ctr);
            std::fs::create_dir_all(bed.at("usr/local/bin")).unwrap();
            std::fs::rename(bed.at("bin/ctr"), bed.at("usr/local/bin/ctr")).unwrap();
            let named = |digit: &str| ["cni-8c0ffee1", "1111", "2222", "3333", "44444444444"].join("-") + digit;
            let (theirs_too, our, before) = (named("1"), named("2"), named("3"));
            for (name, text) in [("podman-1-eth0", &theirs_too), ("ferry-2-eth0", &our)] {
                bed.put(&format!("var/lib/cni/results/{name}"), &format!("{{\"sandbox\":\"/var/run/netns/{text}\"}}"));
            }
            let all = [&theirs_too, &our, &before, "cni-of-somebody", "other"];
            for name in all {
                bed.put(&format!("run/netns/{name}"), "");
            }
            bed.put("var/lib/ferry/before/entries", &format!("{}\n", bed.at(&format!("run/netns/{before}")).display()));
            // Once they are ended the kernel lists them no more.
            let procs = bed.at("sys/fs/cgroup/kubepods.slice/a.slice/cgroup.procs");
            let kill = format!("kill() {{ command kill \"$@\"; : >{}; }}\nsleep() {{ :; }}\n", procs.display());
            let output = bed.sh(shell, &format!("{CLEAR}set +e\n{kill}{PODS}"));
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{shell} {output:?}");
            assert!(!ours.wait().unwrap().success() && theirs.try_wait().unwrap().is_none(), "{shell}");
            theirs.kill().unwrap();
            theirs.wait().unwrap();
            let spaces: Vec<bool> = all.map(|name| bed.at(&format!("run/netns/{name}")).exists()).into();
            assert_eq!(spaces, [true, false, true, true, true], "{shell}");
            assert!(said.contains("namespaces moby") && !said.contains("default"), "{said}");
            // The folders of that containerd stay then.
            bed.put("run/containerd/x", "theirs");
            bed.sh(shell, &stored());
            assert!(bed.at("run/containerd/x").exists());
        }
    }

    /// What `iptables-save` shows of a host on which others have rules, too: in the end only theirs may be left.
    const TABLES: &str = include_str!("tables.txt");

    #[test]
    fn rules_of_others_are_neither_removed_nor_written_again() {
        for shell in SHELLS {
            let bed = Bed::new();
            bed.put("etc/ferry/network", "flannel\n");
            bed.put("tables", TABLES);
            bed.put("var/lib/ferry/before/chains", "KUBE-BEFORE\nPREROUTING\n");
            bed.program("ip", ":");
            bed.program("nft", ":");
            bed.program(
                "ipset",
                &format!(
                    "case $1 in list) printf 'KUBE-SRC\\ncali40x\\ntheirs\\nKUBE-OLD\\n';; *) echo \"$*\" >>{};; esac",
                    bed.at("sets").display()
                ),
            );
            bed.put("var/lib/ferry/before/ipsets", "KUBE-OLD\n");
            bed.program("iptables-save", &format!("cat {}", bed.at("tables").display()));
            bed.program("iptables-restore", &format!("echo \"$*\" >{0}; cat >>{0}", bed.at("change").display()));
            for none in ["iptables-nft", "iptables-legacy", "ip6tables", "ip6tables-nft", "ip6tables-legacy"] {
                bed.program(&format!("{none}-save"), ":");
                bed.program(&format!("{none}-restore"), "exit 1");
            }
            let output = bed.sh(shell, &format!("{CLEAR}set +e\npods=10.244.0.0/16 hosts='10.0.0.1'\n{NETWORK}"));
            assert!(output.status.success() && output.stderr.is_empty(), "{shell} {output:?}");
            let change = std::fs::read_to_string(bed.at("change")).unwrap();
            insta::assert_snapshot!("rules_taken_out", change);
            assert_eq!(std::fs::read_to_string(bed.at("sets")).unwrap(), "destroy KUBE-SRC\n");
        }
    }

    #[expect(clippy::print_stderr, reason = "a test that can't run says so")]
    #[test]
    fn links_and_tables_of_others_stay_in_a_real_network() {
        let sh = |script: &str| Command::new("bash").args(["-c", script]).output().unwrap();
        for (n, shell) in SHELLS.iter().enumerate() {
            let space = format!("ferry-sw{n}-{}", std::process::id());
            if !sh(&format!("ip netns add {space}")).status.success() {
                eprintln!("not run: network namespaces can't be made here");
                return;
            }
            let inside = |script: &str| sh(&format!("ip netns exec {space} bash -c {}", quote(script)));
            let bed = Bed::new();
            bed.put("etc/ferry/network", "host-routes\n");
            bed.put(
                "var/lib/cni/results/ferry-1-eth0",
                "{\"interfaces\":[{\"name\":\"veth00aa\"},{\"name\":\"eth0\"}]}",
            );
            bed.put("var/lib/cni/results/podman-1-eth0", "{\"interfaces\":[{\"name\":\"veth00bb\"}]}");
            bed.put("var/lib/ferry/before/nft-tables", "");
            bed.put("var/lib/ferry/before/links", "lo\ncni0x\n");
            let made = inside(
                "set -e; for l in cni0 theirs0 br-x; do ip link add $l type bridge; ip link set $l up; done
                 ip addr add 10.244.0.1/24 dev cni0; ip addr add 10.0.0.9/24 dev theirs0
                 for p in 00aa 00bb 00cc 00dd; do ip link add veth$p type veth peer name p$p; done
                 ip link set veth00cc master cni0; ip link set veth00dd master br-x
                 ip link add cali0123456789a type veth peer name pcali; ip link add flannel.1 type dummy; ip link add cali-mine type dummy
                 ip route add 10.244.1.0/24 via 10.0.0.1; ip route add 10.244.9.0/24 via 10.0.0.77",
            );
            let tables = inside(
                "nft add table ip mine; nft add chain ip mine c; nft add table ip nat; nft 'add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }'
                 nft add rule ip nat POSTROUTING oifname theirs0 masquerade; nft add table ip kube-proxy; nft add table ip raw",
            );
            let pods = "pods=10.244.0.0/16 hosts='10.0.0.1 10.0.0.2'";
            let script = bed.moved(&format!("{CLEAR}set +e\n{pods}\n{NETWORK}"));
            let run = sh(&format!("ip netns exec {space} {shell} -c {}", quote(&script)));
            let links = String::from_utf8(
                inside("ip -o link | sed 's/^[0-9]*: \\([^:@]*\\).*/\\1/' | sort | tr '\\n' ' '").stdout,
            )
            .unwrap();
            let routes = String::from_utf8(inside("ip route show root 10.244.0.0/16").stdout).unwrap();
            let rules = String::from_utf8(inside("nft list ruleset").stdout).unwrap();
            sh(&format!("ip netns del {space}"));
            if !made.status.success() {
                eprintln!("not run: {}", String::from_utf8_lossy(&made.stderr));
                return;
            }
            assert!(run.status.success(), "{run:?}");
            assert_eq!(
                links, "br-x cali-mine cali0123456789a flannel.1 lo p00bb p00dd pcali theirs0 veth00bb veth00dd ",
                "{shell}"
            );
            assert!(routes.contains("10.0.0.77") && !routes.contains("10.0.0.1 "), "{shell} {routes}");
            if tables.status.success() {
                assert!(
                    rules.contains("table ip mine") && rules.contains("masquerade") && !rules.contains("kube-proxy"),
                    "{rules}"
                );
            }
        }
    }
}
