//! Hosts as systemd-nspawn containers with systemd, sshd, a network namespace and cgroups of their own.
//!
//! One kernel and one clock serve all of them: what is about the kernel itself (its reboot, swap, NTP) is not real
//! here. The capabilities to set the clock and to load modules are withheld, because both are the machine's.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use super::driver::Driver;
use super::egress::{self, Egress};
use super::fault::{Fault, Where};
use super::lab::{HostPlace, Lab};
use super::{boot, cgroup, network, tree};
use crate::error::Error;
use crate::place::{Lock, Place};
use crate::program::{Ended, Program};

/// The lab's hosts. Whoever holds this has the lab for himself.
#[derive(Debug)]
pub struct Nspawn {
    place: Place,
    lab: Lab,
    _held: Option<Lock>,
}

impl Nspawn {
    /// Takes the lab for changes; refuses if another process has it, or if the machine can't do it.
    pub fn take(place: &Place, lab: Lab) -> Result<Self, Error> {
        check()?;
        let held = place.lock(&format!("labs/{}.lock", lab.name()), false)?;
        Ok(Self { place: place.clone(), lab, _held: Some(held) })
    }

    /// The lab as it is, to look at it or to log in: others may be at work on it.
    pub fn visit(place: &Place, lab: Lab) -> Result<Self, Error> {
        check()?;
        Ok(Self { place: place.clone(), lab, _held: None })
    }

    /// Seconds that processors have spent on all hosts since they came up.
    #[must_use]
    pub fn processor_seconds(&self) -> f64 {
        self.lab.existing().iter().map(cgroup::processor_seconds).sum()
    }

    /// The lab.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Makes the Debian tree and the key, if they are not there; says whether they were.
    pub fn prepare(&self) -> Result<bool, Error> {
        let (_, there) = tree::tree(&self.place)?;
        self.public_key()?;
        more_inotify();
        Ok(there)
    }

    /// A static busybox, for images of applications.
    pub fn busybox(&self) -> Result<PathBuf, Error> {
        Ok(tree::tree(&self.place)?.0.join("bin/busybox"))
    }

    fn public_key(&self) -> Result<String, Error> {
        let make = |folder: &std::path::Path| {
            let key = folder.join("id_ed25519");
            Program::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "ferry-vm", "-f"])
                .arg(key)
                .run()?;
            Ok(())
        };
        let (folder, _) = self.place.made("key", make)?;
        let path = folder.join("id_ed25519.pub");
        fs::read_to_string(&path).map_err(Error::file("read", &path))
    }

    fn start(&self, host: &HostPlace) -> Result<(), Error> {
        let (tree, _) = tree::tree(&self.place)?;
        boot::start(&self.lab, host, &tree, &self.public_key()?)
    }

    fn apply(&self, host: &HostPlace, place: &Where) -> Result<(), Error> {
        let (ended, what) = match place {
            Where::Inside(script) => (boot::enter(host, script)?, script),
            Where::Lab(script) => {
                (Program::inside(self.lab.name(), "sh").args(["-ec", script.as_str()]).ended()?, script)
            }
            Where::Namespace(script) => {
                (Program::inside(&host.namespace, "sh").args(["-ec", script.as_str()]).ended()?, script)
            }
            Where::Cgroup { hierarchy, file, value } => {
                let Some(path) = cgroup::of_hierarchy(host, hierarchy).map(|path| path.join(file)) else {
                    return Err(Error::Asked(format!("{} has no cgroup in {hierarchy}", host.name)));
                };
                return fs::write(&path, value).map_err(Error::file("write", &path));
            }
        };
        if ended.code == 0 {
            return Ok(());
        }
        Err(Error::Program {
            command: what.clone(),
            status: ended.code.to_string(),
            output: format!("{}{}", ended.stdout, ended.stderr),
        })
    }
}

/// Whether this machine can have such hosts at all.
fn check() -> Result<(), Error> {
    if Program::new("id").arg("-u").run()?.trim() != "0" {
        return Err(Error::CannotRun("hosts need root for namespaces, mounts and cgroups".into()));
    }
    let tools =
        ["systemd-nspawn", "mmdebstrap", "ip", "nft", "nsenter", "mkfs.ext4", "ssh", "ssh-keygen", "mountpoint"];
    let missing: Vec<&str> = tools
        .into_iter()
        .filter(|tool| !Program::new("sh").args(["-c", "command -v \"$0\"", tool]).succeeds())
        .collect();
    if !missing.is_empty() {
        let list = missing.join(", ");
        return Err(Error::CannotRun(format!("{list} not found; vm-tests/packages.txt lists what to install")));
    }
    if !Program::new("unshare").args(["-n", "-m", "true"]).succeeds() {
        return Err(Error::CannotRun("it does not let us make network and mount namespaces".into()));
    }
    cgroup::check()
}

