//! A host's disk, its power on and its power cut.
//!
//! ```text
//! HOST/up, work, m    the overlay over the shared tree, mounted on m while the host has power
//! HOST/disk.img, var  its /var: an ext4 of its own, because containerd's overlays and cadvisor want a real file
//!                     system, and because free space is then the host's and not the machine's
//! HOST/ssh/           its host keys      HOST/console.log    what systemd said
//! HOST/cgroups, pid   where its processes are
//! ```
//! A power cut kills all processes at once. The machine's page cache survives it, so writes that were never synced
//! do too: what a real power loss would tear is not shown here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::lab::{HostPlace, Lab};
use super::{cgroup, network};
use crate::error::Error;
use crate::program::{Ended, Program};

const INIT: &str = include_str!("../../hosts/init.sh");
const SYSCTL: &str = include_str!("../../hosts/sysctl");

/// Joins the host's cgroups and becomes systemd-nspawn, in the background and in a session of its own.
const LAUNCH: &str = r#"set -e
folder=$1; shift
while read -r cgroup; do echo $$ > "$cgroup/cgroup.procs"; done < "$folder/cgroups"
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=0 SYSTEMD_NSPAWN_USE_CGNS=1 SYSTEMD_SECCOMP=0
setsid systemd-nspawn "$@" < /dev/null > "$folder/console.log" 2>&1 &
echo $! > "$folder/pid"
"#;

/// Joins the host's cgroups and runs a shell in its namespaces.
const ENTER: &str = r#"while read -r cgroup; do echo $$ > "$cgroup/cgroup.procs"; done < "$1"
exec nsenter -t "$2" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 /bin/sh -c "$3"
"#;

/// Size of a host's /var: above the 40 GiB that installers ask for.
const DISK_BYTES: u64 = 64 << 30;

/// How long a host may take to let people in, in seconds. Seen: 2 to 4.
const BOOT_SECONDS: u64 = 60;

/// Whether the host has power.
pub(super) fn is_up(host: &HostPlace) -> bool {
    first_process(host).is_some()
}

/// The machine's number of the host's process 1.
fn first_process(host: &HostPlace) -> Option<u32> {
    let is_first = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        matches!(numbers[..], [.., _, "1"]) && numbers.len() == our_depth() + 1
    };
    cgroup::processes(host).into_iter().find(is_first)
}

/// The host's own `/proc`, as its process 1 sees it.
pub(super) fn proc_of(host: &HostPlace) -> Result<PathBuf, Error> {
    let first = first_process(host).ok_or_else(|| Error::Asked(format!("{} has no power", host.name)))?;
    Ok(PathBuf::from(format!("/proc/{first}/root/proc")))
}

/// How many process namespaces deep we are ourselves.
fn our_depth() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    numbers.split_whitespace().count().max(1)
}

/// Power on; the disk is made if there is none.
pub(super) fn start(lab: &Lab, host: &HostPlace, tree: &Path, public_key: &str) -> Result<(), Error> {
    let disk = host.path("disk.img");
    let fresh = !disk.exists();
    for folder in ["up", "work", "m", "var"] {
        fs::create_dir_all(host.path(folder)).map_err(Error::file("create", host.path(folder)))?;
    }
    if !is_mounted(&host.path("m")) {
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            tree.display(),
            host.path("up").display(),
            host.path("work").display()
        );
        Program::new("mount").args(["-t", "overlay", "overlay", "-o", &layers]).arg(host.path("m")).run()?;
    }
    if fresh {
        furnish(host, public_key)?;
        // Last: it is what says that the host is complete.
        let partial = host.path("disk.partial");
        make_disk(&partial)?;
        Program::new("mount").args(["-o", "loop"]).arg(&partial).arg(host.path("var")).run()?;
        let copied = Program::new("cp").arg("-aT").arg(tree.join("var")).arg(host.path("var")).run();
        Program::new("umount").arg(host.path("var")).run()?;
        copied?;
        fs::rename(&partial, &disk).map_err(Error::file("rename", &partial))?;
    }
    if !is_mounted(&host.path("var")) {
        Program::new("mount").args(["-o", "loop"]).arg(&disk).arg(host.path("var")).run()?;
    }
    network::host_up(lab, host)?;
    cgroup::make(lab, host)?;
    Program::new("sh")
        .args(["-c", LAUNCH, "sh"])
        .arg(&host.folder)
        .args(["-q", "--keep-unit", "--register=no", "--console=pipe", "--link-journal=no"])
        .args(["--resolv-conf=off", "--timezone=off", "--kill-signal=SIGRTMIN+3"])
        .args(["--capability=all", "--drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE", "--bind=/dev/kmsg"])
        .arg(format!("--directory={}", host.path("m").display()))
        .arg(format!("--machine={}", host.namespace))
        .arg(format!("--hostname={}", host.name))
        .arg(format!("--network-namespace-path=/run/netns/{}", host.namespace))
        .arg(format!("--bind={}:/var", host.path("var").display()))
        .arg("/ferry-vm/init")
        .run()?;
    Ok(())
}

fn is_mounted(path: &Path) -> bool {
    Program::new("mountpoint").arg("-q").arg(path).succeeds()
}

