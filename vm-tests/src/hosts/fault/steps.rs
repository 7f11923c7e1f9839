//! What each fault does, and what takes it back. Taking back must work on a host that was cut off from power since:
//! mounts and processes may be gone already.

use super::{Fault, Steps, Where};
use crate::hosts::lab::{HostPlace, Lab};

pub(super) fn inside(apply: impl Into<String>, heal: impl Into<String>) -> Steps {
    Steps { apply: vec![Where::Inside(apply.into())], heal: vec![Where::Inside(heal.into())] }
}

fn lab_side(apply: impl Into<String>, heal: impl Into<String>) -> Steps {
    Steps { apply: vec![Where::Lab(apply.into())], heal: vec![Where::Lab(heal.into())] }
}

fn namespace(apply: impl Into<String>, heal: impl Into<String>) -> Steps {
    Steps { apply: vec![Where::Namespace(apply.into())], heal: vec![Where::Namespace(heal.into())] }
}

/// A table of the lab's bridge with these rules in these hooks.
fn bridge(table: &str, chains: &[(&str, &str)]) -> Steps {
    let chain = |(hook, rules): &(&str, &str)| {
        format!("chain {hook} {{ type filter hook {hook} priority 0; policy accept; {rules}\n}}\n")
    };
    let chains: String = chains.iter().map(chain).collect();
    let gone = format!("table bridge {table}\ndelete table bridge {table}\n");
    lab_side(
        format!("nft -f - <<'RULES'\n{gone}table bridge {table} {{\n{chains}}}\nRULES"),
        format!("nft -f - <<'RULES'\n{gone}RULES"),
    )
}

/// A file for sshd, which then reads its configuration again.
fn sshd(line: &str) -> Steps {
    let file = "/etc/ssh/sshd_config.d/00-ferry-fault.conf";
    inside(format!("echo '{line}' >> {file} && systemctl reload ssh"), format!("rm -f {file} && systemctl reload ssh"))
}

/// A file that is kept aside while the fault lasts.
pub(super) fn instead(path: &str, apply: &str) -> Steps {
    let kept = format!("{path}.ferry-kept");
    inside(
        format!("set -e; [ -e {kept} ] || cp -a {path} {kept}; {apply}"),
        format!("[ ! -e {kept} ] || mv -f {kept} {path}"),
    )
}

/// A file of the kernel's that is covered by what `make` prints.
pub(super) fn over(name: &str, path: &str, make: &str) -> Steps {
    let fake = format!("/run/ferry-fault-{name}");
    inside(
        format!("{{ {make}; }} > {fake} && mount --bind {fake} {path}"),
        format!("umount {path} 2>/dev/null; rm -f {fake}"),
    )
}

/// A kernel module that the kernel has, hidden wherever its absence would show: what modprobe knows, what is loaded, the
/// kernel's configuration, and its file systems.
const NO_MODULE: &str = "set -e; m=NAME; list=/lib/modules/$(uname -r)/modules.builtin; f=/run/ferry-fault-module
cp -n $list $list.kept; sed -i \"/\\/$m.ko$/d\" $list; depmod -a
mkdir -p $f/module; (cd /sys/module && ls) | while read -r n; do [ \"$n\" = \"$m\" ] || mkdir -p $f/module/$n; done
mount --bind $f/module /sys/module
case $m in ip_tables) c=IP_NF_IPTABLES;; br_netfilter) c=BRIDGE_NETFILTER;; overlay) c=OVERLAY_FS;; *) c=$(echo $m | tr a-z A-Z);; esac
if [ -r /proc/config.gz ]; then zcat /proc/config.gz | grep -v \"^CONFIG_$c=\" | gzip > $f/config; mount --bind $f/config /proc/config.gz; fi
grep -v \"$m\" /proc/filesystems > $f/filesystems || true; mount --bind $f/filesystems /proc/filesystems";

const MODULE_AGAIN: &str = "list=/lib/modules/$(uname -r)/modules.builtin
for path in /proc/filesystems /proc/config.gz /sys/module; do umount $path 2>/dev/null; done; rm -rf /run/ferry-fault-module
[ ! -e $list.kept ] || { mv -f $list.kept $list && depmod -a; }";

