//! `bed`: the bed itself. What the other scenarios rely on is tried here: who may do what, that every fault shows
//! and can be taken back, what a power cut keeps, that what leaves is counted, and that nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::error::Error;
use crate::hosts::{self, Driver, Fault, Lab, Nspawn, USER_PASSWORD};
use crate::program::Program;
use crate::run::Bench;

/// The host that is broken.
const HOST: u8 = 2;

/// Where a fault is looked for.
#[derive(Debug, Clone, Copy)]
enum Look {
    /// On the host's console.
    Inside,
    /// On the console of host 1.
    FromFirst,
    /// On the console of host 3.
    FromThird,
    /// In a shell that ops gets by SSH.
    BySsh,
}

use Look::{BySsh, FromFirst, FromThird, Inside};

const PING: &str = "ping -c 1 -W 1 10.77.0.12 >/dev/null && echo reached || echo lost";
const SSHD: &str = "timeout 2 bash -c 'exec 3<>/dev/tcp/10.77.0.12/22' 2>/dev/null && echo reached || echo lost";

/// A fault, where it is looked for and how, and what is seen while it lasts.
const TRIES: [(&str, Look, &str, &str); 59] = [
    ("link-down", FromFirst, PING, "lost"),
    ("slow-link 1mbit", Inside, "tc qdisc show dev eth0 | cut -d' ' -f2", "tbf"),
    ("lossy-link 100", FromFirst, PING, "lost"),
    ("mtu 1400", Inside, "cat /sys/class/net/eth0/mtu; ip -o link show eth0 | grep -o 'mtu [0-9]*'", "1400\nmtu 1400"),
    ("bastion", FromThird, SSHD, "lost"),
    ("firewall tcp 22", FromFirst, SSHD, "lost"),
    ("no-default-route", Inside, "ip route show default | wc -l", "0"),
    ("route 10.96.0.0/16", Inside, "ip route show 10.96.0.0/16 | wc -l", "1"),
    ("disk-full 100", Inside, "[ $(df --output=avail -m /var | tail -1) -le 100 ] && echo full || echo room", "full"),
    (
        "small-disk /var/lib/etcd 20",
        Inside,
        "df --output=size -m /var/lib/etcd 2>/dev/null | tail -1 | tr -d ' '",
        "20",
    ),
    ("read-only /opt", Inside, "touch /opt/x 2>/dev/null && echo yes || echo no; rm -f /opt/x", "no"),
    ("noexec-tmp", Inside, "cp /bin/true /tmp/t; /tmp/t 2>/dev/null && echo yes || echo no; rm -f /tmp/t", "no"),
    ("noisy-shell", BySsh, "true | wc -c; echo $TMOUT", "*** AUTHORIZED USE ONLY ***"),
    ("no-sftp", Inside, "sshd -T | grep -c subsystem; true", "0"),
    ("no-forwarding", Inside, "sshd -T | grep allowtcpforwarding", "allowtcpforwarding no"),
    ("max-sessions 1", Inside, "sshd -T | grep maxsessions", "maxsessions 1"),
    ("umask 077", BySsh, "umask", "0077"),
    ("locale de_DE.UTF-8", BySsh, "ls /nowhere 2>&1; true", "Datei oder Verzeichnis nicht gefunden"),
    ("locale zh_CN.UTF-8", BySsh, "echo $LANG", "zh_CN.UTF-8"),
    ("hostname Node_2", Inside, "hostname", "Node_2"),
    ("same-machine-id", Inside, "cat /etc/machine-id", "0123456789abcdef0123456789abcdef"),
    ("no-resolv-conf", Inside, "[ -e /etc/resolv.conf ] && echo there || echo gone", "gone"),
    ("nameserver 127.0.0.53", Inside, "cat /etc/resolv.conf", "nameserver 127.0.0.53"),
    ("firewalld", Inside, "firewall-cmd --state 2>&1; true", "running"),
    ("chrony", Inside, "systemctl is-active chrony; true", "active"),
    ("leftovers", Inside, "ls /var/lib/etcd/member 2>/dev/null; ls -d /etc/kubernetes 2>/dev/null; true", "wal"),
    ("port-taken tcp 6443", Inside, "sleep 0.2; ss -Hltn sport = 6443 | wc -l", "1"),
    ("port-taken udp 4789", Inside, "sleep 0.2; ss -Hlun sport = 4789 | wc -l", "1"),
    ("swap", Inside, "wc -l < /proc/swaps", "2"),
    ("memory 1024", Inside, "grep MemTotal /proc/meminfo", "1048576 kB"),
    ("cpus 0", Inside, "nproc", "1"),
    ("missing-tool conntrack", Inside, "command -v conntrack || echo missing", "missing"),
    ("no-module br_netfilter", Inside, "modprobe br_netfilter 2>/dev/null && echo yes || echo no", "no"),
    ("sysctl net.ipv4.conf.all.rp_filter 1", Inside, "sysctl -n net.ipv4.conf.all.rp_filter", "1"),
    ("os centos 7", Inside, ". /etc/os-release; echo $ID $VERSION_ID", "centos 7"),
    ("address 10.78.0.12/24", Inside, "ip -o -4 addr show dev eth0 | wc -l", "2"),
    (
        "small-path 1400 1",
        FromFirst,
        "ping -c 1 -W 1 -M do -s 1450 10.77.0.12 >/dev/null && echo reached || echo lost",
        "lost",
    ),
    ("few-inodes /var/lib", Inside, "df --output=ipcent /var/lib | tail -1", "9"),
    ("linked /var/lib/ferry-volumes", Inside, "readlink /var/lib/ferry-volumes; true", "/opt/"),
    ("private-mounts", Inside, "findmnt -no PROPAGATION /", "private"),
    ("clock -86400", Inside, "[ $(date +%s) -lt $(stat -c %Y /proc/self) ] && echo behind || echo right", "behind"),
    ("uname -r 3.10.0", Inside, "uname -r", "3.10.0"),
    ("cpu-without sse4_2", Inside, "grep -cw sse4_2 /proc/cpuinfo; true", "0"),
    ("no-controller memory", Inside, "grep -c ^memory /proc/cgroups; true", "0"),
    ("no-capability CAP_MKNOD", BySsh, "grep CapBnd /proc/self/status", "CapBnd"),
    ("service docker", Inside, "systemctl is-active docker.service; true", "active"),
    ("process falcon-sensor", Inside, "pgrep -c -x falcon-sensor; true", "1"),
    (
        "package-lock",
        Inside,
        "sleep 0.2; flock -n /var/lib/dpkg/lock-frontend true && echo free || echo taken",
        "taken",
    ),
    (
        "enabled-unit dnf-automatic.timer",
        Inside,
        "systemctl is-enabled dnf-automatic.timer 2>/dev/null; true",
        "enabled",
    ),
    (
        "port-held 10256",
        Inside,
        "sleep 0.5; python3 -c 'import socket; socket.socket().bind((\"\", 10256))' 2>/dev/null && echo free || echo held",
        "held",
    ),
    ("reboot-due", Inside, "ls /run/reboot-required 2>/dev/null; true", "/run/reboot-required"),
    ("time-zone Asia/Shanghai", Inside, "readlink /etc/localtime", "Shanghai"),
    ("proxy http://10.0.0.3:3128", Inside, "cat /etc/profile.d/*.sh 2>/dev/null | grep -c http_proxy; true", "1"),
    ("hosts-line 10.0.0.77 node9", Inside, "getent hosts node9; true", "10.0.0.77"),
    ("nsswitch dns", Inside, "grep ^hosts: /etc/nsswitch.conf", "hosts: dns"),
    ("search-domains 30", Inside, "wc -w < /etc/resolv.conf", "31"),
    ("wildcard-dns 10.0.0.80", Inside, "sleep 0.5; getent ahostsv4 any.example | head -1; true", "10.0.0.80"),
    ("drop-policy", Inside, "nft list ruleset | grep -c 'policy drop'; true", "1"),
    // Last: it is not taken back.
    ("changed-host-key", Inside, "cat /etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519"),
];