/// An ext4 in a file with holes: it takes from the machine what the host writes, not more.
fn make_disk(path: &Path) -> Result<(), Error> {
    let file = fs::File::create(path).map_err(Error::file("create", path))?;
    file.set_len(DISK_BYTES).map_err(Error::file("extend", path))?;
    Program::new("mkfs.ext4")
        .args(["-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"])
        .arg(path)
        .run()?;
    Ok(())
}

/// What makes a host of the shared tree: its name, its host keys, who may come in by key.
fn furnish(host: &HostPlace, public_key: &str) -> Result<(), Error> {
    let root = host.path("m");
    let put = |path: &str, text: &str, mode: u32| {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        }
        fs::write(&path, text).map_err(Error::file("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(Error::file("change", &path))
    };
    put("etc/hostname", &format!("{}\n", host.name), 0o644)?;
    put("etc/hosts", &format!("127.0.0.1\tlocalhost\n127.0.1.1\t{}\n", host.name), 0o644)?;
    // A user's own systemd ends after the last logout, and under cgroup v1 in a container nobody tells when it has: the
    // next login would wait two minutes for it.
    put("etc/systemd/logind.conf.d/ferry-vm.conf", "[Login]\nUserStopDelaySec=infinity\n", 0o644)?;
    put("ferry-vm/init", INIT, 0o755)?;
    put("ferry-vm/sysctl", SYSCTL, 0o644)?;
    for home in ["root", "home/ops", "home/pw", "home/plain"] {
        put(&format!("{home}/.ssh/authorized_keys"), public_key, 0o600)?;
        let owner = Program::new("stat").args(["-c", "%u:%g"]).arg(root.join(home)).run()?;
        let ssh = root.join(home).join(".ssh");
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700)).map_err(Error::file("change", &ssh))?;
        Program::new("chown").args(["-R", owner.trim()]).arg(&ssh).run()?;
    }
    let keys = host.path("ssh");
    fs::create_dir_all(&keys).map_err(Error::file("create", &keys))?;
    for kind in ["ed25519", "ecdsa"] {
        let key = keys.join(format!("ssh_host_{kind}_key"));
        let _ = fs::remove_file(&key);
        Program::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", &host.name, "-f"]).arg(&key).run()?;
        for (ending, mode) in [("", 0o600), (".pub", 0o644)] {
            let name = format!("ssh_host_{kind}_key{ending}");
            let text = fs::read_to_string(keys.join(&name)).map_err(Error::file("read", keys.join(&name)))?;
            put(&format!("etc/ssh/{name}"), &text, mode)?;
        }
    }
    Ok(())
}

/// Waits until systemd says that sshd takes connections.
pub(super) fn wait(host: &HostPlace) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(BOOT_SECONDS);
    while Instant::now() < deadline {
        if enter(host, "systemctl is-active --quiet ssh.service").is_ok_and(|ended| ended.code == 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let console = fs::read_to_string(host.path("console.log")).unwrap_or_default();
    let last: Vec<&str> = console.lines().rev().take(8).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    Err(Error::TimedOut {
        what: format!("the boot of {} (its console: {})", host.name, last.join(" | ")),
        seconds: BOOT_SECONDS,
    })
}

/// Runs a script as root on the host's console.
pub(super) fn enter(host: &HostPlace, script: &str) -> Result<Ended, Error> {
    let Some(first) = first_process(host) else {
        return Err(Error::Asked(format!("{} has no power", host.name)));
    };
    Program::new("sh").args(["-c", ENTER, "sh"]).arg(host.path("cgroups")).args([&first.to_string(), script]).ended()
}

/// Power cut: every process of the host at once, then what hung on them.
pub(super) fn cut(lab: &Lab, host: &HostPlace) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let processes = cgroup::processes(host);
        if processes.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            let what = format!("the end of {} processes of {}", processes.len(), host.name);
            return Err(Error::TimedOut { what, seconds: 20 });
        }
        let numbers = processes.iter().map(ToString::to_string);
        let _ = Program::new("kill").arg("-KILL").args(numbers).ended()?;
        std::thread::sleep(Duration::from_millis(20));
    }
    for mounted in ["var", "m"].map(|name| host.path(name)) {
        if is_mounted(&mounted) && !Program::new("umount").arg(&mounted).succeeds() {
            Program::new("umount").arg("-l").arg(&mounted).run()?;
        }
    }
    network::host_down(lab, host)?;
    cgroup::remove(host);
    let _ = fs::remove_file(host.path("pid"));
    Ok(())
}

/// Throws the disk away. The host must have no power.
pub(super) fn wipe(host: &HostPlace) -> Result<(), Error> {
    if let Some(mounted) = ["var", "m"].map(|name| host.path(name)).into_iter().find(|path| is_mounted(path)) {
        return Err(Error::Asked(format!("{} is still mounted; the disk stays", mounted.display())));
    }
    // `rm` as it is: the trees hold device nodes and immutable bits that std's removal stumbles over.
    Program::new("rm").arg("-rf").arg("--one-file-system").arg(&host.folder).run()?;
    Ok(())
}