const NOISE: &str = r#"set -e
for file in /etc/profile.d/zz-ferry-fault.sh /root/.bashrc /home/ops/.bashrc /home/pw/.bashrc; do
    [ ! -e "$file" ] || cp -a "$file" "$file.ferry-kept"
    { echo 'echo "*** AUTHORIZED USE ONLY *** $(date)"; echo "warning: 3 updates" >&2; TMOUT=120; readonly TMOUT; stty sane 2>/dev/null'
      [ ! -e "$file.ferry-kept" ] || cat "$file.ferry-kept"; } > "$file"
done"#;

const QUIET: &str = r#"for file in /etc/profile.d/zz-ferry-fault.sh /root/.bashrc /home/ops/.bashrc /home/pw/.bashrc; do
    if [ -e "$file.ferry-kept" ]; then mv -f "$file.ferry-kept" "$file"; else rm -f "$file"; fi
done"#;

const LEFTOVERS: &str = "set -e
mkdir -p /etc/kubernetes/manifests /etc/kubernetes/pki /var/lib/etcd/member/wal /etc/cni/net.d
echo 'kind: Pod' > /etc/kubernetes/manifests/kube-apiserver.yaml
echo old > /etc/kubernetes/pki/ca.crt
head -c 65536 /dev/zero > /var/lib/etcd/member/wal/0000000000000000-0000000000000000.wal
echo '{\"cniVersion\":\"0.4.0\",\"name\":\"old\",\"plugins\":[]}' > /etc/cni/net.d/05-old.conflist";

impl Fault {
    /// What it does on this host, and what takes it back.
    pub(in crate::hosts) fn steps(&self, lab: &Lab, host: &HostPlace) -> Steps {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        if let Some(steps) = self.guise() {
            return steps;
        }
        match self.name {
            "link-down" | "slow-link" | "lossy-link" | "delay" | "mtu" | "bastion" | "firewall"
            | "no-default-route" | "route" | "address" | "small-path" => self.network(lab, host),
            "noexec-tmp" | "disk-full" | "small-disk" | "few-inodes" | "read-only" | "linked" | "private-mounts" => {
                self.disk()
            }
            "noisy-shell" => inside(NOISE, QUIET),
            "changed-host-key" => Steps {
                apply: vec![Where::Inside(
                    "set -e; rm -f /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh".into(),
                )],
                heal: Vec::new(),
            },
            "no-sftp" => {
                let mut steps = instead("/etc/ssh/sshd_config", "sed -i '/^Subsystem/d' /etc/ssh/sshd_config");
                steps.apply.push(Where::Inside("systemctl reload ssh".into()));
                steps.heal.push(Where::Inside("systemctl reload ssh".into()));
                steps
            }
            "no-forwarding" => sshd("AllowTcpForwarding no"),
            "max-sessions" => sshd(&format!("MaxSessions {}", word(0))),
            "umask" => instead(
                "/etc/pam.d/sshd",
                &format!("echo 'session optional pam_umask.so umask={}' >> /etc/pam.d/sshd", word(0)),
            ),
            "locale" => instead(
                "/etc/pam.d/sshd",
                &format!(
                    "echo 'LANG={0}' > /etc/default/locale; echo 'LC_ALL={0}' >> /etc/default/locale; \
                     echo 'session required pam_env.so readenv=1 envfile=/etc/default/locale' >> /etc/pam.d/sshd",
                    word(0)
                ),
            )
            .also("rm -f /etc/default/locale"),
            "port-taken" => {
                let unit = format!("ferry-fault-{}-{}", word(0), word(1));
                let listen = if word(0) == "udp" { "UDP-RECV" } else { "TCP-LISTEN" };
                let options = if word(0) == "udp" { "" } else { ",fork,reuseaddr" };
                inside(
                    format!("systemd-run -q --unit={unit} socat -u {listen}:{}{options} OPEN:/dev/null", word(1)),
                    format!("systemctl stop {unit} 2>/dev/null; true"),
                )
            }
            "cpus" => {
                let set =
                    |value: &str| Where::Cgroup { hierarchy: "cpuset", file: "cpuset.cpus", value: value.to_owned() };
                let all = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
                Steps { apply: vec![set(word(0))], heal: vec![set(all.trim())] }
            }
            _ => self.system(),
        }
    }