impl Driver for Nspawn {
    fn up(&self, count: u8) -> Result<(), Error> {
        self.lab.host(count)?;
        network::lab_up(&self.lab)?;
        let mut started = Vec::new();
        for number in 1..=count {
            let host = self.lab.host(number)?;
            if !boot::is_up(&host) {
                // Leftovers of a run that was killed, if there are any.
                boot::cut(&self.lab, &host)?;
                self.start(&host)?;
                started.push(host);
            }
        }
        started.iter().try_for_each(boot::wait)
    }

    fn down(&self) -> Result<(), Error> {
        for host in self.lab.existing() {
            boot::cut(&self.lab, &host)?;
            boot::wipe(&host)?;
        }
        network::lab_down(&self.lab)?;
        let folder = self.lab.folder();
        if folder.is_dir() {
            fs::remove_dir(&folder).map_err(Error::file("remove", &folder))?;
        }
        Ok(())
    }

    fn kill(&self, host: u8) -> Result<(), Error> {
        boot::cut(&self.lab, &self.lab.host(host)?)
    }

    fn boot(&self, host: u8) -> Result<(), Error> {
        let host = self.lab.host(host)?;
        if boot::is_up(&host) {
            return Ok(());
        }
        network::lab_up(&self.lab)?;
        boot::cut(&self.lab, &host)?;
        self.start(&host)?;
        boot::wait(&host)
    }

    fn reset(&self, host: u8) -> Result<(), Error> {
        self.kill(host)?;
        // What was done to the lab's side of it goes as well.
        let place = self.lab.host(host)?;
        for fault in Fault::noted(&place)?.iter().rev() {
            for step in fault.outside(&self.lab, &place) {
                let _ = self.apply(&place, &step);
            }
        }
        boot::wipe(&place)?;
        self.boot(host)
    }

    fn address(&self, host: u8) -> Result<Ipv4Addr, Error> {
        Ok(self.lab.host(host)?.address)
    }

    fn is_up(&self, host: u8) -> bool {
        self.lab.host(host).is_ok_and(|host| boot::is_up(&host))
    }

    fn run(&self, host: u8, script: &str) -> Result<Ended, Error> {
        boot::enter(&self.lab.host(host)?, script)
    }

    fn fault(&self, host: u8, fault: &Fault) -> Result<(), Error> {
        let place = self.lab.host(host)?;
        fault.note(&place)?;
        let steps = fault.steps(&self.lab, &place);
        steps.apply.iter().try_for_each(|step| self.apply(&place, step))
    }

    fn heal(&self, host: u8) -> Result<(), Error> {
        let place = self.lab.host(host)?;
        for fault in Fault::noted(&place)?.iter().rev() {
            fault.steps(&self.lab, &place).heal.iter().try_for_each(|step| self.apply(&place, step))?;
        }
        Fault::forget(&place)
    }

    fn egress(&self) -> Result<Egress, Error> {
        egress::read(&self.lab)
    }

    fn forget_egress(&self) -> Result<(), Error> {
        egress::install(&self.lab)
    }

    fn beside(&self, program: &str) -> Program {
        Program::inside(self.lab.name(), program)
    }

    fn identity(&self) -> PathBuf {
        self.place.path("key/id_ed25519")
    }

    fn host_key(&self, host: u8) -> Result<String, Error> {
        let path = self.lab.host(host)?.path("ssh/ssh_host_ed25519_key.pub");
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn processes(&self, host: u8) -> Result<PathBuf, Error> {
        boot::proc_of(&self.lab.host(host)?)
    }

    fn console(&self, host: u8) -> Result<PathBuf, Error> {
        Ok(self.lab.host(host)?.path("console.log"))
    }
}

/// All hosts share the machine's inotify instances, of which a kernel grants 128 by default; containerd and systemd of several
/// hosts use more. Where it can't be raised, one host still gets by.
fn more_inotify() {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
    let now = std::fs::read_to_string(LIMIT).ok().and_then(|text| text.trim().parse::<u32>().ok());
    if now.is_some_and(|now| now < 1024) {
        drop(std::fs::write(LIMIT, "1024"));
    }
}
