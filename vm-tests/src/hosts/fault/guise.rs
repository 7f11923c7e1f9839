//! What a host is made to look like, or made to run, that it is not: its clock, its kernel's words, services, agents,
//! somebody at work on its packages, leftovers in its configuration. The host itself stays usable.

use super::steps::{inside, instead, over};
use super::{Fault, Steps};

/// Answers every question for a name with one address.
const WILDCARD: &str = r#"import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 53))
while True:
    q, who = s.recvfrom(512)
    end = q.index(0, 12) + 5
    four = q[end - 4:end - 2] == b"\0\1"
    a = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton("ADDRESS") if four else b""
    s.sendto(q[:2] + b"\x85\x80\0\1" + (b"\0\1" if four else b"\0\0") + b"\0\0\0\0" + q[12:end] + a, who)
"#;

/// A program of the system that says something else: `script` gets the real one as `$real`.
fn wrapped(program: &str, script: &str) -> Steps {
    let (path, kept) = (format!("/usr/bin/{program}"), format!("/usr/bin/.{program}.ferry-kept"));
    inside(
        format!(
            "set -e; [ -e {kept} ] || mv {path} {kept}
            {{ echo '#!/bin/sh'; echo real={kept}; cat <<'SCRIPT'\n{script}\nSCRIPT\n}} > {path}; chmod 755 {path}"
        ),
        format!("[ ! -e {kept} ] || mv -f {kept} {path}"),
    )
}

/// A service that is there for its name alone.
fn runs(unit: &str, command: &str) -> Steps {
    inside(format!("systemd-run -q --unit={unit} {command}"), format!("systemctl stop {unit} 2>/dev/null; true"))
}

impl Fault {
    /// The steps of these faults; `None` for others.
    pub(super) fn guise(&self) -> Option<Steps> {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        Some(match self.name {
            "clock" => wrapped("date", &format!("exec $real -d '{} seconds' \"$@\"", word(0))),
            "uname" => {
                let (option, value) = (word(0), word(1));
                wrapped("uname", &format!("[ \"$1\" = {option} ] && {{ echo {value}; exit; }}\nexec $real \"$@\""))
            }
            "cpu-without" => over("cpu", "/proc/cpuinfo", &format!("sed 's/ {} / /' /proc/cpuinfo", word(0))),
            "no-controller" => over("cgroups", "/proc/cgroups", &format!("grep -v '^{}\\b' /proc/cgroups", word(0))),
            // An sshd beside systemd's own unit: what is taken from the unit would need a reload of systemd.
            "no-capability" => {
                let name = word(0).trim_start_matches("CAP_").to_lowercase();
                inside(
                    format!(
                        "systemctl stop ssh && systemd-run -q --unit=ferry-fault-sshd -p KillMode=process \
                         -p RuntimeDirectory=sshd setpriv --bounding-set -{name} /usr/sbin/sshd -D"
                    ),
                    "systemctl stop ferry-fault-sshd 2>/dev/null; systemctl start ssh",
                )
            }
            "service" => runs(word(0), "sleep infinity"),
            "process" => {
                let folder = "/opt/ferry-fault";
                let (program, unit) = (format!("{folder}/{}", word(0)), format!("ferry-fault-{}", word(0)));
                inside(
                    format!(
                        "mkdir -p {folder} && cp /bin/sleep {program} && systemd-run -q --unit={unit} {program} infinity"
                    ),
                    format!("systemctl stop {unit} 2>/dev/null; rm -rf {folder}"),
                )
            }
            "package-lock" => runs("ferry-fault-lock", "flock /var/lib/dpkg/lock-frontend sleep infinity"),
            "enabled-unit" => {
                let (folder, name) = ("/etc/systemd/system", word(0));
                let link = format!("{folder}/multi-user.target.wants/{name}");
                inside(
                    format!(
                        "printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' > {folder}/{name} \
                         && ln -s {folder}/{name} {link}"
                    ),
                    format!("rm -f {link} {folder}/{name}"),
                )
            }
            "port-held" => runs(
                &format!("ferry-fault-held-{}", word(0)),
                &format!(
                    "python3 -c 'import socket, time; s = socket.socket(); s.bind((\"0.0.0.0\", {})); time.sleep(1e6)'",
                    word(0)
                ),
            ),
            "reboot-due" => inside("touch /run/reboot-required", "rm -f /run/reboot-required"),
            // timedated remembers the zone that it began with.
            "time-zone" => inside(
                format!(
                    "readlink /etc/localtime > /run/ferry-fault-zone; ln -sfn /usr/share/zoneinfo/{} /etc/localtime; \
                     systemctl stop systemd-timedated",
                    word(0)
                ),
                "[ ! -e /run/ferry-fault-zone ] || ln -sfn \"$(cat /run/ferry-fault-zone)\" /etc/localtime; \
                 systemctl stop systemd-timedated",
            ),
            "proxy" => inside(
                format!("echo 'export http_proxy={}' > /etc/profile.d/ferry-fault.sh", word(0)),
                "rm -f /etc/profile.d/ferry-fault.sh",
            ),
            "hosts-line" => instead("/etc/hosts", &format!("echo '{} {}' >> /etc/hosts", word(0), word(1))),
            "nsswitch" => {
                instead("/etc/nsswitch.conf", &format!("sed -i 's/^hosts:.*/hosts: {}/' /etc/nsswitch.conf", word(0)))
            }
            "search-domains" => {
                let list = format!("$(seq -f 'd%g.example' {})", word(0));
                instead("/etc/resolv.conf", &format!("echo search {list} >> /etc/resolv.conf"))
            }
            "wildcard-dns" => {
                let answer = WILDCARD.replace("ADDRESS", word(0));
                let (file, unit) = ("/run/ferry-fault-names.py", "ferry-fault-names");
                let begin =
                    format!("cat > {file} <<'PYTHON'\n{answer}PYTHON\nsystemd-run -q --unit={unit} python3 {file}");
                let mut steps = instead("/etc/resolv.conf", "echo nameserver 127.0.0.1 > /etc/resolv.conf");
                steps.apply.extend(inside(begin, "").apply);
                steps.also(&format!("systemctl stop {unit} 2>/dev/null; rm -f {file}"))
            }
            "drop-policy" => inside(
                "nft 'add table inet ferry_fault; add chain inet ferry_fault input { type filter hook input priority 0; \
                 policy drop; }; add rule inet ferry_fault input accept'",
                "nft delete table inet ferry_fault 2>/dev/null; true",
            ),
            _ => return None,
        })
    }
}