pub(super) fn run(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    bench.step("hosts: three, as new", || {
        driver.down()?;
        driver.prepare()?;
        driver.up(3)
    })?;
    let counted = bench.step("what leaves is counted", || hosts::self_test(driver, 1))?;
    bench.check("attempts to leave are counted", counted.packets >= 3, format!("{counted:?}"));
    bench.step("what goes between hosts is not", || between(bench))?;
    bench.step("people", || people(bench))?;
    for (fault, look, how, seen) in TRIES {
        bench.step(fault, || try_fault(bench, fault, look, how, seen))?;
    }
    bench.step("power cut", || power(bench))?;
    bench.step("another lab beside this one", || beside(bench))?;
    bench.step("everything goes", || leave(bench))
}

fn look(driver: &dyn Driver, look: Look, how: &str) -> Result<String, Error> {
    let text = match look {
        Inside => driver.must(HOST, how)?,
        FromFirst => driver.must(1, how)?,
        FromThird => driver.must(3, how)?,
        BySsh => driver.ssh(HOST, "ops")?.arg(how).run()?,
    };
    Ok(text.trim().to_owned())
}

fn try_fault(bench: &Bench, fault: &str, place: Look, how: &str, seen: &str) -> Result<(), Error> {
    let driver = &bench.driver;
    let fault = Fault::of(fault)?;
    let before = look(driver, place, how)?;
    driver.fault(HOST, &fault)?;
    let during = look(driver, place, how)?;
    driver.heal(HOST)?;
    let after = look(driver, place, how)?;
    let shows = during != before && during.contains(seen);
    bench.check(&format!("{fault}: shows"), shows, format!("{before:?} became {during:?}"));
    if fault.to_string() != "changed-host-key" {
        bench.check(&format!("{fault}: heals"), after == before, format!("{after:?}"));
    }
    Ok(())
}