    /// Faults that live as long as the lab, not as the host: those that a reset has to take back.
    pub(in crate::hosts) fn outside(&self, lab: &Lab, host: &HostPlace) -> Vec<Where> {
        self.steps(lab, host).heal.into_iter().filter(|step| matches!(step, Where::Lab(_))).collect()
    }

    fn network(&self, lab: &Lab, host: &HostPlace) -> Steps {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        let (number, link, address) = (host.number, &host.link, host.address);
        match self.name {
            "link-down" => lab_side(format!("ip link set {link} down"), format!("ip link set {link} up")),
            "slow-link" | "delay" => {
                let queue = if self.name == "delay" {
                    format!("netem delay {}ms", word(0))
                } else {
                    format!("tbf rate {} burst 32kb latency 400ms", word(0))
                };
                let set = |device: &str| format!("tc qdisc replace dev {device} root {queue}");
                let clear = |device: &str| format!("tc qdisc del dev {device} root 2>/dev/null || true");
                Steps {
                    apply: vec![Where::Lab(set(link)), Where::Namespace(set("eth0"))],
                    heal: vec![Where::Lab(clear(link)), Where::Namespace(clear("eth0"))],
                }
            }
            "lossy-link" => {
                // nft refuses a comparison that is always true.
                let chance = match word(0) {
                    "100" => String::new(),
                    percent => format!("numgen random mod 100 < {percent} "),
                };
                let drop = |way: &str| format!("{way} \"{link}\" {chance}drop");
                let (arriving, leaving) = (drop("iifname"), drop("oifname"));
                bridge(&format!("ferry_lossy_{number}"), &[("prerouting", &arriving), ("postrouting", &leaving)])
            }
            "mtu" => namespace(format!("ip link set eth0 mtu {}", word(0)), "ip link set eth0 mtu 1500"),
            "bastion" => {
                let rule = format!("ip daddr {address} tcp dport 22 ip saddr != 10.77.0.11 drop");
                bridge(&format!("ferry_bastion_{number}"), &[("forward", &rule), ("output", &rule)])
            }
            "firewall" => {
                let rule = format!("ip daddr {address} {} dport {} drop", word(0), word(1));
                let table = format!("ferry_firewall_{number}_{}_{}", word(0), word(1));
                bridge(&table, &[("forward", &rule), ("output", &rule)])
            }
            "small-path" => {
                let rule = format!("iifname \"v{}\" oifname \"{link}\" meta length > {} drop", word(1), word(0));
                bridge(&format!("ferry_path_{number}_{}", word(1)), &[("forward", &rule)])
            }
            "address" => {
                let change = |verb: &str| format!("ip addr {verb} {} dev eth0", word(0));
                namespace(change("add"), format!("{} 2>/dev/null || true", change("del")))
            }
            "route" => {
                let route = format!("{} via {}", word(0), lab.gateway());
                namespace(format!("ip route add {route}"), format!("ip route del {route} || true"))
            }
            _ => namespace("ip route del default", format!("ip route replace default via {}", lab.gateway())),
        }
    }

    fn disk(&self) -> Steps {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        let mounted = |options: &str, path: &str| {
            inside(
                format!("mkdir -p {path} && mount -t tmpfs -o {options} tmpfs {path}"),
                format!("umount {path} 2>/dev/null; true"),
            )
        };
        match self.name {
            "noexec-tmp" => mounted("noexec,nosuid,nodev,mode=1777,size=256m", "/tmp"),
            "small-disk" => {
                let mut steps = mounted(&format!("size={}m", word(1)), word(0));
                steps.heal.push(Where::Inside(format!("rmdir {} 2>/dev/null; true", word(0))));
                steps
            }
            "few-inodes" => {
                let mut steps = mounted("size=64g,nr_inodes=200", word(0));
                steps.apply.push(Where::Inside(format!("cd {} && seq 190 | xargs touch", word(0))));
                steps
            }
            "linked" => inside(
                format!("mkdir -p /opt/ferry-linked && ln -s /opt/ferry-linked {}", word(0)),
                format!("rm -f {}; rmdir /opt/ferry-linked 2>/dev/null; true", word(0)),
            ),
            "private-mounts" => inside("mount --make-private /", "mount --make-shared /"),
            "read-only" => inside(
                format!("mkdir -p {0} && mount --bind {0} {0} && mount -o remount,bind,ro {0}", word(0)),
                format!("umount {} 2>/dev/null; true", word(0)),
            ),
            // The space is reserved, not written: it costs the machine nothing.
            _ => inside(
                format!(
                    "free=$(df --output=avail -m /var | tail -1); fallocate -l $((free - {}))M /var/ferry-fault.fill",
                    word(0)
                ),
                "rm -f /var/ferry-fault.fill",
            ),
        }
    }