/// Address resolution, pings, datagrams in pieces, connections: none of it leaves. A question for a name does, whoever is asked.
fn between(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    driver.forget_egress()?;
    let pieces = "ip neigh flush dev eth0; ping -c 1 -W 1 10.77.0.12 >/dev/null; ping -c 1 -W 1 -s 4000 10.77.0.12 >/dev/null; \
                  head -c 4000 /dev/zero | socat -b 4000 -u - UDP:10.77.0.12:9; true";
    driver.must(1, &format!("{pieces}; {SSHD}"))?;
    let seen = driver.egress()?;
    bench.check("what goes between hosts does not count", seen == hosts::Egress::default(), format!("{seen:?}"));
    driver.must(1, "echo x | timeout 1 socat - UDP:10.77.0.12:53; true")?;
    let asked = driver.egress()?;
    bench.check("a question for a name counts", asked.packets > 0 && !asked.attempts.is_empty(), format!("{asked:?}"));
    driver.forget_egress()
}

/// Who gets in how, and who may become root.
fn people(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    let says = |user: &str, how: &str| -> Result<String, Error> {
        let ended = driver.ssh(1, user)?.arg(how).ended()?;
        Ok(format!("{}{}", ended.stdout, ended.stderr).trim().to_owned())
    };
    let ops = says("ops", "sudo -n id -u")?;
    bench.check("ops is root by rule", ops == "0", ops);
    let pw = says("pw", "sudo -n id -u")?;
    bench.check("sudo asks pw for a password", pw.contains("password is required"), pw);
    let typed = driver.ssh(1, "pw")?.arg("sudo -S -p '' id -u").input(format!("{USER_PASSWORD}\n")).run()?;
    bench.check("with it pw is root", typed.trim() == "0", typed);
    let plain = says("plain", "sudo -n id -u; id -un")?;
    bench.check("plain never is", plain.starts_with("plain") && plain.contains("sudo:"), plain);
    let ask = bench.work.join("password");
    fs::write(&ask, "#!/bin/sh\nprintf '%s\\n' \"$FERRY_VM_PASSWORD\"\n").map_err(Error::file("write", &ask))?;
    fs::set_permissions(&ask, fs::Permissions::from_mode(0o700)).map_err(Error::file("change", &ask))?;
    for way in ["password", "keyboard-interactive"] {
        let login = driver
            .beside("setsid")
            .args(["ssh", "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "PubkeyAuthentication=no", "-o", &format!("PreferredAuthentications={way}")])
            .args([&format!("pw@{}", driver.address(1)?), "id -un"])
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("FERRY_VM_PASSWORD", USER_PASSWORD)
            .ended()?;
        bench.check(&format!("pw gets in by {way}"), login.stdout.trim() == "pw", login.stderr);
    }
    let key = Program::new("ip").args(["netns", "exec", driver.lab().name(), "ssh-keyscan", "-t", "ed25519"]);
    let scanned = key.arg(driver.address(1)?.to_string()).ended()?.stdout;
    bench.check("the host key is the one that the bed knows", scanned.contains(&driver.host_key(1)?), scanned);
    Ok(())
}

/// What was synced survives, what was in memory does not; a reset leaves nothing.
fn power(bench: &Bench) -> Result<(), Error> {
    let driver = &bench.driver;
    driver.must(
        HOST,
        "echo kept > /etc/kept; echo kept > /var/kept; sync; echo gone > /run/gone; systemd-run -q sleep 1000",
    )?;
    driver.kill(HOST)?;
    bench.check("a host without power is down", !driver.is_up(HOST), "");
    let unreachable = driver.must(1, PING)?;
    bench.check("and can't be reached", unreachable.trim() == "lost", unreachable);
    driver.boot(HOST)?;
    let state = driver
        .must(HOST, "cat /etc/kept /var/kept; ls /run/gone 2>/dev/null; pgrep -c sleep; systemctl is-system-running")?;
    bench.check("it boots with its disk, not its memory", state.trim() == "kept\nkept\n0\nrunning", state);
    let reached = driver.must(1, PING)?;
    bench.check("and can be reached", reached.trim() == "reached", reached);
    let old = driver.host_key(HOST)?;
    driver.reset(HOST)?;
    let state = driver.must(HOST, "ls /etc/kept /var/kept 2>/dev/null | wc -l")?;
    bench.check("a reset host has nothing of before", state.trim() == "0" && driver.host_key(HOST)? != old, state);
    Ok(())
}

fn beside(bench: &Bench) -> Result<(), Error> {
    let again = Nspawn::take(&bench.place, bench.driver.lab().clone());
    bench.check("a lab is held by one run", again.is_err(), again.err().map(|error| error.full()).unwrap_or_default());
    let other = Nspawn::take(&bench.place, Lab::named(&bench.place, "bed-beside")?)?;
    other.up(1)?;
    bench.driver.must(1, "timeout 1 bash -c 'exec 3<>/dev/tcp/1.1.1.1/443'; true")?;
    let (here, there) = (bench.driver.egress()?, other.egress()?);
    bench.check(
        "each lab has counters of its own",
        here.packets > 0 && there.packets == 0,
        format!("{here:?} {there:?}"),
    );
    other.down()
}

/// Nothing of the lab is left on the machine.
fn leave(bench: &Bench) -> Result<(), Error> {
    let (driver, name) = (&bench.driver, bench.driver.lab().name());
    driver.down()?;
    let script = format!(
        "ip netns list | grep -E '^{name}(-h[0-9]+)?( |$)'; grep -F '{}' /proc/self/mounts; losetup -a | grep -F '{}'; \
         find /sys/fs/cgroup -type d -name '{name}*'; true",
        driver.lab().folder().display(),
        driver.lab().folder().display()
    );
    let left = Program::new("sh").args(["-c", &script]).run()?;
    bench.check("nothing is left on the machine", left.trim().is_empty() && !driver.lab().folder().exists(), left);
    Ok(())
}