    fn system(&self) -> Steps {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        match self.name {
            "hostname" => {
                // hostname(1) refuses names that a kernel takes.
                let call = |name: &str| format!("python3 -c 'import socket; socket.sethostname({name})'");
                let set = call(&format!("\"{}\"", word(0)));
                instead("/etc/hostname", &format!("echo {} > /etc/hostname; {set}", word(0)))
                    .also(&call("open(\"/etc/hostname\").read().strip()"))
            }
            "same-machine-id" => instead("/etc/machine-id", "echo 0123456789abcdef0123456789abcdef > /etc/machine-id"),
            "no-resolv-conf" => instead("/etc/resolv.conf", "rm /etc/resolv.conf"),
            "nameserver" => instead("/etc/resolv.conf", &format!("echo nameserver {} > /etc/resolv.conf", word(0))),
            "firewalld" | "chrony" => inside(
                format!("systemctl enable -q --now {}.service", self.name),
                format!("systemctl disable -q --now {}.service", self.name),
            ),
            "leftovers" => inside(
                LEFTOVERS,
                "rm -rf /etc/kubernetes /var/lib/etcd/member /etc/cni/net.d/05-old.conflist; rmdir /var/lib/etcd /etc/cni/net.d /etc/cni 2>/dev/null; true",
            ),
            "swap" => over(
                "swap",
                "/proc/swaps",
                r"printf 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/sdb1                               partition\t4194300\t\t0\t\t-2\n'",
            ),
            "memory" => over(
                "memory",
                "/proc/meminfo",
                &format!(
                    "sed 's/^\\(MemTotal\\|MemFree\\|MemAvailable\\): .*/\\1: {} kB/' /proc/meminfo",
                    kib(word(0))
                ),
            ),
            "missing-tool" => {
                let each = |change: &str| {
                    format!(
                        "for folder in /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin; do {change} || exit 1; done"
                    )
                };
                let (path, kept) = (format!("$folder/{}", word(0)), format!("$folder/.{}.ferry-kept", word(0)));
                inside(
                    each(&format!("[ ! -e {path} ] && [ ! -L {path} ] || mv {path} {kept}")),
                    each(&format!("[ ! -e {kept} ] && [ ! -L {kept} ] || mv {kept} {path}")),
                )
            }
            "no-module" => inside(NO_MODULE.replace("NAME", word(0)), MODULE_AGAIN),
            "sysctl" => inside(
                format!(
                    "sysctl -n {0} > /run/ferry-fault-{0}; sysctl -q -w {0}=\"{1}\"",
                    word(0),
                    word(1).replace(':', " ")
                ),
                format!("[ ! -e /run/ferry-fault-{0} ] || sysctl -q -w {0}=\"$(cat /run/ferry-fault-{0})\"", word(0)),
            ),
            _ => instead(
                "/etc/os-release",
                &format!(
                    "rm /etc/os-release; printf 'NAME={0}\\nID={0}\\nVERSION_ID={1}\\n' > /etc/os-release",
                    word(0),
                    word(1)
                ),
            ),
        }
    }
}

impl Steps {
    /// One more thing to do inside when it is taken back.
    pub(super) fn also(mut self, heal: &str) -> Self {
        self.heal.push(Where::Inside(heal.to_owned()));
        self
    }
}

fn kib(mib: &str) -> u64 {
    mib.parse::<u64>().unwrap_or(0) * 1024
}
